package profiler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	runtimetrace "runtime/trace"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/internal/exectrace"
	"github.com/spanclock/spanclock/spanstore"
)

// Exact says when execution traces are taken of slow requests.
type Exact int

const (
	// ExactOff never runs the flight recorder.
	ExactOff Exact = iota

	// ExactAuto keeps the flight recorder running while the process does not do
	// too much for it, and takes a snapshot of requests that are slow for their
	// route, or fail. While it runs each span costs the request about as much
	// again as its label: the SDK itself then starts a task for it.
	ExactAuto
)

const (
	// exactWindow is how far the flight recorder should reach back: further than
	// snapshots mostly lie apart. Its memory follows
	// from what the process does, 7 bytes an event: at 5,000 requests a second of
	// five spans 3 MB a second.
	exactWindow = 8 * time.Second

	// exactBytes is where it should let go of older seconds. It is a hint: under
	// heavy load twelve times as much was measured.
	exactBytes = 16 << 20

	// maxEvents is the rate of scheduling events, in a second, above which the
	// flight recorder would cost more than a tenth of a CPU; maxRecorded the
	// number of goroutines with which each of its seconds, which begins with
	// their states, costs 5 ms.
	maxEvents   = 200_000
	maxRecorded = 20_000

	// exactRetry is how long the exact level stays off after it had to go off.
	exactRetry = 30 * time.Second

	// exactPause is the least time between two snapshots. Slow requests that end
	// meanwhile are in the next one, as far back as the flight recorder reaches.
	exactPause = 2 * time.Second

	// askedPause is the least time before a snapshot that somebody asks for.
	askedPause = time.Second

	// maxSlow bounds the slow requests that wait for a snapshot.
	maxSlow = 512
)

// exactLevel runs the flight recorder, and takes snapshots of it.
type exactLevel struct {
	p      *Profiler
	routes routes
	wake   chan struct{}
	clocks clocks

	armed  atomic.Bool // the flight recorder runs
	dozing atomic.Bool // it does not, because nothing happens

	// marks counts the traces in marked.
	marks atomic.Int32

	arming sync.Mutex // held while the flight recorder starts or stops

	mu     sync.Mutex // guards the rest
	flight recorder
	never  bool                        // its traces cannot be read: it is off for good
	slow   map[trace.TraceID]bool      // that wait for a snapshot
	last   time.Time                   // when the last snapshot was over
	busy   time.Time                   // when there was something to record last
	seen   uint64                      // spans that had ended then
	after  time.Time                   // when the next may be taken
	asked  []asking                    // told when what waits is done, or cannot be
	marked map[trace.TraceID]time.Time // that are wanted as soon as they end, and since when
	stats  ExactStats

	spending  spending
	snapshots time.Duration // CPU time of those since the last window
}

// recorder is a runtimetrace.FlightRecorder that runs.
type recorder interface {
	WriteTo(io.Writer) (int64, error)
	Stop()
}

// ExactStats are the figures of the exact level. Counts are since Start.
type ExactStats struct {
	// Armed says that the flight recorder runs; Why, when it does not, why not.
	Armed bool
	Why   string

	// Slow counts the requests that were slow for their route, failed, or were asked for;
	// Captured those of them whose exact states were stored; Missed those for
	// which it was too late, there were too many, or the exact level was off.
	Slow, Captured, Missed int64

	// Spans counts those whose states were stored, Snapshots the execution traces
	// that were read. LastBytes and LastCPU are the size of the last one, and the
	// CPU time that reading it took, at most.
	Spans, Snapshots int64
	LastBytes        int64
	LastCPU          time.Duration

	// Events is the rate of scheduling events in the last second.
	Events float64
}

func newExactLevel(p *Profiler) *exactLevel {
	return &exactLevel{p: p, wake: make(chan struct{}, 1), clocks: clocks{wake: make(chan struct{}, 1)}, slow: map[trace.TraceID]bool{}, stats: ExactStats{Why: "it is about to start"}, spending: spending{budget: p.opts.Budget}}
}

// ended is called with every span that ends.
func (x *exactLevel) ended(s sdktrace.ReadOnlySpan) {
	if !isLocalRoot(s) {
		return
	}
	wall := s.EndTime().Sub(s.StartTime())
	if x.marks.Load() > 0 && x.unmark(s.SpanContext().TraceID()) {
		x.want(s.SpanContext().TraceID(), true)
		return
	}
	slow := x.routes.slow(s.Name(), wall, x.p.opts.Slow, x.p.series.starved.Load())
	if slow || s.Status().Code == codes.Error {
		x.want(s.SpanContext().TraceID(), false)
	}
}

