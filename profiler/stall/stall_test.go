package stall_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

var epoch = time.Date(2026, 11, 20, 9, 41, 7, 0, time.UTC)

const ms = time.Millisecond

// span describes a span in a literal trace: ids are small numbers, times
// milliseconds from the epoch. Parent 0 makes a root.
type span struct {
	id, parent uint64
	name       string
	start, end float64
	kind       trace.SpanKind
	service    string
	attrs      []attribute.KeyValue
}

func spanID(n uint64) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

func at(millis float64) time.Time { return epoch.Add(time.Duration(millis * float64(ms))) }

// literal makes a trace of spans, ordered as a Store orders them.
func literal(spans ...span) *spanstore.Trace {
	t := &spanstore.Trace{ID: trace.TraceID{1}, Usage: map[trace.SpanID]spanstore.Usage{}}
	for _, s := range spans {
		x := spanstore.Span{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: t.ID, SpanID: spanID(s.id)}),
			Name:        s.name,
			Kind:        s.kind,
			Start:       at(s.start),
			End:         at(s.end),
			Attributes:  s.attrs,
			Resource:    resource.NewSchemaless(attribute.String("service.name", s.service)),
		}
		if s.parent != 0 {
			x.Parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: t.ID, SpanID: spanID(s.parent)})
		}
		t.Spans = append(t.Spans, x)
	}
	sortSpans(t)
	return t
}

func sortSpans(t *spanstore.Trace) {
	slices.SortStableFunc(t.Spans, func(a, b spanstore.Span) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return b.End.Compare(a.End)
	})
}

func window(from, to float64, hole string) spanstore.Window {
	w := spanstore.Window{Start: at(from), End: at(to), Hole: hole}
	if hole == "" {
		w.Period = 10 * ms
	}
	return w
}

func sample(t *spanstore.Trace, id uint64, n int, stacks ...spanstore.Stack) {
	t.Usage[spanID(id)] = spanstore.Usage{TraceID: t.ID, SpanID: spanID(id), Samples: n, CPU: time.Duration(n) * 10 * ms, Stacks: stacks}
}

