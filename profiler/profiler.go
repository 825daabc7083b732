package profiler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/spanclock/spanclock/profiler/internal/signals"
	"github.com/spanclock/spanclock/spanstore"
)

// Options configure Start. A nil *Options and the zero value of each field mean
// the default. A negative value is an error.
type Options struct {
	// Window is how long a CPU profile window lasts when nobody looks earlier
	// and spans are not too many. The default is 10 s: a window's end costs the
	// profile 1 to 24 ms in which nothing is sampled. At most a minute.
	Window time.Duration

	// MinWindow is the least length of a window that ends early. The default is
	// 2 s, the least 100 ms: windows of 1 s lose up to 2.4 % of the samples,
	// windows of 250 ms up to 10 %. It wins over a shorter Window.
	MinWindow time.Duration

	// Labels says which spans get CPU time of their own; the default is every
	// span. With LabelRoots a request costs less; see the package's Cost.
	Labels Labels

	// MaxLive is the most spans in flight whose labels the profiler can take
	// back, each about 220 bytes. The oldest makes room for the newest: a span
	// that never ends goes first. The default is 32768.
	MaxLive int

	// MaxAge is how long a span may be in flight before it is taken for one that
	// never ends, and forgotten; the default is an hour. Its samples are
	// unattributed from then on.
	MaxAge time.Duration

	// Budget is the most CPU time that the profiler and the store may use in the
	// background, as a share of what the process may use (GOMAXPROCS); default
	// 0.01. Above it the profiler does less, see Level. 1 lets it always run.
	// Reading execution traces of slow requests may take as much again: they are
	// read so seldom that it does not take more.
	Budget float64

	// Exact says whether execution traces are taken of slow requests; the default
	// is that they are not.
	Exact Exact

	// Slow is how long a local root must take to be slow. Zero finds out for each
	// route: one in a hundred of its requests is, when it takes 5 ms or more. While a
	// CPU quota stops the process, or its threads wait for a CPU, one in ten is in any
	// case, whatever Slow says.
	Slow time.Duration

	// MaxEnded is the most spans that ended a short while ago and whose samples
	// can still be put to their trace, 40 bytes each. The running window is
	// ended early when they become many, but not before MinWindow is over, so
	// the default of 131072 serves about 49,000 spans a second.
	MaxEnded int

	// MaxStacks is the most distinct call stacks that are kept of one span in
	// one window, the most frequent ones; default 32. All samples count all the
	// same.
	MaxStacks int

	// MaxDepth is the most frames of a call stack, counted from the leaf;
	// default 64.
	MaxDepth int

	// OnUsage, when it is set, is given what goes to the store, just before it
	// does: it is how several stores share the process's one profiler (see package
	// shared). It runs on goroutines of the profiler, which wait for it, must
	// not call back into the profiler, and must not change what it is given.
	OnUsage func(spanstore.UsageBatch)

	// Logger gets what the profiler has to say: errors, and who keeps it from
	// working, each once. Without one errors go to otel.Handle.
	Logger *slog.Logger
}

// Labels says which spans label their goroutines, and so get the CPU time that
// is used there.
type Labels int

const (
	// LabelSpans labels in every span that records.
	LabelSpans Labels = iota

	// LabelRoots labels in local roots alone: spans without a parent, or with one
	// in another process. They get the CPU time of all the spans below them that
	// run on their goroutine or on those created in it.
	LabelRoots
)