// want asks for a snapshot of a trace. While the flight recorder does not run it is
// too late for that, and no reason to start it earlier.
func (x *exactLevel) want(id trace.TraceID, now bool) {
	x.mu.Lock()
	x.wantUnlock(id, now)
}

// wantUnlock is want for who holds x.mu, which it lets go.
func (x *exactLevel) wantUnlock(id trace.TraceID, now bool) {
	if !x.slow[id] {
		x.stats.Slow++
		if !x.stats.Armed || len(x.slow) >= maxSlow {
			x.stats.Missed++
			x.mu.Unlock()
			return
		}
		x.slow[id] = true
	}
	if soon := x.last.Add(askedPause); now && soon.Before(x.after) {
		x.after = soon
	}
	wait := time.Until(x.after)
	x.mu.Unlock()
	switch {
	case wait <= 0:
		x.rouse()
	case now:
		time.AfterFunc(wait, x.rouse)
	}
}

// rouse makes run look whether a snapshot is due.
func (x *exactLevel) rouse() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// run arms and disarms once a second, and takes the snapshots.
func (x *exactLevel) run() {
	defer x.p.rescue()
	defer x.disarm("stopped", 0)
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(ownKey, ownExact)))
	rate := newEventRate()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-x.p.done:
			return
		case <-t.C:
			x.decide(rate.read(time.Now()))
		case <-x.wake:
			x.awake()
		}
		x.snapshotIfDue()
	}
}

// decide arms or disarms by what the process does.
func (x *exactLevel) decide(events float64, goroutines int) {
	x.mu.Lock()
	x.stats.Events = events
	armed, due := x.stats.Armed, !x.never && !x.dozing.Load() && !time.Now().Before(x.after)
	idle := x.idle(time.Now())
	x.mu.Unlock()
	why := tooMuch(events, goroutines)
	switch {
	case x.p.isPaused():
		if armed {
			x.disarm(holePaused, 0)
		}
	case armed && why != "":
		x.disarm(why, exactRetry)
	case armed && x.p.resting():
		x.disarm(holeBudget, exactRetry)
	case armed && idle:
		x.doze()
	case !armed && due && why == "" && !x.p.resting():
		x.arm()
	}
}

func (p *Profiler) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

// tooMuch says why the flight recorder must not run; "" when it may.
func tooMuch(events float64, goroutines int) string {
	switch {
	case events > maxEvents:
		return fmt.Sprintf("%.0f scheduling events a second are too many to record: at most %d", events, maxEvents)
	case goroutines > maxRecorded:
		return fmt.Sprintf("%d goroutines are too many to record: at most %d", goroutines, maxRecorded)
	}
	return ""
}

func (x *exactLevel) arm() {
	x.arming.Lock()
	defer x.arming.Unlock()
	if x.p.isPaused() || x.armed.Load() {
		return
	}
	f := runtimetrace.NewFlightRecorder(runtimetrace.FlightRecorderConfig{MinAge: exactWindow, MaxBytes: exactBytes})
	err := f.Start()
	if err == nil {
		exectrace.Learn()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		x.stats.Why = "the process has one flight recorder, and somebody else runs it: " + err.Error()
		x.after = time.Now().Add(exactRetry)
		return
	}
	x.flight, x.stats.Armed, x.stats.Why = f, true, ""
	x.armed.Store(true)
}

// pause frees the flight recorder for somebody else, now.
func (x *exactLevel) pause() {
	if x != nil && x.armed.Load() {
		x.disarm(holePaused, 0)
	}
}

// disarm stops the flight recorder, and leaves it off for a while.
func (x *exactLevel) disarm(why string, off time.Duration) {
	x.arming.Lock()
	defer x.arming.Unlock()
	x.armed.Store(false)
	x.mu.Lock()
	f := x.flight
	x.flight, x.stats.Armed, x.stats.Why = nil, false, why
	x.after = time.Now().Add(off)
	x.stats.Missed += int64(len(x.slow))
	clear(x.slow)
	answer(x.asked, nil, fmt.Errorf("capture: the exact level went off: %s", why))
	x.asked = nil
	x.mu.Unlock()
	if f != nil {
		f.Stop()
	}
}

