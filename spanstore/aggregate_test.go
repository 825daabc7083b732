package spanstore_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// modelLatency counts durations in a list.
type modelLatency struct {
	durations []time.Duration
	errors    int
}

// check compares a Latency with all durations, sorted.
func (m *modelLatency) check(t *testing.T, got spanstore.Latency) {
	t.Helper()
	slices.Sort(m.durations)
	var total time.Duration
	for _, d := range m.durations {
		total += d
	}
	if got.Count != len(m.durations) || got.Errors != m.errors || got.Total != total || got.Max != m.durations[len(m.durations)-1] {
		t.Errorf("%s %q: got %+v; want %d spans, %d errors, %v in total, %v at most",
			got.Service, got.Name, got, len(m.durations), m.errors, total, m.durations[len(m.durations)-1])
	}
	for q, d := range map[float64]time.Duration{0.50: got.P50, 0.95: got.P95, 0.99: got.P99} {
		want := m.durations[int(math.Ceil(q*float64(len(m.durations))))-1]
		if diff := math.Abs(float64(d - want)); diff > 0.016*float64(want) {
			t.Errorf("%s %q: p%v is %v; want %v", got.Service, got.Name, 100*q, d, want)
		}
	}
}

// randomTraces stores random spans, in small blocks, parts of a trace far from
// one another.
func randomTraces(t *testing.T, g *spangen.Gen, n int) (*spanstore.Store, []tracetest.SpanStub) {
	s := open(t, t.TempDir(), &spanstore.Options{MaxBytes: 8 << 20})
	var stubs []tracetest.SpanStub
	for i := range n {
		stub := g.Wild()
		if i > 0 && g.IntN(4) > 0 {
			of := stubs[i-1-g.IntN(min(i, []int{3, 3, 1500}[g.IntN(3)]))].SpanContext
			stub.SpanContext = stub.SpanContext.WithTraceID(of.TraceID())
			stub.Parent = of
		}
		stubs = append(stubs, stub)
	}
	for part := range slices.Chunk(stubs, 100) {
		export(t, s, part...)
		if g.IntN(2) == 0 {
			flush(t, s)
		}
	}
	return s, stubs
}

func between(s tracetest.SpanStub, from, to time.Time) bool {
	return (from.IsZero() || !s.StartTime.Before(from)) && (to.IsZero() || s.StartTime.Before(to))
}