// resolved returns o with the defaults filled in.
func (o *Options) resolved() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	for name, v := range map[string]int64{
		"Window": int64(r.Window), "MinWindow": int64(r.MinWindow), "MaxLive": int64(r.MaxLive),
		"MaxEnded": int64(r.MaxEnded), "Slow": int64(r.Slow), "MaxAge": int64(r.MaxAge), "MaxStacks": int64(r.MaxStacks), "MaxDepth": int64(r.MaxDepth),
	} {
		if v < 0 {
			return r, fmt.Errorf("option %s is negative: %d; zero means the default", name, v)
		}
	}
	if r.Labels != LabelSpans && r.Labels != LabelRoots {
		return r, fmt.Errorf("option Labels is %d; it is LabelSpans or LabelRoots", r.Labels)
	}
	if r.Exact != ExactAuto && r.Exact != ExactOff {
		return r, fmt.Errorf("option Exact is %d; it is ExactAuto or ExactOff", r.Exact)
	}
	if !(r.Budget >= 0 && r.Budget <= 1) {
		return r, fmt.Errorf("option Budget is %v; it is a share of the CPU time, from 0 (the default) to 1", r.Budget)
	}
	r.MinWindow = max(100*time.Millisecond, or(r.MinWindow, 2*time.Second))
	r.Window = min(max(r.MinWindow, or(r.Window, 10*time.Second)), time.Minute)
	r.MaxLive = or(r.MaxLive, 1<<15)
	r.MaxEnded = or(r.MaxEnded, 1<<17)
	r.MaxAge = max(time.Second, or(r.MaxAge, time.Hour))
	r.Budget = or(r.Budget, 0.01)
	r.MaxStacks = or(r.MaxStacks, 32)
	r.MaxDepth = or(r.MaxDepth, 64)
	return r, nil
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Profiler takes the process's CPU profile in windows and puts its samples to
// the spans they fell on. It is a span processor of the SDK; see TracerProvider
// for the usual way to register it. All methods may be called at any time from
// any goroutine. A nil *Profiler is inert.
type Profiler struct {
	store *spanstore.Store
	opts  Options
	spans *registry

	// readable says that goroutine labels can be read, not only set.
	readable bool

	// labeling is on until Stop: spans that start are labelled.
	labeling atomic.Bool

	// rootsOnly says that only local roots are labelled.
	rootsOnly atomic.Bool

	// rests says that the governor has switched the profiler off.
	rests atomic.Bool

	series     *series
	exact      *exactLevel // nil when it is switched off
	names      nameBook
	background sync.WaitGroup // goroutines but for the sampler's; added to with mu held

	kick chan struct{} // wakes the sampler's goroutine to look at the fields below
	done chan struct{} // closed when that goroutine is gone

	mu       sync.Mutex // guards all below
	stopping bool
	paused   bool
	wish     time.Time     // somebody wants to see what was burnt until then
	cut      time.Time     // the same, with no regard to MinWindow
	holding  bool          // the process's CPU profile is ours
	taking   bool          // or is about to be: Pause must not say that it is free
	idle     bool          // no window runs, and all that ran are stored
	settled  time.Time     // what was burnt before is stored, as far as it was sampled
	changed  chan struct{} // closed and replaced when one of the former four changes
	taps     map[*tap]struct{}
	stats    Stats
	governor *governor

	live       *LiveView     // the last one
	takingLive chan struct{} // closed when the view that is being taken is there; else nil

	said    map[string]bool // troubles that were reported and are not over
	stopErr error
}

// active is the process's profiler: there is only one CPU profile to take.
var active atomic.Pointer[Profiler]

// Start starts the profiler. When it returns the first window is running, or
// the profiler waits for another CPU profile to end.
//
// It fails when store is nil, an option is negative, or a profiler runs already
// in this process. The *Profiler is nil then, and inert: a program that ignores
// the error runs without CPU figures. With OTEL_SDK_DISABLED=true (in any case)
// both results are nil and nothing is started.
func Start(store *spanstore.Store, o *Options) (*Profiler, error) {
	if strings.EqualFold(strings.TrimSpace(os.Getenv("OTEL_SDK_DISABLED")), "true") {
		return nil, nil
	}
	if store == nil {
		return nil, errors.New("start profiler: no span store to put CPU usage into; pass the one that spanstore.Open returned and check its error")
	}
	opts, err := o.resolved()
	if err != nil {
		return nil, fmt.Errorf("start profiler: %w", err)
	}
	readable, err := learnLabels()
	if err != nil {
		return nil, fmt.Errorf("start profiler: %w", err)
	}

	p := &Profiler{
		store:    store,
		opts:     opts,
		readable: readable,
		kick:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		changed:  make(chan struct{}),
		taps:     map[*tap]struct{}{},
		said:     map[string]bool{},
	}
	p.governor = newGovernor(opts.Budget, time.Now())
	p.setLabels(opts.Labels)
	p.spans = newRegistry(opts.MaxLive, opts.MaxEnded, p.wake)
	if !active.CompareAndSwap(nil, p) {
		return nil, errors.New("start profiler: one is running in this process already; share it between all providers, or Stop it first")
	}
	p.labeling.Store(true)
	p.series = &series{p: p, reader: signals.Open()}
	p.background.Go(p.series.run)
	if opts.Exact == ExactAuto {
		p.exact = newExactLevel(p)
		p.background.Go(p.exact.run)
		p.background.Go(p.exact.readClocks)
	}
	ready := make(chan struct{})
	go p.run(ready)
	<-ready
	return p, nil
}