// ErrNotRecorded is what Capture returns for a trace of which the flight recorder knows
// nothing: none of its spans started or ended in this process within the seconds that it
// reaches back, while it ran.
var ErrNotRecorded = errors.New("capture: the flight recorder knows nothing of the trace: it began before what the recorder reaches back to, or while that was off, and no span of it has ended since")

// asking is somebody who waits for the exact states of a trace.
type asking struct {
	id   trace.TraceID
	done chan error // has room
}

// answer tells those who wait that what they asked for is done, or why it is not.
func answer(asked []asking, found map[trace.TraceID]bool, err error) {
	for _, a := range asked {
		if err == nil && !found[a.id] {
			a.done <- ErrNotRecorded
			continue
		}
		a.done <- err
	}
}

// snapshotIfDue takes a snapshot when slow requests wait for one.
func (x *exactLevel) snapshotIfDue() {
	x.mu.Lock()
	f, slow := x.flight, x.slow
	if f == nil || len(slow) == 0 || time.Now().Before(x.after) {
		x.mu.Unlock()
		return
	}
	x.slow = map[trace.TraceID]bool{}
	asked := x.asked
	x.asked = nil
	x.mu.Unlock()

	got, err := x.snapshot(f, slow)
	var newer *exectrace.NewerError
	if errors.As(err, &newer) {
		x.mu.Lock()
		x.never = true
		x.mu.Unlock()
		x.disarm(err.Error(), 0)
	} else if err != nil {
		x.p.fail("reading an execution trace", err)
	} else {
		x.p.over("reading an execution trace")
	}
	x.mu.Lock()
	x.stats.Captured += int64(got.traces)
	x.stats.Missed += int64(len(slow) - got.traces)
	x.stats.Spans += int64(got.spans)
	x.stats.Snapshots++
	x.stats.LastBytes, x.stats.LastCPU = got.bytes, got.cpu
	x.snapshots += got.cpu
	// What reading costs follows from what the process does; the pause makes it
	// the budget, of which the sampled level has one of the same size.
	share := x.p.opts.Budget * float64(runtime.GOMAXPROCS(0))
	x.last = time.Now()
	x.after = x.last.Add(max(exactPause, time.Duration(float64(got.cpu)/share)))
	x.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("capture: %w", err)
	}
	answer(asked, got.found, err)
}

// captured is what a snapshot gave.
type captured struct {
	traces, spans int
	found         map[trace.TraceID]bool
	bytes         int64
	cpu           time.Duration
}

// snapshot reads the flight recorder and stores what it tells of some traces. It
// keeps one processor busy for some 0.3 µs an event.
func (x *exactLevel) snapshot(f recorder, slow map[trace.TraceID]bool) (got captured, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := threadCPU()
	var c exectrace.ThreadClock // what ran since the last reading is known, too
	c.Log()
	c.Close()
	r, w := io.Pipe()
	wrote := make(chan int64, 1)
	go func() {
		n, err := f.WriteTo(w)
		w.CloseWithError(err)
		wrote <- n
	}()
	found := map[trace.TraceID]bool{}
	var batch spanstore.UsageBatch
	_, err = exectrace.Analyze(r, func(id trace.TraceID) bool { return slow[id] }, func(s *exectrace.Span) error {
		found[s.Trace] = true
		got.spans++
		batch.Spans = append(batch.Spans, exactUsage(s))
		if len(batch.Spans) == 256 {
			defer func() { batch.Spans = nil }()
			return x.p.put(batch)
		}
		return nil
	})
	_, _ = io.Copy(io.Discard, r) // let the writer end, whatever stopped the reader
	r.Close()
	got.bytes, got.traces, got.found, got.cpu = <-wrote, len(found), found, threadCPU()-begun
	if len(batch.Spans) > 0 {
		err = errors.Join(err, x.p.put(batch))
	}
	return got, err
}

