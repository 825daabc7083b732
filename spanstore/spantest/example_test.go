package spantest_test

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/spantest"
)

// order is a trace as a store returns it: two queries after another, and a write of
// the cache at the end.
func order() *spanstore.Trace {
	begin := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	id := trace.TraceID{1}
	span := func(n, parent byte, name string, from, to time.Duration) spanstore.Span {
		return spanstore.Span{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{n}}),
			Parent:      trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{parent}}),
			Name:        name, Kind: trace.SpanKindInternal, Start: begin.Add(from), End: begin.Add(to),
		}
	}
	return &spanstore.Trace{ID: id, Spans: []spanstore.Span{
		span(1, 0, "GET /order", 0, 100*time.Millisecond),
		span(2, 1, "SELECT orders", 10*time.Millisecond, 30*time.Millisecond),
		span(3, 1, "SELECT items", 35*time.Millisecond, 60*time.Millisecond),
		span(4, 1, "redis.SET", 60*time.Millisecond, 98*time.Millisecond),
	}}
}

func Example() {
	tr := spantest.Of(nil, order()) // in a test: spantest.New(t).Trace("GET /order")
	for _, claim := range []spantest.Claim{
		spantest.Prefix("SELECT").Count().AtMost(3),
		spantest.Span("SELECT orders").Before(spantest.Span("SELECT items")),
		spantest.Span("redis.SET").NotAwaited(),
		spantest.Span("redis.SET").Share().Under(0.3),
		spantest.NoFinding(stall.NPlusOne),
	} {
		fmt.Printf("%v: %v\n", claim, tr.Check(claim))
	}
	// Output:
	// number of SELECT… at most 3: <nil>
	// SELECT orders before SELECT items: <nil>
	// redis.SET not awaited by its parent: redis.SET: ends 2 ms before its parent; want not awaited by its parent
	// share of redis.SET in the trace under 0.3: share of redis.SET in the trace: got 0.38; want under 0.3 (0.08 too much)
	// no finding of kind n_plus_one: <nil>
}

func ExampleTrace_Outline() {
	fmt.Print(spantest.Of(nil, order()).Outline())
	// Output:
	// GET /order
	//   SELECT orders
	//   SELECT items
	//   redis.SET
}

func ExampleRatio() {
	tr := spantest.Of(nil, order())
	fmt.Println(tr.Check(spantest.Ratio(spantest.Span("redis.SET").Duration(), spantest.Prefix("SELECT").Duration()).Under(0.5)))
	// Output: ratio of duration of redis.SET to duration of SELECT…: got 0.844; want under 0.5 (0.344 too much)
}

func ExamplePercentile() {
	fmt.Println(spantest.Percentile(25, spantest.Span("redis.SET").Duration()).Under(50 * time.Millisecond))
	// Output: percentile 25 of duration of redis.SET under 50 ms
}
