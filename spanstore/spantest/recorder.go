package spantest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/shared"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// Options configure NewWith. The zero value of each field means the default.
type Options struct {
	// CPU asks for the CPU time of spans. The process has one profiler: tests that
	// ask for it share it, in parallel too. Inside a synctest bubble it is refused.
	CPU bool

	// Exact asks for exact states too: what each span waited for. It implies CPU.
	// Only tests that all ask for it may run in parallel with one another.
	Exact bool

	// Service is the service.name of Provider; "test" by default.
	Service string

	// Provider has further options for the providers, such as a sampler.
	Provider []sdktrace.TracerProviderOption

	// Store has options for the store.
	Store *spanstore.Options

	// Patience is how long to wait for a trace whose spans have not all ended;
	// 10 s by default.
	Patience time.Duration
}

// Recorder records the spans of one test. Its methods are for the test's own
// goroutine, its providers for any.
type Recorder struct {
	tb    testing.TB
	opts  Options
	store *spanstore.Store
	prof  *profiler.Profiler // nil without CPU
	fake  bool               // the clock is that of a synctest bubble
	begun time.Time          // by that clock
	why   string             // why there are no CPU figures, when there are none

	member    *shared.Member
	providers map[string]*profiler.TracerProvider
	flight    flight
}

// New returns a recorder for one test, with a store in a temporary directory. What
// it has opened is closed when the test is over.
func New(tb testing.TB) *Recorder {
	tb.Helper()
	return NewWith(tb, nil)
}

// NewWith is New with options; nil means the defaults.
func NewWith(tb testing.TB, o *Options) *Recorder {
	tb.Helper()
	r := newRecorder(tb, o)
	var err error
	if r.store, err = spanstore.Open(tb.TempDir(), r.opts.Store); err != nil {
		tb.Fatalf("spantest: %v", err)
	}
	if r.store == nil {
		tb.Fatal("spantest: OTEL_SDK_DISABLED=true is set: no span would be recorded")
	}
	tb.Cleanup(func() {
		if err := r.close(); err != nil {
			tb.Errorf("spantest: %v", err)
		}
	})
	if r.opts.CPU {
		r.profile()
	}
	return r
}

// On returns a recorder on a store that the program under test has opened itself,
// with its profiler or nil. It neither flushes nor closes them. To know which spans
// are still running it watches the program's providers; without them it takes a
// trace for whole as soon as its root has ended.
func On(tb testing.TB, store *spanstore.Store, prof *profiler.Profiler, providers ...*sdktrace.TracerProvider) *Recorder {
	tb.Helper()
	r := newRecorder(tb, nil)
	r.store, r.prof = store, prof
	r.opts.CPU = prof != nil
	for _, tp := range providers {
		tp.RegisterSpanProcessor(&r.flight)
		tb.Cleanup(func() { tp.UnregisterSpanProcessor(&r.flight) })
	}
	return r
}

func newRecorder(tb testing.TB, o *Options) *Recorder {
	r := &Recorder{tb: tb, fake: inBubble(), begun: time.Now(), providers: map[string]*profiler.TracerProvider{}, why: noProfiler}
	if o != nil {
		r.opts = *o
	}
	r.opts.CPU = r.opts.CPU || r.opts.Exact
	if r.opts.Service == "" {
		r.opts.Service = "test"
	}
	if r.opts.Patience <= 0 {
		r.opts.Patience = 10 * time.Second
	}
	if r.fake {
		r.why = noCPUInBubble
	}
	return r
}

const (
	noProfiler    = "no profiler runs: make the recorder with spantest.NewWith(t, &spantest.Options{CPU: true})"
	noCPUInBubble = "CPU time cannot be had inside a synctest bubble: its clock stands still while goroutines compute; assert on it in a test of its own, outside of the bubble"
)