// show writes what the tree, self time and critical path say of each span, one
// line a span: name, self and critical segments in milliseconds.
func show(a *stall.Analysis) string {
	var b strings.Builder
	for i := range a.Nodes {
		n := &a.Nodes[i]
		fmt.Fprintf(&b, "%s%s self%s crit%s", strings.Repeat(".", n.Depth), n.Span.Name, segs(n.SelfSegments), segs(n.Critical))
		if !n.Awaited {
			b.WriteString(" unawaited")
		}
		if n.DecidesEnd {
			b.WriteString(" decides")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func segs(list []stall.Segment) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = fmt.Sprintf("%g-%g", float64(s.From)/float64(ms), float64(s.To)/float64(ms))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func TestTreeSelfTimeAndCriticalPath(t *testing.T) {
	const client, server = trace.SpanKindClient, trace.SpanKindServer
	for _, tt := range []struct {
		name     string
		spans    []span
		want     string
		problems []string // a part of each, in order
	}{
		{
			name:  "children in sequence",
			spans: []span{{1, 0, "root", 0, 100, 0, "", nil}, {2, 1, "a", 10, 40, 0, "", nil}, {3, 1, "b", 50, 90, 0, "", nil}},
			want: "root self[0-10 40-50 90-100] crit[0-10 40-50 90-100]\n" +
				".a self[10-40] crit[10-40]\n" +
				".b self[50-90] crit[50-90]\n",
		},
		{
			name:  "parallel children: the last to end is critical, coverage is their union",
			spans: []span{{1, 0, "root", 0, 100, 0, "", nil}, {2, 1, "a", 10, 60, 0, "", nil}, {3, 1, "b", 10, 80, 0, "", nil}},
			want: "root self[0-10 80-100] crit[0-10 80-100]\n" +
				".b self[10-80] crit[10-80]\n" +
				".a self[10-60] crit[]\n",
		},
		{
			name:  "a child that outlives its parent was not awaited",
			spans: []span{{1, 0, "root", 0, 50, 0, "", nil}, {2, 1, "work", 10, 40, 0, "", nil}, {3, 1, "SET", 45, 70, 0, "", nil}},
			want: "root self[0-10 40-50] crit[0-10 40-50]\n" +
				".work self[10-40] crit[10-40]\n" +
				".SET self[45-70] crit[] unawaited\n",
		},
		{
			name: "a call is awaited though the server closes its span late",
			spans: []span{{1, 0, "GET", 0, 50, client, "", nil}, {2, 1, "/", 5, 51, server, "", nil},
				{3, 2, "db", 10, 40, 0, "", nil}},
			want: "GET self[0-5] crit[0-5]\n" +
				"./ self[5-10 40-51] crit[5-10 40-50]\n" +
				"..db self[10-40] crit[10-40]\n",
		},
		{
			name:  "siblings that overlap a little stay in sequence",
			spans: []span{{1, 0, "root", 0, 100, 0, "", nil}, {2, 1, "a", 0, 51, 0, "", nil}, {3, 1, "b", 50, 100, 0, "", nil}},
			want: "root self[] crit[]\n" +
				".a self[0-51] crit[0-50]\n" +
				".b self[50-100] crit[50-100] decides\n",
		},
		{
			name: "of several running the one that ends soonest goes on",
			spans: []span{{1, 0, "root", 0, 100, 0, "", nil}, {2, 1, "long", 0, 99, 0, "", nil}, {3, 1, "a", 0, 51, 0, "", nil},
				{4, 1, "b", 50, 100, 0, "", nil}},
			want: "root self[] crit[]\n" +
				".long self[0-99] crit[]\n" +
				".a self[0-51] crit[0-50]\n" +
				".b self[50-100] crit[50-100]\n",
		},
		{
			name: "the tail decides the end, one level after the other",
			spans: []span{{1, 0, "root", 0, 100, 0, "", nil}, {2, 1, "load", 5, 40, 0, "", nil}, {3, 1, "save", 42, 99, 0, "", nil},
				{4, 3, "lock", 42, 60, 0, "", nil}, {5, 3, "write", 60, 98, 0, "", nil}},
			want: "root self[0-5 40-42 99-100] crit[0-5 40-42 99-100]\n" +
				".load self[5-40] crit[5-40]\n" +
				".save self[98-99] crit[98-99] decides\n" +
				"..lock self[42-60] crit[42-60]\n" +
				"..write self[60-98] crit[60-98] decides\n",
		},
		{
			name:  "a child without duration splits nothing",
			spans: []span{{1, 0, "root", 0, 10, 0, "", nil}, {2, 1, "tick", 5, 5, 0, "", nil}},
			want: "root self[0-10] crit[0-10]\n" +
				".tick self[] crit[]\n",
		},
		{
			name:     "missing parent",
			spans:    []span{{1, 0, "root", 0, 10, 0, "", nil}, {2, 9, "lost", 2, 5, 0, "", nil}, {3, 2, "child", 3, 4, 0, "", nil}},
			want:     "root self[0-10] crit[0-10]\nlost self[2-3 4-5] crit[]\n.child self[3-4] crit[]\n",
			problems: []string{"1 span has a parent that is not in this trace"},
		},
		{
			name:     "only a rest: the earliest speaks for it",
			spans:    []span{{2, 9, "late", 5, 9, 0, "", nil}, {3, 8, "early", 2, 7, 0, "", nil}},
			want:     "early self[0-5] crit[0-5]\nlate self[3-7] crit[]\n",
			problems: []string{"2 spans have a parent that is not in this trace"},
		},
		{
			name:     "the true root speaks, even when it is not the earliest",
			spans:    []span{{1, 0, "root", 5, 10, 0, "", nil}, {2, 9, "lost", 0, 2, 0, "", nil}},
			want:     "root self[5-10] crit[5-10]\nlost self[0-2] crit[]\n",
			problems: []string{"not in this trace"},
		},
		{
			name: "a circle, and a span that is its own parent",
			spans: []span{{1, 3, "a", 0, 10, 0, "", nil}, {2, 1, "b", 1, 9, 0, "", nil}, {3, 2, "c", 2, 8, 0, "", nil},
				{4, 4, "self", 20, 21, 0, "", nil}},
			want:     "a self[0-1 9-10] crit[0-1 9-10]\n.b self[1-2 8-9] crit[1-2 8-9]\n..c self[2-8] crit[2-8]\nself self[20-21] crit[]\n",
			problems: []string{"2 circles of spans"},
		},
		{
			name:     "an id given twice",
			spans:    []span{{1, 0, "root", 0, 10, 0, "", nil}, {2, 1, "a", 1, 5, 0, "", nil}, {2, 1, "b", 6, 8, 0, "", nil}, {3, 2, "c", 2, 3, 0, "", nil}},
			want:     "root self[0-1 5-6 8-10] crit[0-1 5-6 8-10]\n.a self[1-2 3-5] crit[1-2 3-5]\n..c self[2-3] crit[2-3]\n.b self[6-8] crit[6-8]\n",
			problems: []string{"1 span has an id that another span has too"},
		},
		{
			name:     "clocks that differ: only what lies inside the parent counts",
			spans:    []span{{1, 0, "root", 10, 20, 0, "", nil}, {2, 1, "early", 5, 15, 0, "", nil}, {3, 1, "before", 0, 6, 0, "", nil}},
			want:     "root self[15-20] crit[15-20]\n.before self[0-6] crit[] unawaited\n.early self[5-15] crit[10-15]\n",
			problems: []string{"2 spans start before the parent"},
		},
		{
			name:     "end before start",
			spans:    []span{{1, 0, "root", 0, 10, 0, "", nil}, {2, 1, "odd", 5, 3, 0, "", nil}},
			want:     "root self[0-10] crit[0-10]\n.odd self[] crit[]\n",
			problems: []string{"1 span ends before the start"},
		},
		{
			name:     "two roots",
			spans:    []span{{1, 0, "first", 0, 10, 0, "", nil}, {2, 0, "second", 5, 20, 0, "", nil}},
			want:     "first self[0-10] crit[0-10]\nsecond self[5-20] crit[]\n",
			problems: []string{"2 spans have no parent"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := stall.Analyze(literal(tt.spans...))
			if got := show(a); got != tt.want {
				t.Errorf("got\n%s; want\n%s", got, tt.want)
			}
			if len(a.Problems) != len(tt.problems) {
				t.Fatalf("got problems %q; want %d", a.Problems, len(tt.problems))
			}
			for i, p := range tt.problems {
				if !strings.Contains(a.Problems[i], p) {
					t.Errorf("got problem %q; want one with %q", a.Problems[i], p)
				}
			}
			check(t, a)
		})
	}
}

// check holds what is true of every analysis.
func check(t testing.TB, a *stall.Analysis) {
	t.Helper()
	var path []stall.Segment
	for i := range a.Nodes {
		n := &a.Nodes[i]
		name := fmt.Sprintf("node %d (%s)", i, n.Span.Name)
		if n.Start < 0 || n.End < n.Start {
			t.Fatalf("%s lies at %v-%v", name, n.Start, n.End)
		}
		if n.Parent >= i {
			t.Fatalf("%s comes before its parent %d", name, n.Parent)
		}
		if got, want := sum(n.SelfSegments)+sum(n.CoveredSegments), n.Wall(); got != want {
			t.Fatalf("%s: self and covered time: got %v; want the wall time %v", name, got, want)
		}
		if !within(n.Critical, n.SelfSegments) {
			t.Fatalf("%s is critical at %v, outside of its self time %v", name, n.Critical, n.SelfSegments)
		}
		var states time.Duration
		for _, s := range n.States {
			states += s.Time
			if s.Low > s.Time || s.Time > s.High {
				t.Fatalf("%s: %s is %v, outside of %v-%v", name, s.State, s.Time, s.Low, s.High)
			}
		}
		if states != n.Wall() {
			t.Fatalf("%s: states: got %v; want the wall time %v", name, states, n.Wall())
		}
		if c := n.CPU; c.Low > c.Value || c.Value > c.High {
			t.Fatalf("%s: CPU is %v, outside of %v-%v", name, c.Value, c.Low, c.High)
		}
		path = append(path, n.Critical...)
	}
	if len(a.Nodes) == 0 {
		return
	}
	slices.SortFunc(path, func(s, t stall.Segment) int { return int(s.From - t.From) })
	now := a.Nodes[0].Start
	for _, s := range path {
		if s.From != now {
			t.Fatalf("critical path: got a segment at %v; want one at %v", s.From, now)
		}
		now = s.To
	}
	if now != a.Nodes[0].End || sum(path) != a.Critical {
		t.Fatalf("critical path: got %v until %v; want %v until %v", sum(path), now, a.Critical, a.Nodes[0].End)
	}
	var budget time.Duration
	for _, s := range a.Budget {
		budget += s.Time
		if s.Low > s.Time || s.Time > s.High || s.High > a.Critical {
			t.Fatalf("budget: %s is %v, outside of %v-%v of %v", s.State, s.Time, s.Low, s.High, a.Critical)
		}
	}
	if budget != a.Critical {
		t.Fatalf("budget: got %v; want %v", budget, a.Critical)
	}
	if a.Headline.Strong == "" {
		t.Fatal("no headline")
	}
}

func sum(list []stall.Segment) (d time.Duration) {
	for _, s := range list {
		d += s.To - s.From
	}
	return d
}

func within(list, of []stall.Segment) bool {
	for _, s := range list {
		if !slices.ContainsFunc(of, func(o stall.Segment) bool { return o.From <= s.From && s.To <= o.To }) {
			return false
		}
	}
	return true
}
