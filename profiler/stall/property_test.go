package stall_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// TestAnalyzeHoldsForRandomTraces lets parents be anything: missing, younger,
// the span itself, a circle. Every span must come out once and every sum agree.
func TestAnalyzeHoldsForRandomTraces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		n := 1 + r.IntN(30)
		spans := make([]span, n)
		for i := range spans {
			start := float64(r.IntN(100))
			spans[i] = span{
				id:     1 + uint64(r.IntN(n+n/4)),
				parent: uint64(r.IntN(n + 2)),
				name:   "s",
				start:  start,
				end:    start + float64(r.IntN(60)-5),
				kind:   trace.SpanKind(r.IntN(6)),
			}
		}
		tr := literal(spans...)
		for i := range spans {
			if r.IntN(3) == 0 {
				sample(tr, spans[i].id, r.IntN(8))
			}
			if r.IntN(2) == 0 {
				u := tr.Usage[spanID(spans[i].id)]
				u.Exact = anyExact(r, at(spans[i].start+float64(r.IntN(20)-5)))
				tr.Usage[spanID(spans[i].id)] = u
			}
		}
		if r.IntN(2) == 0 {
			tr.Windows = append(tr.Windows, window(float64(r.IntN(60)-20), float64(40+r.IntN(100)), ""), window(0, 30, "busy"))
		}
		a := stall.Analyze(tr)
		check(t, a)
		seen := map[*spanstore.Span]bool{}
		for i := range a.Nodes {
			seen[a.Nodes[i].Span] = true
		}
		if len(seen) != n || len(a.Nodes) != n {
			t.Fatalf("got %d different spans in %d nodes; want %d of %+v", len(seen), len(a.Nodes), n, spans)
		}
	}
}

// anyExact is what an execution trace might tell, in the order that the store sees
// to, but for that whatever anybody may have written.
func anyExact(r *rand.Rand, start time.Time) *spanstore.Exact {
	e := &spanstore.Exact{Start: start, End: start.Add(time.Duration(r.IntN(90)) * ms), Running: time.Duration(r.IntN(90)-9) * ms,
		Stolen: time.Duration(r.IntN(90)-9) * ms, StolenLow: time.Duration(r.IntN(90)-9) * ms, StolenHigh: time.Duration(r.IntN(90)-9) * ms}
	from := time.Duration(0)
	for range r.IntN(12) {
		from += time.Duration(r.IntN(5)) * ms
		to := from + time.Duration(1+r.IntN(20))*ms
		state := []string{"cpu", "cpu", "lock", "net", "runnable", "steal", "covered", "unknown", "no such state", ""}[r.IntN(10)]
		e.Segments = append(e.Segments, spanstore.StateSegment{From: from, To: to, State: state, Stolen: time.Duration(r.IntN(40)-9) * ms, Wait: r.IntN(6) - 2})
		from = to
	}
	for range r.IntN(4) {
		e.Waits = append(e.Waits, spanstore.Wait{State: "lock", Total: time.Duration(r.IntN(50)) * ms})
	}
	return e
}

