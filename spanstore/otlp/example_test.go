package otlp_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

// A trace leaves one store as a file and enters another: what the test of another
// machine has left behind is looked at on this one.
func Example() {
	ctx := context.Background()
	there, err := spanstore.Open("", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer there.Close()
	id := trace.TraceID{15: 1}
	span := tracetest.SpanStub{
		Name: "GET /", SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{7: 1}}),
		StartTime: time.Unix(1_700_000_000, 0), EndTime: time.Unix(1_700_000_000, 25e6),
	}
	if err := there.ExportSpans(ctx, tracetest.SpanStubs{span}.Snapshots()); err != nil {
		log.Fatal(err)
	}
	t, err := there.Trace(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if err := otlp.Write(&file, t); err != nil {
		log.Fatal(err)
	}

	here, err := spanstore.Open("", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer here.Close()
	traces, err := otlp.Read(&file, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := otlp.Add(ctx, here, traces...); err != nil {
		log.Fatal(err)
	}
	page, err := here.Traces(ctx, spanstore.Query{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Traces[0].Name, page.Traces[0].Duration)
	// Output: GET / 25ms
}

// What any exporter of OTLP/JSON writes can be read.
func ExampleRead() {
	const file = `{"resourceSpans":[{
		"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"orders"}}]},
		"scopeSpans":[{"spans":[{
			"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"SELECT","kind":3,
			"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712660300000000"}]}]}]}`
	traces, err := otlp.Read(strings.NewReader(file), nil)
	if err != nil {
		log.Fatal(err)
	}
	s := traces[0].Spans[0]
	fmt.Println(s.Service(), s.Kind, s.Name, s.Duration())
	// Output: orders client SELECT 300ms
}
