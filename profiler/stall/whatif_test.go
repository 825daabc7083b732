package stall

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// randomTrace makes a tree of n spans, children anywhere in and around their
// parents.
func randomTrace(r *rand.Rand, n int) *spanstore.Trace {
	t := &spanstore.Trace{ID: trace.TraceID{1}}
	id := func(i int) (s trace.SpanID) {
		binary.BigEndian.PutUint64(s[:], uint64(i+1))
		return s
	}
	epoch := time.Unix(1_700_000_000, 0)
	for i := range n {
		s := spanstore.Span{Name: "s", SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: t.ID, SpanID: id(i)}), Start: epoch, End: epoch.Add(time.Second)}
		if i > 0 {
			p := &t.Spans[r.IntN(i)]
			wall := p.End.Sub(p.Start)
			s.Parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: t.ID, SpanID: p.SpanID()})
			s.Start = p.Start.Add(time.Duration(r.Int64N(int64(wall) + 1)))
			s.End = s.Start.Add(time.Duration(r.Int64N(int64(wall)/2 + 1)))
		}
		t.Spans = append(t.Spans, s)
	}
	return t
}

// TestWhatIfNothing: when nothing is taken away every length stays as it was, and
// taking something away never makes a trace longer, nor shorter than nothing.
func TestWhatIfNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		a := Analyze(randomTrace(r, 1+r.IntN(40)))
		w := a.whatIf()
		for i := range a.Nodes {
			w.touch(i)
		}
		if got := w.root(); got != a.Critical {
			t.Fatalf("nothing taken away: got %v; want %v", got, a.Critical)
		}
		for i := range a.Nodes {
			got := a.WallWithout(i)
			if got < 0 || got > a.Critical || i == 0 && got != 0 {
				t.Fatalf("without %d: got %v of %v", i, got, a.Critical)
			}
			if n := &a.Nodes[i]; a.Critical-got > n.Wall() || !n.Awaited && got != a.Critical {
				t.Fatalf("without %d: saves %v of its %v", i, a.Critical-got, n.Wall())
			}
		}
		if got := a.WallWithout(-1, len(a.Nodes)); got != a.Critical {
			t.Fatalf("without none: got %v; want %v", got, a.Critical)
		}
	}
}