// TestAnalyzeStandsGreatTraces takes shapes that a quadratic or recursive analysis
// would not survive. How the work grows TestAnalyzeGrowsByNLogN measures.
func TestAnalyzeStandsGreatTraces(t *testing.T) {
	const n = 100_000
	for _, tt := range []struct {
		name string
		span func(i int) span
	}{
		{"wide", func(i int) span {
			return span{parent: min(uint64(i), 1), start: float64(i) / 10, end: float64(i+2) / 10}
		}},
		{"wide and parallel", func(i int) span {
			return span{parent: min(uint64(i), 1), start: float64(i) / 100, end: n - float64(i)/100}
		}},
		{"deep", func(i int) span { return span{parent: uint64(i), start: float64(i) / 100, end: 2*n - float64(i)/100} }},
		{"one circle", func(i int) span { return span{parent: uint64((i+n-1)%n + 1), start: float64(i), end: n + float64(i)} }},
		{"all lost", func(i int) span { return span{parent: n + 7, start: float64(i), end: float64(i) + 3} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spans := make([]span, n)
			for i := range spans {
				spans[i] = tt.span(i)
				spans[i].id = uint64(i + 1)
			}
			spans[0].end = max(spans[0].end, n/10+1)
			tr := literal(spans...)
			for i := range 1000 {
				tr.Windows = append(tr.Windows, window(float64(i)*200, float64(i)*200+199, ""), window(float64(i)*200+199, float64(i)*200+200, "gap"))
			}
			a := stall.Analyze(tr)
			if len(a.Nodes) != n {
				t.Fatalf("got %d nodes; want %d", len(a.Nodes), n)
			}
			var path time.Duration
			for i := range a.Nodes {
				path += a.Nodes[i].CriticalTime()
			}
			if path != a.Critical {
				t.Errorf("critical path: got %v; want %v", path, a.Critical)
			}
			for _, p := range a.Problems {
				if len(p) > 1000 {
					t.Errorf("a problem of %d bytes", len(p))
				}
			}
		})
	}
}

// FuzzAnalyze reads spans from arbitrary bytes, 18 a span.
func FuzzAnalyze(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := &spanstore.Trace{Usage: map[trace.SpanID]spanstore.Usage{}}
		for ; len(b) >= 18; b = b[18:] {
			s := spanstore.Span{
				SpanContext: trace.NewSpanContext(trace.SpanContextConfig{SpanID: spanID(uint64(b[0]))}),
				Parent:      trace.NewSpanContext(trace.SpanContextConfig{SpanID: spanID(uint64(b[1] & 0x7f)), Remote: b[1]&0x80 != 0}),
				Kind:        trace.SpanKind(b[0] & 7),
				Name:        string(b[:2]),
			}
			from, to := int64(binary.BigEndian.Uint64(b[2:])), int64(binary.BigEndian.Uint64(b[10:]))
			if from != 0 {
				s.Start = time.Unix(0, from)
			}
			if to != 0 {
				s.End = time.Unix(to>>16, 0)
			}
			tr.Spans = append(tr.Spans, s)
			tr.Usage[s.SpanID()] = spanstore.Usage{Samples: int(int8(b[9])), CPU: time.Duration(to), Stacks: []spanstore.Stack{{Samples: 3}}}
			tr.Windows = append(tr.Windows, spanstore.Window{Start: s.End, End: s.Start, Period: time.Duration(b[5])})
		}
		for _, a := range []*stall.Analysis{stall.Analyze(tr), stall.AnalyzeLive(tr, time.Unix(0, 1))} {
			if len(a.Nodes) != len(tr.Spans) {
				t.Fatalf("got %d nodes; want %d", len(a.Nodes), len(tr.Spans))
			}
			for i := range a.Nodes {
				n := &a.Nodes[i]
				if sum(n.SelfSegments)+sum(n.CoveredSegments) != n.Wall() {
					t.Fatalf("node %d: self %v and covered %v; want %v", i, n.SelfSegments, n.CoveredSegments, n.Wall())
				}
				_ = n.CPU.String()
			}
			if a.Headline.Strong == "" {
				t.Fatal("no headline")
			}
		}
	})
}

func TestAnalyzeTakesNothing(t *testing.T) {
	for _, tr := range []*spanstore.Trace{nil, {}} {
		a := stall.Analyze(tr)
		if a.Trace == nil || len(a.Problems) != 1 || a.Headline.Strong == "" {
			t.Errorf("Analyze(%v): got %+v; want a problem and a headline", tr, a)
		}
	}
	if got := stall.SummaryCPU(nil).Evidence; got != stall.None {
		t.Errorf("SummaryCPU(nil): got evidence %q; want %q", got, stall.None)
	}
}
