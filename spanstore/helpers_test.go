package spanstore_test

import (
	"context"
	"encoding/binary"
	"flag"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of random tests")

func open(tb testing.TB, dir string, o *spanstore.Options) *spanstore.Store {
	tb.Helper()
	s, err := spanstore.Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

func reopen(tb testing.TB, s *spanstore.Store, o *spanstore.Options) *spanstore.Store {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return open(tb, s.Dir(), o)
}

func export(tb testing.TB, s *spanstore.Store, stubs ...tracetest.SpanStub) {
	tb.Helper()
	spans := make([]sdktrace.ReadOnlySpan, len(stubs))
	for i := range stubs {
		spans[i] = stubs[i].Snapshot()
	}
	if err := s.ExportSpans(context.Background(), spans); err != nil {
		tb.Fatal(err)
	}
}

// heavy returns n requests of 5 spans that take 10 kB a request on disk, as they
// hardly compress: few of them turn a ring.
func heavy(g *spangen.Gen, n int) (out []tracetest.SpanStub) {
	for range n {
		stubs := g.Request(time.Now(), 5)
		for i := range stubs {
			stubs[i].Attributes = append(stubs[i].Attributes, attribute.String("noise", noise(g, 2000)))
		}
		out = append(out, stubs...)
	}
	return out
}

// noise returns n bytes that do not compress.
func noise(g *spangen.Gen, n int) string {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, g.Uint64())
	}
	return string(b[:n])
}

func flush(tb testing.TB, s *spanstore.Store) {
	tb.Helper()
	if err := s.Flush(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

// stub is a stored span in the form that tests make them.
func stub(s spanstore.Span) tracetest.SpanStub {
	return tracetest.SpanStub{
		Name: s.Name, SpanContext: s.SpanContext, Parent: s.Parent, SpanKind: s.Kind, StartTime: s.Start, EndTime: s.End,
		Attributes: s.Attributes, Events: s.Events, Links: s.Links, Status: s.Status,
		DroppedAttributes: s.DroppedAttributes, DroppedEvents: s.DroppedEvents, DroppedLinks: s.DroppedLinks,
		ChildSpanCount: s.ChildSpanCount, Resource: s.Resource, InstrumentationScope: s.Scope,
	}
}

// wantSpans checks that the store holds exactly these spans of the trace.
func wantSpans(tb testing.TB, s *spanstore.Store, id trace.TraceID, want []tracetest.SpanStub) {
	tb.Helper()
	tr, err := s.Trace(context.Background(), id)
	if err != nil {
		tb.Fatalf("trace %s: %v", id, err)
	}
	if len(tr.Problems) > 0 {
		tb.Errorf("trace %s has problems: %q", id, tr.Problems)
	}
	if len(tr.Spans) != len(want) {
		tb.Fatalf("trace %s: got %d spans; want %d", id, len(tr.Spans), len(want))
	}
	byID := map[trace.SpanID]tracetest.SpanStub{}
	for _, w := range want {
		byID[w.SpanContext.SpanID()] = w
	}
	for _, got := range tr.Spans {
		w, ok := byID[got.SpanID()]
		if !ok {
			tb.Fatalf("trace %s: span %s was never stored", id, got.SpanID())
		}
		if diff := spangen.Diff(stub(got), w); diff != "" {
			tb.Fatalf("trace %s: %s", id, diff)
		}
	}
	if !slices.IsSortedFunc(tr.Spans, func(a, b spanstore.Span) int { return a.Start.Compare(b.Start) }) {
		tb.Errorf("trace %s: spans are not in the order of their starts", id)
	}
}

// list pages through a query, and returns all ids in the order they came.
func list(tb testing.TB, s *spanstore.Store, q spanstore.Query) (ids []trace.TraceID) {
	tb.Helper()
	for range 10_000 {
		p, err := s.Traces(context.Background(), q)
		if err != nil {
			tb.Fatal(err)
		}
		for _, t := range p.Traces {
			ids = append(ids, t.TraceID)
		}
		if q.Cursor = p.Cursor; q.Cursor == "" {
			return ids
		}
	}
	tb.Fatal("paging does not end")
	return nil
}

// segments returns the paths of a directory's segment files, oldest first.
func segments(tb testing.TB, dir string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		tb.Fatal(err)
	}
	return paths
}
