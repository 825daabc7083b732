package stall_test

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

func ExampleAnalyze() {
	begin := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	span := func(n, parent byte, name string, kind trace.SpanKind, from, to time.Duration) spanstore.Span {
		id := trace.TraceID{1}
		return spanstore.Span{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{n}}),
			Parent:      trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{parent}}),
			Name:        name, Kind: kind, Start: begin.Add(from), End: begin.Add(to),
		}
	}
	const ms = time.Millisecond
	a := stall.Analyze(&spanstore.Trace{ID: trace.TraceID{1}, Spans: []spanstore.Span{ // from Store.Trace
		span(1, 0, "GET /order", trace.SpanKindServer, 0, 100*ms),
		span(2, 1, "SELECT orders", trace.SpanKindClient, 5*ms, 80*ms),
		span(3, 1, "log", trace.SpanKindInternal, 10*ms, 20*ms),
	}})
	for _, n := range a.Nodes {
		fmt.Printf("%*s%s: self %v, critical %v\n", 2*n.Depth, "", n.Span.Name, n.Self, n.CriticalTime())
	}
	fmt.Println("without the query:", a.WallWithout(1))
	// Output:
	// GET /order: self 25ms, critical 25ms
	//   SELECT orders: self 75ms, critical 75ms
	//   log: self 10ms, critical 0s
	// without the query: 40ms
}
