package spanstore_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore"
)

// heap is what the process holds of Go's heap.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMaxMemoryEvictsEarly has traces of one small span, of which the index takes
// the most for the least on disk.
func TestMaxMemoryEvictsEarly(t *testing.T) {
	eachRing(t, func(t *testing.T, dir string) {
		const budget, memory = 256 << 20, spanstore.MinMaxMemory
		o := &spanstore.Options{MaxBytes: budget, MaxMemory: memory}
		before := heap()
		s, g := open(t, dir, o), newTraffic()
		first := g.request("GET /")[3:]
		export(t, s, first...)
		batch := make([]tracetest.SpanStub, 512)
		for i := 0; s.Stats().EvictedSegments == 0; i++ {
			for k := range batch {
				b := tracetest.SpanStub{Name: "GET /", SpanContext: first[0].SpanContext, StartTime: g.at, EndTime: g.at.Add(time.Millisecond)}
				b.SpanContext = b.SpanContext.WithTraceID(g.TraceID()).WithSpanID(g.SpanID())
				batch[k] = b
			}
			export(t, s, batch...)
			if st := s.Stats(); st.MemoryBytes > st.MaxMemory || st.MaxMemory != memory {
				t.Fatalf("after %d batches %d bytes of memory are held; want %d at most", i, st.MemoryBytes, st.MaxMemory)
			}
			if i > 4000 {
				t.Fatalf("nothing was evicted: %+v", s.Stats())
			}
		}
		flush(t, s)
		st := s.Stats()
		if st.Bytes > budget/4 || st.Spans+st.EvictedSpans != st.Accepted {
			t.Errorf("stats do not add up: %+v", st)
		}
		if ev, ok := s.Evicted(idOf(first)); !ok || !strings.Contains(ev.Why, "MaxMemory, 8 MiB") {
			t.Errorf("nobody knows why it went: %+v, %v; %d spans in %d segments are gone", ev, ok, st.EvictedSpans, st.EvictedSegments)
		}
		if _, err := s.Trace(context.Background(), idOf(first)); !errors.Is(err, spanstore.ErrNotFound) {
			t.Errorf("an evicted trace: got %v; want ErrNotFound", err)
		}
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		if dir == "" {
			return // the ring is in memory too
		}
		if held := heap() - before; held > 2*memory {
			t.Errorf("the heap grew by %d bytes; %d are counted", held, st.MemoryBytes)
		}
		s = reopen(t, s, o)
		if again := s.Stats(); again.MemoryBytes > memory || again.Spans != st.Spans {
			t.Errorf("after reopening %d spans in %d bytes; want %d in at most %d", again.Spans, again.MemoryBytes, st.Spans, int64(memory))
		}
	})
}

// TestMaxMemoryHoldsWithLargeSpans fills blocks up to their bytes, reads them so
// that the cache fills, and wants the heap bounded.
func TestMaxMemoryHoldsWithLargeSpans(t *testing.T) {
	const memory = 16 << 20
	before := heap()
	s, g := open(t, t.TempDir(), &spanstore.Options{MaxBytes: 8 << 20, MaxMemory: memory}), newTraffic()
	for i := range 600 {
		stubs := g.request("GET /large")
		for k := range stubs {
			stubs[k].Attributes = append(stubs[k].Attributes, attribute.String("body", noise(g.Gen, 10_000)))
		}
		export(t, s, failed(stubs)...)
		if i%20 == 0 {
			if _, err := s.Trace(context.Background(), idOf(stubs)); err != nil {
				t.Fatal(err)
			}
		}
		if st := s.Stats(); st.MemoryBytes > memory {
			t.Fatalf("%d bytes of memory are held; want %d at most", st.MemoryBytes, int64(memory))
		}
	}
	flush(t, s)
	if held := heap() - before; held > 2*memory {
		t.Errorf("the heap grew by %d bytes; %d are counted", held, s.Stats().MemoryBytes)
	}
	if st := s.Stats(); st.Dropped() > 0 || st.EvictedSegments == 0 {
		t.Errorf("want nothing dropped and a ring that has turned: %+v", st)
	}
}

func TestMaxMemoryHasAMinimum(t *testing.T) {
	for _, n := range []int64{-1, 1, spanstore.MinMaxMemory - 1} {
		s, err := spanstore.Open("", &spanstore.Options{MaxMemory: n})
		if err == nil || !strings.Contains(err.Error(), "at least 8388608 (8 MiB)") {
			t.Errorf("MaxMemory %d: got %v, %v; want an error that names the least", n, s, err)
		}
	}
}