// checkAggregates compares latencies, edges and services with the stubs, which are
// all that the store has.
func checkAggregates(t *testing.T, s *spanstore.Store, stubs []tracetest.SpanStub, from, to time.Time) {
	t.Helper()
	operations, services := map[[2]string]*modelLatency{}, map[string]*modelLatency{}
	bySpan := map[trace.SpanID]tracetest.SpanStub{}
	names := map[string]bool{}
	for _, stub := range stubs {
		bySpan[stub.SpanContext.SpanID()] = stub
		if stub.Resource != nil {
			names[modelService(stub)] = true
		}
		if !between(stub, from, to) {
			continue
		}
		count := func(m *modelLatency) {
			m.durations = append(m.durations, modelWall(stub.StartTime, stub.EndTime))
			if stub.Status.Code == codes.Error {
				m.errors++
			}
		}
		key := [2]string{modelService(stub), stub.Name}
		if operations[key] == nil {
			operations[key] = &modelLatency{}
		}
		count(operations[key])
		if !stub.Parent.SpanID().IsValid() || stub.Parent.IsRemote() {
			if services[key[0]] == nil {
				services[key[0]] = &modelLatency{}
			}
			count(services[key[0]])
		}
	}

	l, err := s.Latencies(t.Context(), spanstore.LatencyQuery{From: from, To: to})
	if err != nil || len(l.Problems) > 0 {
		t.Fatal(err, l.Problems)
	}
	if len(l.Operations) != len(operations) || len(l.Services) != len(services) {
		t.Fatalf("got %d operations of %d services; want %d, %d", len(l.Operations), len(l.Services), len(operations), len(services))
	}
	for _, o := range l.Operations {
		operations[[2]string{o.Service, o.Name}].check(t, o)
		if got := l.Quantile(o.Service, o.Name, 0.95); o.Name != "" && got != o.P95 {
			t.Errorf("%s %q: the quantile is %v; want p95, %v", o.Service, o.Name, got, o.P95)
		}
		if got := l.Quantile(o.Service, o.Name, 2); o.Name != "" && (got > o.Max || got < o.P99) {
			t.Errorf("%s %q: the quantile of all is %v; want nearly %v", o.Service, o.Name, got, o.Max)
		}
	}
	if got := l.Quantile("nobody", "nothing", 0.5); got != 0 {
		t.Errorf("got a quantile of %v for nothing", got)
	}
	for _, o := range l.Services {
		services[o.Service].check(t, o)
		if got := l.Quantile(o.Service, "", 0.5); got != o.P50 {
			t.Errorf("%s: the quantile is %v; want p50, %v", o.Service, got, o.P50)
		}
	}
	one, err := s.Latencies(t.Context(), spanstore.LatencyQuery{From: from, To: to, Service: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.DeleteFunc(slices.Clone(l.Operations), func(o spanstore.Latency) bool { return o.Service != "orders" }); !reflect.DeepEqual(one.Operations, want) {
		t.Errorf("of one service: got %v; want %v", one.Operations, want)
	}

	edges := map[[2]string]spanstore.Edge{}
	for _, stub := range stubs {
		parent, ok := bySpan[stub.Parent.SpanID()]
		caller, callee := modelService(parent), modelService(stub)
		if !ok || parent.SpanContext.TraceID() != stub.SpanContext.TraceID() || caller == callee || !between(stub, from, to) {
			continue
		}
		e := edges[[2]string{caller, callee}]
		e.Caller, e.Callee, e.Calls = caller, callee, e.Calls+1
		if stub.Status.Code == codes.Error {
			e.Errors++
		}
		d := modelWall(stub.StartTime, stub.EndTime)
		e.Total, e.Max = e.Total+d, max(e.Max, d)
		edges[[2]string{caller, callee}] = e
	}
	graph, err := s.Edges(t.Context(), from, to)
	if err != nil || len(graph.Problems) > 0 {
		t.Fatal(err, graph.Problems)
	}
	if len(graph.Edges) != len(edges) {
		t.Errorf("got %d edges; want %d", len(graph.Edges), len(edges))
	}
	for _, e := range graph.Edges {
		if want := edges[[2]string{e.Caller, e.Callee}]; e != want {
			t.Errorf("got %+v; want %+v", e, want)
		}
	}

	got, err := s.Services(t.Context())
	if err != nil || len(got) != len(names) || !slices.IsSorted(got) {
		t.Errorf("got services %q, %v; want %v", got, err, names)
	}
}

func TestAggregatesAgainstModel(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	s, stubs := randomTraces(t, g, 2000)
	base := time.Unix(0, 1_700_000_000_000_000_000).UTC()
	for _, r := range [][2]time.Time{{}, {base.Add(10 * time.Minute), {}}, {base.Add(20 * time.Minute), base.Add(40 * time.Minute)}} {
		checkAggregates(t, s, stubs, r[0], r[1])
	}
	if graph, err := s.Edges(t.Context(), time.Time{}, time.Time{}); err != nil || len(graph.Edges) == 0 {
		t.Errorf("no edges, %v: the test is too weak", err)
	}
	ops, err := s.Operations(t.Context(), "users")
	if err != nil || len(ops) == 0 || !slices.IsSorted(ops) {
		t.Errorf("got operations %q, %v", ops, err)
	}
}

// Names that hold ids take bounded memory, and are not lost silently.
func TestTooManyOperations(t *testing.T) {
	s := open(t, "", nil)
	g := spangen.New(1)
	var spans []sdktrace.ReadOnlySpan
	res := resource.NewSchemaless()
	for i := range 5000 {
		stub := tracetest.SpanStub{
			Name: fmt.Sprint("GET /", i), Resource: res, SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: g.TraceID(), SpanID: g.SpanID()}),
		}
		spans = append(spans, stub.Snapshot())
	}
	if err := s.ExportSpans(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	l, err := s.Latencies(t.Context(), spanstore.LatencyQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Operations) > 2000 || len(l.Problems) != 1 || !strings.Contains(l.Problems[0], "more than 2000 operations") {
		t.Errorf("got %d operations, problems %q", len(l.Operations), l.Problems)
	}
	if len(l.Services) != 1 || l.Services[0].Count != 5000 {
		t.Errorf("got %+v; want one service with 5000 spans", l.Services)
	}
}

func TestQueriesEnd(t *testing.T) {
	s, _ := randomTraces(t, spangen.New(1), 500)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Traces(ctx, spanstore.Query{Where: []spanstore.Condition{where("a", spanstore.OpEqual, "b")}}); err != context.Canceled {
		t.Errorf("Traces: got %v", err)
	}
	if _, err := s.Latencies(ctx, spanstore.LatencyQuery{}); err != context.Canceled {
		t.Errorf("Latencies: got %v", err)
	}
	if _, err := s.Edges(ctx, time.Time{}, time.Time{}); err != context.Canceled {
		t.Errorf("Edges: got %v", err)
	}
	var none *spanstore.Store
	if l, err := none.Latencies(ctx, spanstore.LatencyQuery{}); err != nil || l == nil {
		t.Errorf("a nil store: got %v, %v", l, err)
	}
}