// exactUsage is a span as the store takes it.
func exactUsage(s *exectrace.Span) spanstore.Usage {
	e := &spanstore.Exact{
		Start: wall(s.Start), End: wall(s.End), Running: s.Running, Stolen: s.Stolen, StolenLow: s.StolenLow, StolenHigh: s.StolenHigh,
		Goroutines: s.Goroutines, Segments: make([]spanstore.StateSegment, len(s.Segments)), Waits: make([]spanstore.Wait, len(s.Waits)),
	}
	for i, g := range s.Segments {
		e.Segments[i] = spanstore.StateSegment{From: g.From, To: g.To, State: g.State.String(), Stolen: g.Stolen, Wait: g.Wait}
	}
	for i, w := range s.Waits {
		e.Waits[i] = spanstore.Wait{State: w.State.String(), Total: w.Total, Count: w.Count, Stack: w.Stack, Waker: w.Waker, WakerSpan: w.WakerSpan}
	}
	return spanstore.Usage{TraceID: s.Trace, SpanID: s.ID, Exact: e}
}

// Capture takes a snapshot of what the process does now and stores the exact
// states of the spans of a trace, as far as the flight recorder reaches back:
// those that have ended and those in flight. It waits until that is done. Spans are known
// by their start or their end: of those that have begun before what it reaches back to,
// some eight seconds, and are in flight still there is nothing, and when that is so of all
// it returns ErrNotRecorded: CaptureAtEnd is for such a trace. It
// fails when the exact level is off or goes off, with the reason, when the execution
// trace cannot be read, or when ctx ends first.
func (p *Profiler) Capture(ctx context.Context, id trace.TraceID) error {
	if p == nil || p.exact == nil {
		return errors.New("capture: the exact level is off")
	}
	x := p.exact
	x.awake()
	x.mu.Lock()
	if !x.stats.Armed {
		defer x.mu.Unlock()
		return fmt.Errorf("capture: the exact level is off: %s", x.stats.Why)
	}
	done := make(chan error, 1)
	x.asked = append(x.asked, asking{id, done})
	x.wantUnlock(id, true)
	select {
	case err := <-done:
		return err
	case <-p.done:
		return errors.New("capture: the profiler has stopped")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CaptureAtEnd takes the exact states of a trace that is under way as soon as a
// local root of it has ended, however long that took. It reports false when the
// exact level is off, or too many are asked for already.
func (p *Profiler) CaptureAtEnd(id trace.TraceID) bool {
	if p == nil || p.exact == nil || !id.IsValid() {
		return false
	}
	x := p.exact
	x.awake()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.stats.Armed {
		return false
	}
	now := time.Now()
	maps.DeleteFunc(x.marked, func(_ trace.TraceID, since time.Time) bool { return now.Sub(since) > markFor })
	if x.marked == nil {
		x.marked = map[trace.TraceID]time.Time{}
	}
	if len(x.marked) < maxSlow {
		x.marked[id] = now
	}
	_, ok := x.marked[id]
	x.marks.Store(int32(len(x.marked)))
	return ok
}

// markFor is how long a trace may take that CaptureAtEnd was told of. What began
// before the flight recorder reaches back is not in it anyway.
const markFor = time.Minute

// unmark reports whether the trace was marked, and is not any more.
func (x *exactLevel) unmark(id trace.TraceID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, ok := x.marked[id]
	delete(x.marked, id)
	x.marks.Store(int32(len(x.marked)))
	return ok
}

func (x *exactLevel) figures() ExactStats {
	if x == nil {
		return ExactStats{Why: "Options.Exact does not ask for it"}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.stats
}

// eventRate tells how often goroutines are scheduled, from the runtime's
// histogram of the times that they waited for it, which holds one in eight.
type eventRate struct {
	sample [2]metrics.Sample
	count  uint64
	at     time.Time
}

func newEventRate() *eventRate {
	r := &eventRate{}
	r.sample[0].Name, r.sample[1].Name = "/sched/latencies:seconds", "/sched/goroutines:goroutines"
	r.read(time.Now())
	return r
}

func (r *eventRate) read(now time.Time) (events float64, goroutines int) {
	metrics.Read(r.sample[:])
	var count uint64
	if v := r.sample[0].Value; v.Kind() == metrics.KindFloat64Histogram {
		for _, n := range v.Float64Histogram().Counts {
			count += n
		}
	}
	if v := r.sample[1].Value; v.Kind() == metrics.KindUint64 {
		goroutines = int(v.Uint64())
	}
	if d := now.Sub(r.at).Seconds(); d > 0 && count >= r.count {
		events = 8 * float64(count-r.count) / d
	}
	r.count, r.at = count, now
	return events, goroutines
}