// setLabels changes which of the spans that start from now on are labelled.
func (p *Profiler) setLabels(l Labels) { p.rootsOnly.Store(l == LabelRoots) }

// Stop ends the last window, stores it and frees the CPU profile. No goroutine
// is left when it returns. Spans that start afterwards are not labelled, and
// those that are live lose their labels as they end. It returns the error of
// storing the last window; calling it again does nothing and returns the same.
func (p *Profiler) Stop() error {
	if p == nil {
		return nil
	}
	p.labeling.Store(false)
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	p.wake()
	<-p.done
	p.background.Wait()
	active.CompareAndSwap(p, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopErr
}

// Pause frees the process's CPU profile, and its flight recorder, for somebody
// else and returns when they are free. Spans are labelled all the same, so that a profile taken meanwhile
// has their ids. The pause is stored as a hole. One Resume ends it, however
// often Pause was called.
func (p *Profiler) Pause() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.paused = true
	p.mu.Unlock()
	p.wake()
	p.exact.pause()
	_ = p.await(context.Background(), func() bool { return !p.holding && !p.taking || !p.paused })
}

// Resume takes the CPU profile again after Pause, at once or as soon as nobody
// else has it; it does not wait for that.
func (p *Profiler) Resume() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.paused = false
	p.mu.Unlock()
	p.wake()
}

// Refresh is for somebody who wants to see now what the process does: it asks
// that the running window end early, though not before MinWindow, and waits
// until all CPU time that was used before the call has been put into the store.
//
// It returns the context's error when that is done first; with a context that
// is done already it only leaves its wish. It returns nil at once when there is
// nothing to wait for: stopped, paused, or another CPU profile is running.
func (p *Profiler) Refresh(ctx context.Context) error {
	if p == nil {
		return nil
	}
	t := p.wishFor()
	return p.await(ctx, func() bool { return p.idle || !p.settled.Before(t) })
}

// wishFor asks for all that is burnt until now, and returns now.
func (p *Profiler) wishFor() time.Time {
	if p == nil {
		return time.Time{}
	}
	p.mu.Lock()
	t := time.Now()
	p.wish = t
	p.mu.Unlock()
	p.wake()
	return t
}

// wake makes the sampler's goroutine look at what is asked of it.
func (p *Profiler) wake() {
	select {
	case p.kick <- struct{}{}:
	default: // it is about to look
	}
}

// await blocks until cond, which is called with p.mu held, is true, the
// profiler has stopped, or ctx is done.
func (p *Profiler) await(ctx context.Context, cond func() bool) error {
	for {
		p.mu.Lock()
		ok, changed := cond(), p.changed
		p.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-p.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fail counts err and reports it, unless its kind was reported already and has
// not been over since.
func (p *Profiler) fail(kind string, err error) {
	p.mu.Lock()
	p.stats.Errors++
	p.stats.LastError = err.Error()
	p.mu.Unlock()
	p.say(kind, func() {
		if p.opts.Logger != nil {
			p.opts.Logger.Error("spanclock profiler: "+kind, "err", err)
		} else {
			otel.Handle(fmt.Errorf("spanclock profiler: %w", err))
		}
	})
}

// say calls report the first time that kind comes up, and again after over.
func (p *Profiler) say(kind string, report func()) {
	p.mu.Lock()
	said := p.said[kind]
	p.said[kind] = true
	p.mu.Unlock()
	if !said {
		defer func() { _ = recover() }() // the report runs the program's code
		report()
	}
}

func (p *Profiler) over(kind string) {
	p.mu.Lock()
	delete(p.said, kind)
	p.mu.Unlock()
}

// rescue is deferred wherever the profiler runs on somebody else's goroutine.
func (p *Profiler) rescue() {
	if r := recover(); r != nil {
		p.panicked(r)
	}
}

func (p *Profiler) panicked(r any) {
	p.mu.Lock()
	p.stats.Panics++
	p.mu.Unlock()
	p.fail("panic", fmt.Errorf("panic: %v", r))
}
