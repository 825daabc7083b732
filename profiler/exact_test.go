package profiler_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"net/http/pprof"
	"runtime/trace"
	"strings"
	"sync"
	"testing"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	exptrace "golang.org/x/exp/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

var exactly = &profiler.Options{MinWindow: 100 * time.Millisecond, Exact: profiler.ExactAuto}

// armed waits until the flight recorder runs.
func (s *service) armed(t testing.TB) {
	t.Helper()
	for range 200 {
		x := s.prof.Stats().Exact
		if x.Armed {
			return
		}
		if strings.Contains(x.Why, "somebody else") {
			t.Skipf("the flight recorder is not to be had: %s", x.Why)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the flight recorder does not run: %+v", s.prof.Stats().Exact)
}

// exact waits until the store has exact states of the span.
func (s *service) exact(t testing.TB, span oteltrace.Span) *spanstore.Exact {
	t.Helper()
	for range 600 {
		if tr, err := s.store.Trace(context.Background(), span.SpanContext().TraceID()); err == nil {
			if e := tr.Usage[span.SpanContext().SpanID()].Exact; e != nil {
				return e
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("no exact states of the span: %+v", s.prof.Stats().Exact)
	return nil
}

// TestSlowRequestIsExact: of a slow request the store has what each of its spans
// did, and the analysis says why.
func TestSlowRequestIsExact(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 100 * time.Millisecond, Exact: profiler.ExactAuto, Slow: 500 * time.Millisecond})
	s.armed(t)
	var mu sync.Mutex
	mu.Lock()
	ctx, root := s.Start(context.Background(), "GET /pay")
	_, child := s.Start(ctx, "charge")
	go func() {
		time.Sleep(600 * time.Millisecond)
		mu.Unlock()
	}()
	mu.Lock()
	child.End()
	root.End()
	_, quick := s.Start(context.Background(), "GET /quick")
	quick.End()

	e := s.exact(t, child)
	var lock time.Duration
	for _, g := range e.Segments {
		if g.State == "lock" {
			lock += g.To - g.From
		}
	}
	if lock < 300*time.Millisecond {
		t.Errorf("got %v waiting for a lock; want 600 ms: %+v", lock, e)
	}
	a := stall.Analyze(s.trace(t, root))
	if len(a.Findings) == 0 || a.Findings[0].Kind != stall.LockWait || !strings.Contains(a.Findings[0].Text, "TestSlowRequestIsExact") {
		t.Errorf("got %+v; want the lock, and where", a.Findings)
	}
	if e := s.trace(t, quick).Usage[quick.SpanContext().SpanID()].Exact; e != nil {
		t.Errorf("a quick request: got %+v; want none", e)
	}
	x := s.prof.Stats().Exact
	if x.Slow != 1 || x.Captured != 1 || x.Missed != 0 || x.Snapshots < 1 || x.Spans != 2 || x.LastBytes == 0 {
		t.Errorf("got %+v; want one slow request, captured, with two spans", x)
	}
}

// TestCapture: what is asked for is there when Capture returns, spans in flight
// included.
func TestCapture(t *testing.T) {
	s := newService(t, exactly)
	s.armed(t)
	_, root := s.Start(context.Background(), "GET /slow")
	time.Sleep(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.prof.Capture(ctx, root.SpanContext().TraceID()); err != nil {
		t.Fatal(err)
	}
	root.End()
	if e := s.usage(t, root).Exact; e == nil || len(e.Segments) == 0 {
		t.Errorf("got %+v; want what it did until it was asked for", e)
	}
}

// TestCaptureOfTheUnknown: of a trace that the recorder knows nothing of Capture says so.
func TestCaptureOfTheUnknown(t *testing.T) {
	s := newService(t, exactly)
	s.armed(t)
	_, root := s.Start(context.Background(), "GET /slow")
	defer root.End()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.prof.Capture(ctx, oteltrace.TraceID{0xab}); !errors.Is(err, profiler.ErrNotRecorded) {
		t.Errorf("got %v; want %v", err, profiler.ErrNotRecorded)
	}
}

// TestExactAmongOthers: a trace that the program takes itself, and a flight
// recorder of its own, work; ours says why it waits.
func TestExactAmongOthers(t *testing.T) {
	f := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	if err := f.Start(); err != nil {
		t.Skip(err)
	}
	s := newService(t, exactly)
	for range 100 {
		if strings.Contains(s.prof.Stats().Exact.Why, "somebody else") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if x := s.prof.Stats().Exact; x.Armed || !strings.Contains(x.Why, "somebody else") {
		t.Errorf("beside another flight recorder: got %+v", x)
	}
	if err := s.prof.Capture(context.Background(), oteltrace.TraceID{1}); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("Capture: got %v; want the reason", err)
	}
	f.Stop()
	var out strings.Builder
	if err := trace.Start(&out); err != nil {
		t.Fatal(err)
	}
	_, span := s.Start(context.Background(), "GET /traced")
	span.End()
	trace.Stop()
	if out.Len() == 0 {
		t.Error("the program's own trace is empty")
	}
}

// TestOthersBesideExact: while our flight recorder runs, the program takes traces of
// its own, by itself and over HTTP. They are whole, and so are ours.
func TestOthersBesideExact(t *testing.T) {
	s := newService(t, exactly)
	s.armed(t)
	slow := func() oteltrace.Span {
		_, span := s.Start(context.Background(), "GET /slow")
		time.Sleep(20 * time.Millisecond)
		span.End()
		return span
	}
	capture := func(when string, span oteltrace.Span) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.prof.Capture(ctx, span.SpanContext().TraceID()); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if e := s.exact(t, span); len(e.Segments) == 0 {
			t.Errorf("%s: got %+v; want what the span did", when, e)
		}
	}
	var own bytes.Buffer
	if err := trace.Start(&own); err != nil {
		t.Skip(err)
	}
	capture("while the program takes a trace", slow())
	trace.Stop()
	wholeTrace(t, own.Bytes())
	capture("after it has", slow())

	done := make(chan []byte)
	go func() {
		w := httptest.NewRecorder()
		pprof.Trace(w, httptest.NewRequest("GET", "/debug/pprof/trace?seconds=1", nil))
		done <- w.Body.Bytes()
	}()
	capture("during /debug/pprof/trace", slow())
	wholeTrace(t, <-done)
	if x := s.prof.Stats().Exact; !x.Armed {
		t.Errorf("got %+v; want our own to go on", x)
	}
}

// wholeTrace reads an execution trace to its end.
func wholeTrace(t *testing.T, b []byte) {
	t.Helper()
	r, err := exptrace.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		if _, err = r.ReadEvent(); err != nil {
			break
		}
		n++
	}
	if !errors.Is(err, io.EOF) || n < 100 {
		t.Errorf("the program's own trace ends after %d events: %v", n, err)
	}
}

// TestCoverage: of the spans of slow requests that a snapshot covers nearly all have
// exact states, also of those that ran side by side on goroutines of their own, and
// what share of the slow requests it was is counted.
func TestCoverage(t *testing.T) {
	s := newService(t, &profiler.Options{MinWindow: 100 * time.Millisecond, Exact: profiler.ExactAuto, Slow: 30 * time.Millisecond})
	s.armed(t)
	var mu sync.Mutex
	var roots []oteltrace.Span
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			ctx, root := s.Start(context.Background(), "GET /slow", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
			var parts sync.WaitGroup
			for range 3 {
				parts.Go(func() {
					ctx, call := s.Start(ctx, "call")
					_, query := s.Start(ctx, "query")
					time.Sleep(20 * time.Millisecond)
					query.End()
					call.End()
				})
			}
			parts.Wait()
			time.Sleep(15 * time.Millisecond)
			root.End()
			mu.Lock()
			roots = append(roots, root)
			mu.Unlock()
		})
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
	eventually(t, "each slow request captured, or missed", func() bool {
		x := s.prof.Stats().Exact
		return x.Slow == 40 && x.Captured+x.Missed == x.Slow
	})
	spans, exact, traces := 0, 0, int64(0)
	for _, root := range roots {
		tr := s.trace(t, root)
		has := 0
		for i := range tr.Spans {
			if tr.Usage[tr.Spans[i].SpanID()].Exact != nil {
				has++
			}
		}
		if has > 0 {
			spans, exact, traces = spans+len(tr.Spans), exact+has, traces+1
		}
	}
	x := s.prof.Stats().Exact
	if traces != x.Captured || traces < 30 {
		t.Errorf("got exact states of %d requests; Stats say %d of %d: %+v", traces, x.Captured, x.Slow, x)
	}
	if 100*exact < 95*spans {
		t.Errorf("got exact states of %d of %d spans; want 95 %%", exact, spans)
	}
	t.Logf("%d of %d requests, %d of %d spans", traces, x.Slow, exact, spans)
}

// TestExactOff: nothing runs, and the reason is told.
func TestExactOff(t *testing.T) {
	s := newService(t, quick)
	if x := s.prof.Stats().Exact; x.Armed || !strings.Contains(x.Why, "Options.Exact") {
		t.Errorf("got %+v", x)
	}
	if err := s.prof.Capture(context.Background(), oteltrace.TraceID{1}); err == nil {
		t.Error("Capture: got no error")
	}
	if err := (*profiler.Profiler)(nil).Capture(context.Background(), oteltrace.TraceID{1}); err == nil {
		t.Error("Capture of nil: got no error")
	}
}

// TestPauseFreesTheFlightRecorder: the program's own works after Pause returns,
// and ours comes back after Resume.
func TestPauseFreesTheFlightRecorder(t *testing.T) {
	s := newService(t, exactly)
	for range 3 {
		s.armed(t)
		s.prof.Pause()
		f := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
		if err := f.Start(); err != nil {
			t.Fatalf("in a pause: %v", err)
		}
		f.Stop()
		s.prof.Resume()
	}
	s.armed(t)
}
