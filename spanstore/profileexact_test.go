package spanstore_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// exactTraces makes requests whose spans have exact states, nested, side by side
// and outliving their parents, over two services.
type exactTraces struct {
	*rand.Rand
	stubs []tracetest.SpanStub
	usage []spanstore.Usage
}

func (g *exactTraces) request(at time.Time) {
	id := trace.TraceID{1}
	for i := range id {
		id[i] = byte(g.Uint32())
	}
	g.span(trace.SpanContext{}, id, at, time.Duration(1+g.IntN(900))*time.Millisecond, 0)
}

func (g *exactTraces) span(parent trace.SpanContext, id trace.TraceID, at time.Time, wall time.Duration, depth int) {
	var span trace.SpanID
	for i := range span {
		span[i] = byte(g.Uint32())
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled})
	kind := trace.SpanKind(1 + g.IntN(5))
	stub := tracetest.SpanStub{
		Name: fmt.Sprintf("op %d.%d", depth, g.IntN(2)), SpanContext: sc, Parent: parent, SpanKind: kind, StartTime: at, EndTime: at.Add(wall),
		Resource: resource.NewSchemaless(attribute.String("service.name", []string{"shop", "bank"}[g.IntN(2)])),
	}
	g.stubs = append(g.stubs, stub)
	if g.IntN(4) > 0 {
		g.usage = append(g.usage, spanstore.Usage{TraceID: id, SpanID: span, Samples: 1, CPU: 10 * time.Millisecond, Exact: g.exact(at, wall)})
	}
	for range g.IntN(4 - depth) {
		from := time.Duration(g.Int64N(int64(wall)))
		g.span(sc.WithRemote(g.IntN(3) == 0), id, at.Add(from), 1+time.Duration(g.Int64N(int64(wall))), depth+1)
	}
}

func (g *exactTraces) exact(at time.Time, wall time.Duration) *spanstore.Exact {
	e := &spanstore.Exact{Start: at, End: at.Add(wall), Goroutines: 1}
	words := []string{"lock", "chan", "net", "runnable"}
	for i, w := range words {
		x := spanstore.Wait{State: w}
		if i < 3 {
			x.Stack = []spanstore.Frame{{Func: "sync.lock", File: "s.go", Line: 1}, {Func: fmt.Sprintf("main.f%d", g.IntN(3)), File: "m.go", Line: 2}}
		}
		e.Waits = append(e.Waits, x)
	}
	from := time.Duration(0)
	if g.IntN(3) == 0 { // the kernel may have held it up before it could be written down
		from = time.Duration(g.Int64N(int64(25 * time.Millisecond)))
	}
	for from < wall {
		to := min(wall, from+1+time.Duration(g.Int64N(int64(wall)/2+1)))
		s := spanstore.StateSegment{From: from, To: to, State: "cpu", Wait: -1}
		if k := g.IntN(6); k < len(words) {
			s.State, s.Wait = words[k], k
		} else if k == 4 {
			s.Stolen = time.Duration(g.Int64N(int64(to - from)))
		}
		if g.IntN(8) > 0 {
			e.Segments = append(e.Segments, s)
		}
		from = to
	}
	return e
}

// statesOf is what the trace pages say of some spans, added up.
type statesOf struct {
	units     map[string]time.Duration // wall times
	own       time.Duration
	states    map[string]time.Duration
	waits     map[string]time.Duration
	slow      map[string]bool
	nearly    map[string]bool // slow, but for the width of a bucket
	slowOwn   time.Duration
	spans     []time.Duration
	threshold time.Duration
}

