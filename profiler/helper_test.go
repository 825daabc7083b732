package profiler_test

import (
	"bytes"
	"context"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// service is what a program has that uses the profiler.
type service struct {
	store *spanstore.Store
	prof  *profiler.Profiler
	tp    *profiler.TracerProvider
	trace.Tracer
}

var shop = resource.NewSchemaless(attribute.String("service.name", "shop"))

// quick makes tests short: windows may end after 100 ms.
var quick = &profiler.Options{MinWindow: 100 * time.Millisecond}

// newService starts a profiler on a store in memory, and stops it at the end of
// the test, when no goroutine may be left.
func newService(t testing.TB, o *profiler.Options) *service {
	t.Helper()
	before := goleak.IgnoreCurrent()
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	prof, err := profiler.Start(store, o)
	if err != nil {
		t.Fatal(err)
	}
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()), sdktrace.WithResource(shop))
	tp := prof.TracerProvider(sdk)
	t.Cleanup(func() {
		if s := prof.Stats(); s.Panics != 0 || s.Errors != 0 {
			t.Errorf("got %d panics and %d errors, the last %q; want none", s.Panics, s.Errors, s.LastError)
		}
		if err := prof.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := tp.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		goleak.VerifyNone(t, before)
	})
	return &service{store: store, prof: prof, tp: tp, Tracer: tp.Tracer("test")}
}

// refresh waits until all CPU time used so far is in the store.
func (s *service) refresh(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.prof.Refresh(ctx); err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	if err := s.store.Flush(ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// usage returns what the store has of the span, which must have ended.
func (s *service) usage(t testing.TB, span trace.Span) spanstore.Usage {
	t.Helper()
	return s.trace(t, span).Usage[span.SpanContext().SpanID()]
}

func (s *service) trace(t testing.TB, span trace.Span) *spanstore.Trace {
	t.Helper()
	tr, err := s.store.Trace(context.Background(), span.SpanContext().TraceID())
	if err != nil {
		t.Fatalf("Trace: %v", err)
	}
	return tr
}

// labelsHere returns the pprof labels of the calling goroutine, as a goroutine
// profile has them.
func labelsHere(t testing.TB) map[string]string {
	t.Helper()
	var buf bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&buf, 0); err != nil {
		t.Fatal(err)
	}
	prof, err := profile.Parse(&buf)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, s := range prof.Sample {
		if !inStack(s, "profiler_test.labelsHere") {
			continue
		}
		for k, v := range s.Label {
			labels[k] = v[0]
		}
		return labels
	}
	t.Fatal("the calling goroutine is not in the goroutine profile")
	return nil
}

func inStack(s *profile.Sample, function string) bool {
	for _, l := range s.Location {
		for _, line := range l.Line {
			if suffix(line.Function.Name, function) {
				return true
			}
		}
	}
	return false
}

func suffix(s, end string) bool { return len(s) >= len(end) && s[len(s)-len(end):] == end }

// carries fails the test unless the calling goroutine has the label of span,
// and no span label at all for a nil span.
func carries(t testing.TB, when string, span trace.Span) {
	t.Helper()
	want := ""
	if span != nil {
		want = span.SpanContext().SpanID().String()
	}
	if got := labelsHere(t)["span_id"]; got != want {
		t.Errorf("%s: got span_id %q on the goroutine; want %q", when, got, want)
	}
}

// hasLabel fails the test unless the calling goroutine has the label.
func hasLabel(t testing.TB, when, key, want string) {
	t.Helper()
	if got := labelsHere(t)[key]; got != want {
		t.Errorf("%s: got label %s=%q on the goroutine; want %q", when, key, got, want)
	}
}

// eventually waits until cond is true.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for this: %s", what)
		}
	}
}

var sink uint64

// burnCPU keeps one CPU busy for d of wall time.
//
//go:noinline
func burnCPU(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		x := sink | 1
		for range 100_000 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		sink = x
	}
}
