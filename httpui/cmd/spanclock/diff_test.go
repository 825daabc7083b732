package main

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// TestMannWhitney compares with what R's wilcox.test says.
func TestMannWhitney(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b []float64
		want float64
	}{
		{"exact, from R's own example", []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}, []float64{1.15, 0.88, 0.90, 0.74, 1.21}, 0.254412},
		{"apart", []float64{1, 2, 3}, []float64{4, 5, 6}, 0.1},
		{"four apart", []float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70},
		{"all the same", []float64{1, 1, 1}, []float64{1, 1}, 1},
		{"none", nil, []float64{1}, 1},
		// U is 1.5 and 8 on average; three pairs are equal.
		{"ties", []float64{1, 2, 2, 3}, []float64{3, 4, 4, 2.5}, math.Erfc((8 - 1.5 - 0.5) / math.Sqrt(16.0/12*(9-18.0/56)) / math.Sqrt2)},
	} {
		if got := mannWhitney(tt.a, tt.b); math.Abs(got-tt.want) > 1e-5 {
			t.Errorf("%s: got %v; want %v", tt.name, got, tt.want)
		}
		if got, back := mannWhitney(tt.a, tt.b), mannWhitney(tt.b, tt.a); math.Abs(got-back) > 1e-12 {
			t.Errorf("%s: got %v one way, %v the other", tt.name, got, back)
		}
	}
}

// TestMannWhitneyIsHonest: of samples of one distribution five in a hundred
// seem to differ, with few values and with many, with ties and without.
func TestMannWhitneyIsHonest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{8, 100} {
		for _, steps := range []float64{4, 1e9} {
			const rounds = 2000
			hits := 0
			draw := func() (out []float64) {
				for range n {
					out = append(out, math.Floor(r.Float64()*steps))
				}
				return out
			}
			for range rounds {
				if mannWhitney(draw(), draw()) < 0.05 {
					hits++
				}
			}
			if share := float64(hits) / rounds; share > 0.065 {
				t.Errorf("%d values in %g steps: %.3f seem to differ; want about 0.05 at most", n, steps, share)
			}
		}
	}
}

func TestHolm(t *testing.T) {
	got := holm([]float64{0.04, 0.001, 0.02, 0.9}, 0.05)
	if want := []bool{false, true, false, false}; got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("got %v; want %v", got, want)
	}
}

// TestDiff finds the query that became slower, and nothing else.
func TestDiff(t *testing.T) {
	before, after := leftBehind(t, 100, false), leftBehind(t, 100, true)
	out := must(t, "diff", before, after)
	for _, line := range strings.Split(out, "\n") {
		if changed := strings.Contains(line, " %  p"); strings.Contains(line, "SELECT") && strings.Contains(line, "±") != changed && strings.Contains(line, "ms") {
			t.Errorf("got %s", line)
		}
	}
	changes := map[string]change{}
	d := json.NewDecoder(strings.NewReader(must(t, "diff", before, after, "-json")))
	for d.More() {
		var c change
		if err := d.Decode(&c); err != nil {
			t.Fatal(err)
		}
		changes[c.Name+" "+c.Metric] = c
	}
	if c := changes["SELECT wall"]; !c.Significant || c.P > 1e-6 || c.NA != 100 || c.NB != 100 || math.Abs(c.B/c.A-2) > 1e-9 || c.ALow > c.A || c.AHigh < c.A {
		t.Errorf("got %+v; want the query twice as slow", c)
	}
	for _, name := range []string{"GET /order wall", "GET /order cpu", "SELECT cpu"} {
		if c, ok := changes[name]; !ok || c.Significant {
			t.Errorf("%s: got %+v; want no change", name, c)
		}
	}
	if !strings.Contains(out, "+100.0 %") || !strings.Contains(out, "p<0.001") || !strings.Contains(out, "n=100+100") || !strings.Contains(out, "1 of 4 are significant") {
		t.Errorf("got %s", out)
	}
	if same := must(t, "diff", before, before); !strings.Contains(same, "0 of 4 are significant") {
		t.Errorf("got %s; want nothing of a store beside itself", same)
	}
}

// TestDiffOfSpansWithOneFate: the spans of a request are all slow or all fast, by
// chance, and both sides are the same; that 30 spans say it makes it no more significant.
func TestDiffOfSpansWithOneFate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	requests := func() *side {
		s := &side{operations: map[operation]*[metrics]sample{}}
		for i := range 20 {
			start, takes := epoch, 5*time.Millisecond+time.Duration(r.IntN(10_000_000))
			span := func(n int, name string, takes time.Duration) spanstore.Span {
				return spanstore.Span{
					SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID(i + 1), SpanID: trace.SpanID{7: byte(n + 1)}}),
					Name:        name, Start: start, End: start.Add(takes),
				}
			}
			tr := &spanstore.Trace{ID: traceID(i + 1), Spans: []spanstore.Span{span(0, "root", time.Second)}}
			for k := range 30 {
				c := span(k+1, "SELECT", takes+time.Duration(r.IntN(1_000_000)))
				c.Parent = tr.Spans[0].SpanContext
				tr.Spans = append(tr.Spans, c)
			}
			s.add(tr, r)
		}
		return s
	}
	const tries = 100
	wrong := 0
	for range tries {
		for _, c := range compare(requests(), requests(), 0.05) {
			if c.Significant {
				wrong++
			}
			if c.NA != 20 || c.NB != 20 {
				t.Fatalf("got n=%d+%d of %s; want the 20 traces of each side", c.NA, c.NB, c.Name)
			}
		}
	}
	if wrong > tries/10 {
		t.Errorf("got %d of %d comparisons of the same as significant; want about %d", wrong, tries, tries/20)
	}
}

// TestDiffOfManyOperations says that some were left out.
func TestDiffOfManyOperations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := &side{operations: map[operation]*[metrics]sample{}}
	for n := range maxOperations + 1 {
		if got := report(s, s, nil, diffOptions{}); strings.Contains(got, "are compared") {
			t.Fatalf("got %s with %d operations", got, n)
		}
		s.add(&spanstore.Trace{Spans: []spanstore.Span{{Name: strconv.Itoa(n), Start: epoch, End: epoch.Add(1)}}}, r)
	}
	if got := report(s, s, nil, diffOptions{}); !strings.Contains(got, "only the first 2000 operations of each side are compared") {
		t.Errorf("got %s; want that one is left out", got)
	}
}

// TestDiffOfRuns compares two runs in one directory, in the second of which a query is
// slow.
func TestDiffOfRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with@sign")
	for run := range 2 {
		s, err := spanstore.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 50 {
			spans, _ := request(100*run+n+1, run == 1)
			back := time.Since(spans[1].StartTime)
			for i := range spans {
				spans[i].StartTime, spans[i].EndTime = spans[i].StartTime.Add(back), spans[i].EndTime.Add(back)
			}
			if err := s.ExportSpans(context.Background(), spans.Snapshots()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	out := must(t, "diff", dir+"@1", dir+"@2")
	if !strings.Contains(out, "@1: 50 traces") || !strings.Contains(out, "@2: 50 traces") || !strings.Contains(out, "1 of 2 are significant") {
		t.Errorf("got %s; want the query of the second run as slower", out)
	}
	if out := must(t, "diff", dir, dir); !strings.Contains(out, ": 100 traces") {
		t.Errorf("got %s; want all traces", out)
	}
	if path, which := split(dir + "@2"); path != dir || which != "2" {
		t.Errorf("got %q and %q", path, which)
	}
	if path, which := split(dir); path != dir || which != "" {
		t.Errorf("got %q and %q", path, which)
	}
}