// TestExactProfilesAgainstAnalysis: what profiles say of exact states is the sum of
// what the analysis of each trace says, wherever the parts of the traces are.
func TestExactProfilesAgainstAnalysis(t *testing.T) {
	t.Logf("seed %d", *seed)
	for _, by := range []spanstore.Grouping{spanstore.ByBuild, spanstore.ByName, spanstore.ByRoute} {
		g := &exactTraces{Rand: rand.New(rand.NewPCG(*seed, uint64(by)))}
		start := time.Unix(1_700_000_000, 0).UTC()
		for i := range 150 {
			g.request(start.Add(time.Duration(i) * 100 * time.Millisecond))
		}
		s := open(t, t.TempDir(), nil)
		g.Shuffle(len(g.stubs), func(i, j int) { g.stubs[i], g.stubs[j] = g.stubs[j], g.stubs[i] })
		for part := range slices.Chunk(g.stubs, 70) {
			export(t, s, part...)
			if g.IntN(2) == 0 {
				flush(t, s)
			}
		}
		for part := range slices.Chunk(g.usage, 50) {
			if err := s.AddUsage(ctx, spanstore.UsageBatch{Spans: part}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Profiles(ctx, spanstore.ProfileQuery{By: by})
		if err != nil || len(got.Problems) > 0 {
			t.Fatalf("Profiles: %v, %v", err, got.Problems)
		}
		want := analysed(t, s, by)
		for _, p := range got.Profiles {
			compareStates(t, p, want[p.Service+" "+p.Name])
		}
		if len(got.Profiles) != len(want) {
			t.Errorf("got %d profiles; want %d", len(got.Profiles), len(want))
		}
	}
}

// analysed adds up the analyses of all traces.
func analysed(t *testing.T, s *spanstore.Store, by spanstore.Grouping) map[string]*statesOf {
	t.Helper()
	all := map[string]*statesOf{}
	of := func(n *stall.Node) *statesOf {
		key := n.Span.Service() + " " + n.Span.Name
		if all[key] == nil {
			all[key] = &statesOf{units: map[string]time.Duration{}, states: map[string]time.Duration{}, waits: map[string]time.Duration{}, slow: map[string]bool{}, nearly: map[string]bool{}}
		}
		return all[key]
	}
	var analyses []*stall.Analysis
	for _, id := range list(t, s, spanstore.Query{}) {
		tr, err := s.Trace(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		a := stall.Analyze(tr)
		analyses = append(analyses, a)
		for i := range a.Nodes {
			if by != spanstore.ByRoute || a.Nodes[i].Parent < 0 {
				of(&a.Nodes[i]).spans = append(of(&a.Nodes[i]).spans, a.Nodes[i].Wall())
			}
		}
	}
	for _, o := range all {
		slices.Sort(o.spans)
		o.threshold = o.spans[(len(o.spans)*99+99)/100-1]
	}
	for _, a := range analyses {
		for i := range a.Nodes {
			n := &a.Nodes[i]
			if n.Usage.Exact == nil {
				continue
			}
			unit := n
			for by == spanstore.ByRoute && unit.Parent >= 0 {
				unit = &a.Nodes[unit.Parent]
			}
			o := of(unit)
			o.units[unit.Span.SpanID().String()] = unit.Wall()
			o.own += n.Self
			if unit.Wall() >= o.threshold-o.threshold/32 {
				o.nearly[unit.Span.SpanID().String()] = true
			}
			if unit.Wall() >= o.threshold {
				o.slow[unit.Span.SpanID().String()] = true
				o.slowOwn += n.Self
			}
			for _, x := range n.Timeline {
				o.states[string(x.State)] += x.To - x.From
				o.states["stolen"] += x.Stolen
				if x.Wait >= 0 {
					w := n.Usage.Exact.Waits[x.Wait]
					o.waits[fmt.Sprint(w.State, w.Stack)] += x.To - x.From
				}
			}
		}
	}
	return all
}

func compareStates(t *testing.T, p spanstore.Profile, want *statesOf) {
	t.Helper()
	name := p.Service + " " + p.Name
	if want == nil {
		t.Errorf("%s: there is no such profile", name)
		return
	}
	var wall, units time.Duration
	for _, d := range want.spans {
		wall += d
	}
	for _, d := range want.units {
		units += d
	}
	if p.Spans != len(want.spans) || p.Wall != wall || p.Exact.Spans != len(want.units) || p.Exact.Wall != units || p.Exact.Own != want.own {
		t.Errorf("%s: got %d spans, %v, exact %d, %v, %v; want %d, %v, %d, %v, %v", name,
			p.Spans, p.Wall, p.Exact.Spans, p.Exact.Wall, p.Exact.Own, len(want.spans), wall, len(want.units), units, want.own)
	}
	if d := p.P99 - want.threshold; d < -want.threshold/50 || d > want.threshold/50 {
		t.Errorf("%s: got p99 %v; want %v", name, p.P99, want.threshold)
	}
	for _, w := range p.Exact.Waits {
		if key := fmt.Sprint(w.State, w.Stack); w.Total != want.waits[key] || w.Count <= 0 {
			t.Errorf("%s: waited %v, %d times, %s; want %v", name, w.Total, w.Count, key, want.waits[key])
		}
	}
	if len(p.Exact.Waits) != len(want.waits) {
		t.Errorf("%s: got %d waits; want %d", name, len(p.Exact.Waits), len(want.waits))
	}
	if d := p.Exact.Stolen - want.states["stolen"]; d < -time.Microsecond || d > time.Microsecond { // parts are rounded
		t.Errorf("%s: got %v stolen; want %v", name, p.Exact.Stolen, want.states["stolen"])
	}
	delete(want.states, "stolen")
	if len(want.units) > 0 && !reflect.DeepEqual(p.Exact.States, want.states) {
		t.Errorf("%s: got states %v; want %v", name, p.Exact.States, want.states)
	}
	if p.Slowest.Spans < len(want.slow) || p.Slowest.Spans > len(want.nearly) || p.Slowest.Own < want.slowOwn {
		t.Errorf("%s: got %d slowest with %v; want %d with %v", name, p.Slowest.Spans, p.Slowest.Own, len(want.slow), want.slowOwn)
	}
}

// TestRouteOfAMissingRoot: spans below an entry span that the store does not have are
// named, not counted for somebody else.
func TestRouteOfAMissingRoot(t *testing.T) {
	s := open(t, "", nil)
	g := &exactTraces{Rand: rand.New(rand.NewPCG(1, 2))}
	for len(g.usage) < 20 {
		g.request(time.Unix(1_700_000_000, 0))
	}
	kept := slices.DeleteFunc(slices.Clone(g.stubs), func(s tracetest.SpanStub) bool { return !s.Parent.IsValid() })
	export(t, s, kept...)
	if err := s.AddUsage(ctx, spanstore.UsageBatch{Spans: g.usage}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Profiles(ctx, spanstore.ProfileQuery{By: spanstore.ByRoute})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "entry span") {
		t.Errorf("got problems %v; want one about entry spans", got.Problems)
	}
	for _, p := range got.Profiles {
		for _, s := range kept {
			if s.Name == p.Name && s.Parent.IsRemote() {
				goto next
			}
		}
		t.Errorf("got a route %s; want those whose parent is remote", p.Name)
	next:
	}
}

// TestExactProfilesOfOneService: children of another service, in another block, and
// after the range, cover their parents all the same.
func TestExactProfilesOfOneService(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	at := time.Unix(1_700_000_000, 0).UTC()
	id := trace.TraceID{1}
	span := func(n byte, parent trace.SpanContext, service string, from, to time.Duration) tracetest.SpanStub {
		return tracetest.SpanStub{
			Name: "op", SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{n}}), Parent: parent,
			StartTime: at.Add(from), EndTime: at.Add(to), Resource: resource.NewSchemaless(attribute.String("service.name", service)),
		}
	}
	parent := span(1, trace.SpanContext{}, "shop", 0, 100*time.Millisecond)
	export(t, s, parent)
	flush(t, s)
	export(t, s, span(2, parent.SpanContext, "bank", 20*time.Millisecond, 90*time.Millisecond))
	flush(t, s)
	err := s.AddUsage(ctx, spanstore.UsageBatch{Spans: []spanstore.Usage{{TraceID: id, SpanID: trace.SpanID{1}, Exact: &spanstore.Exact{
		Start: at, End: at.Add(100 * time.Millisecond),
		Segments: []spanstore.StateSegment{{To: 100 * time.Millisecond, State: "lock", Wait: -1}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []spanstore.ProfileQuery{{Service: "shop"}, {To: at.Add(time.Millisecond)}, {Service: "shop", To: at.Add(time.Millisecond), By: spanstore.ByRoute}} {
		got, err := s.Profiles(ctx, q)
		if err != nil || len(got.Profiles) != 1 {
			t.Fatalf("%+v: got %+v, %v; want one profile", q, got, err)
		}
		if x := got.Profiles[0].Exact; x.Own != 30*time.Millisecond || x.States["lock"] != 30*time.Millisecond || x.Spans != 1 {
			t.Errorf("%+v: got %+v; want 30 ms of its own", q, x)
		}
	}
}
