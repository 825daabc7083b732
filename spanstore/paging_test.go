package spanstore_test

import (
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// In both orders, with and without conditions, pages hold each trace that was
// there from the start once and in order, whatever arrives between them: newer
// and older traces, longer and shorter ones, and late spans of traces known.
func TestPagesWhileSpansArrive(t *testing.T) {
	t.Logf("seed %d", *seed)
	for _, text := range []string{"", "rows>=20", "order=longest", "order=longest rows>=20 kind=client", "trace.errors=0 order=longest"} {
		t.Run(text, func(t *testing.T) {
			g := spangen.New(*seed)
			s := open(t, t.TempDir(), &spanstore.Options{MaxBytes: 8 << 20})
			q, err := spanstore.ParseQuery(text)
			if err != nil {
				t.Fatal(err)
			}
			base := time.Unix(1_700_000_000, 0)
			request := func() []tracetest.SpanStub {
				return g.Request(base.Add(time.Duration(g.Int64N(int64(time.Hour)))), 2+g.IntN(5))
			}
			var roots []tracetest.SpanStub
			for range 150 {
				stubs := request()
				roots = append(roots, stubs[len(stubs)-1])
				export(t, s, stubs...)
			}
			want := list(t, s, q)
			there := map[trace.TraceID]bool{}
			for _, id := range want {
				there[id] = true
			}
			var got []trace.TraceID
			for q.Limit = 7; ; {
				p, err := s.Traces(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, tr := range p.Traces {
					if there[tr.TraceID] {
						got = append(got, tr.TraceID)
					}
				}
				if q.Cursor = p.Cursor; q.Cursor == "" {
					break
				}
				for range 6 {
					export(t, s, request()...)
				}
				late := roots[g.IntN(len(roots))]
				late.Parent, late.SpanContext = late.SpanContext, late.SpanContext.WithSpanID(g.SpanID())
				late.Status.Code = 0
				export(t, s, late)
				if g.IntN(4) == 0 {
					flush(t, s)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %d traces; want %d in the same order", len(got), len(want))
			}
		})
	}
}

// A page's cursor is of its order.
func TestCursorsOfOtherOrders(t *testing.T) {
	s := open(t, "", nil)
	g := spangen.New(1)
	for i := range 5 {
		export(t, s, g.Request(time.Unix(int64(i), 0), 2)...)
	}
	for _, order := range []spanstore.Order{spanstore.NewestFirst, spanstore.LongestFirst} {
		p, err := s.Traces(t.Context(), spanstore.Query{Order: order, Limit: 2})
		if err != nil || p.Cursor == "" {
			t.Fatalf("got cursor %q, %v", p.Cursor, err)
		}
		if _, err := s.Traces(t.Context(), spanstore.Query{Order: 1 - order, Limit: 2, Cursor: p.Cursor}); err == nil {
			t.Errorf("%v takes the cursor %q", 1-order, p.Cursor)
		}
	}
}
