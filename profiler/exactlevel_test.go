package profiler

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// exactProfiler is a profiler whose flight recorder runs, with a tracer.
func exactProfiler(t *testing.T) (*Profiler, trace.Tracer) {
	t.Helper()
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(store, &Options{Exact: ExactAuto})
	if err != nil {
		t.Fatal(err)
	}
	tp := p.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	t.Cleanup(func() {
		_ = p.Stop()
		_ = tp.Shutdown(context.Background())
		_ = store.Close()
	})
	for range 400 {
		if p.exact.armed.Load() {
			return p, tp.Tracer("test")
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Skipf("the flight recorder is not to be had: %+v", p.Stats().Exact)
	return nil, nil
}

// offFor wants the exact level to be off, for a reason.
func offFor(t *testing.T, p *Profiler, why string) {
	t.Helper()
	if x := p.Stats().Exact; x.Armed || !strings.Contains(x.Why, why) {
		t.Errorf("got armed %v, %q; want it off: %q", x.Armed, x.Why, why)
	}
}

// fromTheFuture is a flight recorder of a Go that this build's parser does not know.
type fromTheFuture struct{ recorder }

func (fromTheFuture) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, bytes.NewReader(append([]byte("go 1.99 trace\x00\x00\x00"), make([]byte, 4096)...)))
}

// TestNewerFormat: a trace that cannot be read switches the exact level off for good,
// says so, and fails nothing.
func TestNewerFormat(t *testing.T) {
	p, tracer := exactProfiler(t)
	p.exact.mu.Lock()
	p.exact.flight = fromTheFuture{p.exact.flight}
	p.exact.mu.Unlock()
	_, span := tracer.Start(context.Background(), "GET /slow")
	span.End()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.Capture(ctx, span.SpanContext().TraceID()); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("Capture: got %v; want the reason", err)
	}
	offFor(t, p, "newer than this build's parser")
	p.Pause()
	p.Resume()
	p.exact.decide(0, 1) // it would arm again, if it were not for good
	offFor(t, p, "newer than this build's parser")
	if err := p.Capture(ctx, span.SpanContext().TraceID()); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("Capture: got %v; want the reason", err)
	}
	if s := p.Stats(); s.Errors != 0 || s.Panics != 0 {
		t.Errorf("got %d errors and %d panics; want none", s.Errors, s.Panics)
	}
}

// cutOff is a flight recorder whose traces are damaged.
type cutOff struct{ recorder }

func (cutOff) WriteTo(io.Writer) (int64, error) { return 0, errors.New("cut off") }

// TestCaptureFails: who asks for a snapshot that cannot be had is told so.
func TestCaptureFails(t *testing.T) {
	p, tracer := exactProfiler(t)
	_, span := tracer.Start(context.Background(), "GET /slow")
	span.End()
	p.exact.mu.Lock()
	p.exact.flight = cutOff{p.exact.flight}
	p.exact.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.Capture(ctx, span.SpanContext().TraceID()); err == nil {
		t.Error("got no error from a trace that cannot be read")
	}

	p.exact.mu.Lock()
	p.exact.last = time.Now().Add(time.Hour) // the next snapshot is far away
	p.exact.after = p.exact.last
	p.exact.mu.Unlock()
	failed := make(chan error, 1)
	go func() { failed <- p.Capture(ctx, span.SpanContext().TraceID()) }()
	for waits := false; !waits; {
		p.exact.mu.Lock()
		waits = len(p.exact.asked) > 0
		p.exact.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	p.exact.disarm("it costs too much", time.Hour)
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "it costs too much") {
		t.Errorf("got %v; want why the exact level went off", err)
	}
}

