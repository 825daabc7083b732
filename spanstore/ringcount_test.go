package spanstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// single returns a trace of one span.
func single(g *spangen.Gen, attrs ...attribute.KeyValue) tracetest.SpanStub {
	s := g.Request(time.Now(), 1)[0]
	s.Attributes = append(s.Attributes, attrs...)
	return s
}

// offer gives spans to a store of the inside.
func offer(tb testing.TB, s *Store, stubs ...tracetest.SpanStub) {
	tb.Helper()
	if err := s.ExportSpans(context.Background(), tracetest.SpanStubs(stubs).Snapshots()); err != nil {
		tb.Fatal(err)
	}
}

// A service with a span now and then has its open block written again and again:
// the index has it once, and one segment takes all of it.
func TestRewritesDoNotFillASegment(t *testing.T) {
	s, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g := spangen.New(1)
	span := single(g)
	for range 12_000 {
		span.SpanContext = span.SpanContext.WithTraceID(g.TraceID()).WithSpanID(g.SpanID())
		offer(t, s, span)
		if err := s.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Segments > 2 || st.Spans != 12_000 {
		t.Errorf("%d spans are in %d segments; want 12000 in at most 2", st.Spans, st.Segments)
	}
	betweenCommits(t, s, func() error {
		var all int64
		for _, info := range s.infos {
			if info.seg == s.ring.active {
				all += info.memory()
			}
		}
		if s.ring.indexed != all {
			return fmt.Errorf("the active segment's part of the index is said to be %d bytes; it is %d", s.ring.indexed, all)
		}
		return nil
	})
}

// However little is in them, segments do not become too many.
func TestSegmentsAreCounted(t *testing.T) {
	s, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g := spangen.New(1)
	first := single(g)
	offer(t, s, first)
	most := countFactor * s.layout.segments
	for range most + 4 {
		offer(t, s, single(g))
		s.mu.Lock()
		s.closeOpen() // else it has all of them, in every segment
		s.mu.Unlock()
		if err := s.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		betweenCommits(t, s, s.ring.rotate)
	}
	if n := s.Stats().Segments; n != most {
		t.Errorf("there are %d segments; want %d", n, most)
	}
	id := first.SpanContext.TraceID()
	if _, err := s.Trace(context.Background(), id); !errors.Is(err, ErrNotFound) {
		t.Errorf("the first trace: got %v; want ErrNotFound", err)
	}
	if ev, ok := s.Evicted(id); !ok || !strings.Contains(ev.Why, "more than 64 segments") {
		t.Errorf("nobody knows why it went: %+v, %v", ev, ok)
	}
	// A directory that another version left may have more.
	betweenCommits(t, s, func() error {
		for range 5 {
			s.ring.sealed = append(s.ring.sealed, sealedSegment{newMemSegment(s.ring.next), time.Now()})
			s.ring.next++
		}
		s.ring.tidy(time.Now())
		return nil
	})
	if n := s.Stats().Segments; n != most {
		t.Errorf("after tidying there are %d segments; want %d", n, most)
	}
}
