package spanstore_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// request makes a trace of two spans: a request of 120 ms and a query in it.
func request(tp trace.TracerProvider, name string, status int) {
	begin := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(ms int) trace.SpanEventOption {
		return trace.WithTimestamp(begin.Add(time.Duration(ms) * time.Millisecond))
	}
	tracer := tp.Tracer("example")
	ctx, root := tracer.Start(context.Background(), name, at(0), trace.WithSpanKind(trace.SpanKindServer))
	root.SetAttributes(attribute.Int("http.response.status_code", status))
	_, query := tracer.Start(ctx, "SELECT orders", at(10))
	query.End(at(100))
	root.End(at(120))
}

func ExampleOpen() {
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	store, err := spanstore.Open(dir, &spanstore.Options{MaxBytes: 64 << 20})
	if err != nil {
		fmt.Println(err) // the nil store is inert: a service runs on
	}
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(store.Processor()),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))))
	request(tp, "GET /order", 200)
	store.Close()

	// Another time, or another program:
	again, err := spanstore.Open(dir, &spanstore.Options{ReadOnly: true})
	if err != nil {
		fmt.Println(err)
	}
	defer again.Close()
	services, err := again.Services(context.Background())
	fmt.Println(services, err)
	// Output: [shop] <nil>
}

func ExampleStore_Processor() {
	store, _ := spanstore.Open("", nil) // in memory
	defer store.Close()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	_, span := tp.Tracer("example").Start(context.Background(), "work")
	span.End()

	// A span is readable as soon as it has ended.
	tr, err := store.Trace(context.Background(), span.SpanContext().TraceID())
	fmt.Println(tr.Spans[0].Name, err)
	// Output: work <nil>
}

func ExampleParseQuery() {
	store, _ := spanstore.Open("", nil)
	defer store.Close()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	request(tp, "GET /order", 200)
	request(tp, "GET /order", 503)
	request(tp, "GET /stock", 503)

	q, err := spanstore.ParseQuery(`name^="GET /o" http.response.status_code>=500 duration>100ms`)
	if err != nil {
		fmt.Println(err)
	}
	page, err := store.Traces(context.Background(), q)
	for _, t := range page.Traces {
		fmt.Println(t.Name, t.Duration, t.Spans, "spans")
	}
	_, bad := spanstore.ParseQuery("duration>fast")
	fmt.Println(err, bad != nil)
	// Output:
	// GET /order 120ms 2 spans
	// <nil> true
}

func ExampleRecordAll() {
	store, _ := spanstore.Open("", nil)
	defer store.Close()
	// Nothing is sampled for other exporters; the store has it all the same.
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(spanstore.RecordAll(sdktrace.NeverSample())),
		sdktrace.WithSpanProcessor(store.Processor()))
	_, span := tp.Tracer("example").Start(context.Background(), "work")
	span.End()

	tr, _ := store.Trace(context.Background(), span.SpanContext().TraceID())
	fmt.Println("sampled:", span.SpanContext().IsSampled(), "stored:", len(tr.Spans))
	// Output: sampled: false stored: 1
}

func ExampleOptions_redact() {
	store, _ := spanstore.Open("", &spanstore.Options{
		Redact: func(f spanstore.Field, v attribute.Value) (attribute.Value, bool) {
			return v, f.Key != "user.email" // false leaves it out
		},
	})
	defer store.Close()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	_, span := tp.Tracer("example").Start(context.Background(), "login",
		trace.WithAttributes(attribute.String("user.email", "a@b.example"), attribute.Int("tries", 2)))
	span.End()
	tr, _ := store.Trace(context.Background(), span.SpanContext().TraceID())
	for _, kv := range tr.Spans[0].Attributes {
		fmt.Println(kv.Key, kv.Value.AsInt64())
	}
	// Output: tries 2
}