// profile joins the profiler that all tests of the process share.
func (r *Recorder) profile() {
	r.tb.Helper()
	if r.fake {
		r.tb.Fatalf("spantest: %s", noCPUInBubble)
	}
	member, err := shared.Join(r.store, &shared.Options{Exact: r.opts.Exact})
	if err != nil {
		r.tb.Fatalf("spantest: %v; use spantest.On with the store and the profiler that the program opens", err)
	}
	r.member, r.prof = member, member.Profiler()
	if r.opts.Exact && !r.armed() {
		r.tb.Fatalf("spantest: no exact states: %s", r.prof.Stats().Exact.Why)
	}
}

// armed waits until the flight recorder runs, and reports whether it does.
func (r *Recorder) armed() bool {
	for end := time.Now().Add(r.opts.Patience); !r.prof.Stats().Exact.Armed; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Provider returns the provider whose spans are recorded: that of Options.Service.
func (r *Recorder) Provider() *profiler.TracerProvider { return r.ServiceProvider(r.opts.Service) }

// ServiceProvider returns the provider of a further service, all of them with one
// store: for tests of several services in one process.
func (r *Recorder) ServiceProvider(service string) *profiler.TracerProvider {
	if tp := r.providers[service]; tp != nil {
		return tp
	}
	// The store has a span before it counts as ended: processors are called in
	// this order.
	opts := append([]sdktrace.TracerProviderOption{
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service))),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // whatever OTEL_TRACES_SAMPLER says
	}, r.opts.Provider...)
	sdk := sdktrace.NewTracerProvider(append(opts,
		sdktrace.WithSpanProcessor(r.store.Processor()), sdktrace.WithSpanProcessor(&r.flight))...)
	tp := r.prof.TracerProvider(sdk)
	r.providers[service] = tp
	return tp
}

// Store returns the recorder's store.
func (r *Recorder) Store() *spanstore.Store { return r.store }

// Profiler returns the profiler, nil without Options.CPU.
func (r *Recorder) Profiler() *profiler.Profiler { return r.prof }

// close flushes what is left and closes what the recorder has opened.
func (r *Recorder) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Patience)
	defer cancel()
	var errs []error
	for _, tp := range r.providers {
		errs = append(errs, tp.Shutdown(ctx))
	}
	return errors.Join(append(errs, r.member.Leave(), r.store.Close())...)
}

// Trace returns the newest trace whose root, or entry span, has this name. It waits
// until all spans of it have ended, and for roots that are under way: the server's
// span ends after its client has had the answer. When there is none, or it does not
// end, the test fails.
//
// Work that begins when all spans of the trace have ended cannot be waited for: who
// expects it asks Find for it, as in `entry name="GET /" trace.spans>=5`.
func (r *Recorder) Trace(root string) *Trace {
	r.tb.Helper()
	return r.Find("entry name=" + strconv.Quote(root))
}

// Find is Trace for the newest trace that a query selects; see
// spanstore.ParseQuery.
func (r *Recorder) Find(query string) *Trace {
	r.tb.Helper()
	t, err := r.Lookup(query)
	if err != nil {
		r.tb.Fatalf("spantest: %v", err)
	}
	return t
}

// Lookup is Find for who wants an error.
func (r *Recorder) Lookup(query string) (*Trace, error) {
	q, err := spanstore.ParseQuery(query)
	if err != nil {
		return nil, err
	}
	tr, err := r.await(q, query)
	if err != nil {
		return nil, err
	}
	traces, err := r.measured(tr)
	if err != nil {
		return nil, err
	}
	return r.trace(traces[0]), nil
}

func (r *Recorder) trace(tr *spanstore.Trace) *Trace {
	t := &Trace{Analysis: stall.Analyze(tr), tb: r.tb, fake: r.fake}
	switch {
	case r.prof == nil || r.fake:
		t.noCPU = r.why
	case slices.ContainsFunc(tr.Spans, r.otherClock):
		t.noCPU = noCPUInBubble
	}
	return t
}

// otherClock reports whether a span began in a bubble that the recorder is not in: time
// starts in the year 2000 there.
func (r *Recorder) otherClock(s spanstore.Span) bool {
	return s.Start.Before(r.begun.AddDate(-1, 0, 0))
}

