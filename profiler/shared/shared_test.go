package shared_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/shared"
	"github.com/spanclock/spanclock/spanstore"
)

func open(t *testing.T) *spanstore.Store {
	t.Helper()
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// burn makes a span that uses CPU time.
func burn(m *shared.Member, store *spanstore.Store) trace.SpanContext {
	tp := m.Profiler().TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	_, span := tp.Tracer("test").Start(context.Background(), "burn")
	defer span.End()
	x := uint64(1)
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		for range 10_000 {
			x = x*31 + 7
		}
	}
	sink.Store(x)
	return span.SpanContext()
}

var sink atomic.Uint64

// TestMembers lets two stores share the profiler: each gets the CPU time of its own
// spans, also from the last window, which ends as the last one leaves.
func TestMembers(t *testing.T) {
	before := goleak.IgnoreCurrent()
	stores := []*spanstore.Store{open(t), open(t)}
	var told atomic.Int64
	one, err := shared.Join(stores[0], &shared.Options{OnUsage: func(b spanstore.UsageBatch) { told.Add(int64(len(b.Spans))) }})
	if err != nil {
		t.Fatal(err)
	}
	other, err := shared.Join(stores[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	if one.Profiler() != other.Profiler() {
		t.Error("got two profilers; want one")
	}
	spans := []trace.SpanContext{burn(one, stores[0]), burn(other, stores[1])}
	if err := one.Profiler().Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*shared.Member{one, other, other} { // twice is harmless
		if err := m.Leave(); err != nil {
			t.Error(err)
		}
	}
	for i, store := range stores {
		tr, err := store.Trace(t.Context(), spans[i].TraceID())
		if err != nil {
			t.Fatal(err)
		}
		if len(tr.Spans) != 1 || tr.Usage[spans[i].SpanID()].Samples == 0 || len(tr.Windows) == 0 {
			t.Errorf("store %d: got %d spans, %d samples, %d windows; want one span with samples and a window",
				i, len(tr.Spans), tr.Usage[spans[i].SpanID()].Samples, len(tr.Windows))
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	if told.Load() < 2 {
		t.Errorf("OnUsage was told of %d spans; want both", told.Load())
	}
	goleak.VerifyNone(t, before)
}

// TestAfterTheLast starts a profiler of the program's own when all have left.
func TestAfterTheLast(t *testing.T) {
	m, err := shared.Join(open(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Leave(); err != nil {
		t.Fatal(err)
	}
	prof, err := profiler.Start(open(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	if _, err := shared.Join(open(t), nil); err == nil || !strings.Contains(err.Error(), "one is running in this process already") {
		t.Errorf("got %v beside the program's own profiler; want an error that says so", err)
	}
}

func TestExactLater(t *testing.T) {
	m, err := shared.Join(open(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Leave()
	if _, err := shared.Join(open(t), &shared.Options{Exact: true}); err == nil || !strings.Contains(err.Error(), "exact states") {
		t.Errorf("got %v; want an error about exact states", err)
	}
}

func TestNobody(t *testing.T) {
	var m *shared.Member
	if m.Profiler() != nil || m.Leave() != nil {
		t.Error("a nil member has a profiler, or cannot leave")
	}
}