// TestAskedWhileOff: a request that asked for its exact states and ends when the
// recorder has been switched off is missed, and does not switch it on again.
func TestAskedWhileOff(t *testing.T) {
	p, tracer := exactProfiler(t)
	_, span := tracer.Start(context.Background(), "GET /slow")
	if !p.CaptureAtEnd(span.SpanContext().TraceID()) {
		t.Fatal("CaptureAtEnd: got false; want true")
	}
	p.exact.disarm("it costs too much", time.Hour)
	before := p.Stats().Exact
	span.End()
	p.exact.decide(0, 1)
	offFor(t, p, "it costs too much")
	if got := p.Stats().Exact; got.Slow != before.Slow+1 || got.Missed != before.Missed+1 {
		t.Errorf("got %d slow and %d missed, after %d and %d; want one more each", got.Slow, got.Missed, before.Slow, before.Missed)
	}
}

// TestTooMuchForTheRecorder: above the rate of events or the number of goroutines that
// would cost too much, and when the governor has switched the profiler off, the flight
// recorder stops at once, and says why.
func TestTooMuchForTheRecorder(t *testing.T) {
	p, _ := exactProfiler(t)
	for _, tt := range []struct {
		name       string
		events     float64
		goroutines int
		rests      bool
		why        string
	}{
		{"events", maxEvents + 1, 10, false, "200001 scheduling events a second are too many"},
		{"goroutines", 10, maxRecorded + 1, false, "20001 goroutines are too many"},
		{"governor", 10, 10, true, holeBudget},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.rests.Store(tt.rests)
			p.exact.decide(tt.events, tt.goroutines)
			offFor(t, p, tt.why)
			p.exact.mu.Lock()
			wait := time.Until(p.exact.after)
			p.exact.mu.Unlock()
			if wait < exactRetry/2 {
				t.Errorf("it would be tried again in %v; want a while", wait)
			}
			p.rests.Store(false)
			p.exact.decide(0, 1)
			if p.exact.armed.Load() {
				t.Error("it was armed at once; want it to wait")
			}
			p.exact.mu.Lock()
			p.exact.after = time.Time{}
			p.exact.mu.Unlock()
			p.exact.decide(0, 1)
			if !p.exact.armed.Load() {
				t.Fatalf("it was not armed afterwards: %+v", p.Stats().Exact)
			}
		})
	}
}

// TestExactSpending: what the exact level's goroutines use is judged twice a minute;
// above the budget it goes off, for longer each time.
func TestExactSpending(t *testing.T) {
	s := &spending{budget: 0.01}
	feed := func(share float64, snapshots time.Duration) (why string, off time.Duration) {
		for range 3 {
			g := glance{length: 10 * time.Second, cpus: 2, exact: time.Duration(share*20*float64(time.Second)) + snapshots}
			if w, o := s.observe(g, snapshots); w != "" {
				why, off = w, o
			}
		}
		return why, off
	}
	for i, tt := range []struct {
		share     float64
		snapshots time.Duration
		off       time.Duration
	}{
		{0.009, 0, 0},
		{0.009, time.Second, 0}, // the pauses see to snapshots
		{0.02, 0, exactRetry},
		{0.02, 0, 2 * exactRetry},
		{0.02, time.Second, 4 * exactRetry},
		{0.001, 0, 0},
		{0.001, 0, 0},
		{0.02, 0, 2 * exactRetry},
	} {
		why, off := feed(tt.share, tt.snapshots)
		if off != tt.off || (off > 0) != strings.Contains(why, "2 % of 1 %") {
			t.Errorf("step %d: got %q, off for %v; want off for %v", i, why, off, tt.off)
		}
	}
	for range 20 {
		feed(1, 0)
	}
	if s.off > quietMax {
		t.Errorf("got off for %v; want an hour at most", s.off)
	}
}

// TestGovernorDisarms: the exact level above its budget is off, and Stats say so.
func TestGovernorDisarms(t *testing.T) {
	p, _ := exactProfiler(t)
	for range 3 {
		p.govern(glance{length: 10 * time.Second, exact: 30 * time.Second})
	}
	offFor(t, p, "its background CPU was")
	if l := p.Stats().Governor.Level; l != LevelFull {
		t.Errorf("got level %v; want the sampled level to go on", l)
	}
}