// capture takes the exact states of traces, if the test wants them. They are asked
// for at the same time: snapshots are a second apart, and one has all of them as far
// as it reaches back.
func (r *Recorder) capture(ids ...trace.TraceID) error {
	if !r.opts.Exact {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Patience)
	defer cancel()
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			if err := r.prof.Capture(ctx, id); err != nil {
				errs[i] = fmt.Errorf("exact states of trace %s: %w", id, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// measured returns the traces with what the profiler has of them.
func (r *Recorder) measured(traces ...*spanstore.Trace) ([]*spanstore.Trace, error) {
	if r.prof == nil || r.fake {
		return traces, nil
	}
	var ids []trace.TraceID
	for _, tr := range traces {
		ids = append(ids, tr.ID)
	}
	if err := r.capture(ids...); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Patience)
	defer cancel()
	if err := r.prof.Refresh(ctx); err != nil { // once for all: a window has a least length
		return nil, fmt.Errorf("CPU time: %w", err)
	}
	out := make([]*spanstore.Trace, len(ids))
	for i, id := range ids {
		var err error
		if out[i], err = r.store.Trace(ctx, id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// otherRoots is how long roots that are under way are waited for when there is a
// trace already: they may be what the test is after, or run as long as the test.
const otherRoots = time.Second

// await returns the newest trace that q selects, whole.
func (r *Recorder) await(q spanstore.Query, text string) (*spanstore.Trace, error) {
	begin, pause := time.Now(), 50*time.Microsecond
	for {
		// Roots are counted first: what ends after that may be missing in the answer.
		roots := r.flight.roots()
		tr, err := r.newest(q)
		if err != nil {
			return nil, err
		}
		waited := time.Since(begin)
		late := waited >= r.opts.Patience
		if tr == nil && late {
			return nil, fmt.Errorf("no trace meets %s after %v; %s", text, r.opts.Patience, r.others())
		}
		if tr != nil {
			running := r.flight.of(tr.ID)
			switch {
			case len(running) == 0 && (roots == 0 || waited >= otherRoots):
				return r.store.Trace(context.Background(), tr.ID) // with what ended meanwhile
			case len(running) > 0 && late:
				return nil, fmt.Errorf("trace %s is not over after %v: still running: %s\n%s", text, r.opts.Patience,
					strings.Join(running, ", "), indent(r.trace(tr).Outline()))
			}
		}
		time.Sleep(pause)
		pause = min(2*pause, 5*time.Millisecond)
	}
}

// newest returns the trace that q selects which began last; nil when there is none
// yet. Under fake time several begin in one instant: the one counts whose root came
// last.
func (r *Recorder) newest(q spanstore.Query) (*spanstore.Trace, error) {
	ctx := context.Background()
	var best *spanstore.Summary
	for more := true; more; {
		page, err := r.store.Traces(ctx, q)
		if err != nil {
			return nil, err
		}
		q.Cursor = page.Cursor
		more = q.Order == spanstore.NewestFirst && page.Cursor != ""
		for i := range page.Traces {
			switch s := &page.Traces[i]; {
			case best == nil:
				best = s
			case q.Order != spanstore.NewestFirst || !s.Start.Equal(best.Start):
				more = false
			case r.flight.order(s.TraceID) > r.flight.order(best.TraceID):
				best = s
			}
		}
	}
	if best == nil {
		return nil, nil
	}
	return r.store.Trace(ctx, best.TraceID)
}

// others says what traces there are, for a test that looked for another.
func (r *Recorder) others() string {
	page, err := r.store.Traces(context.Background(), spanstore.Query{Limit: 10})
	switch {
	case err != nil:
		return err.Error()
	case len(page.Traces) == 0:
		if running := r.flight.names(); len(running) > 0 {
			return "nothing has ended yet; running: " + strings.Join(running, ", ")
		}
		return "nothing was recorded at all: does the code under test take its tracers from Recorder.Provider?"
	}
	var names []string
	for _, s := range page.Traces {
		names = append(names, fmt.Sprintf("%s (%d spans)", s.Name, s.Spans))
	}
	return "there are " + strings.Join(names, ", ")
}
