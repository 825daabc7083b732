// Package sampletrace makes traces for the tests and benchmarks of the page, as
// spans and usage that a real store takes: those on which the look was designed,
// and large ones.
package sampletrace

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Epoch is when the first of the traces starts.
var Epoch = time.Date(2026, 11, 20, 9, 41, 7, 7e6, time.UTC)

// Sample is one trace and what was measured of it.
type Sample struct {
	ID    trace.TraceID
	Spans tracetest.SpanStubs
	Usage spanstore.UsageBatch
}

// Store puts the samples into a store.
func Store(ctx context.Context, s *spanstore.Store, samples ...*Sample) error {
	const atOnce = 2000
	for _, m := range samples {
		all := m.Spans.Snapshots()
		for len(all) > 0 {
			n := min(len(all), atOnce)
			if err := s.ExportSpans(ctx, all[:n]); err != nil {
				return err
			}
			if err := s.Flush(ctx); err != nil { // its queue shall drop nothing
				return err
			}
			all = all[n:]
		}
		if err := s.AddUsage(ctx, m.Usage); err != nil {
			return err
		}
	}
	return s.Flush(ctx)
}

// SpanID is the id of the nth span of every sample, from 1 on.
func SpanID(n int) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// Large makes a trace of n spans, at least 1: a batch job that calls a service
// per item, which asks a cache, a database and, now and then, itself. Every
// tenth item has CPU samples, every hundredth an error.
func Large(id trace.TraceID, n int) *Sample {
	b := &builder{&Sample{ID: id}, Epoch}
	at := 0
	root := b.span(0, "batch", "nightly import", trace.SpanKindServer, 0, 0)
	b.at(root).Attributes = []attribute.KeyValue{attribute.String("job.name", "import")}
	for item := 0; len(b.sample.Spans) < n; item++ {
		at = b.item(root, item, at, n-len(b.sample.Spans))
	}
	b.at(root).EndTime = b.after(at + 500)
	b.sample.Usage.Windows = []spanstore.Window{{Start: b.start.Add(-time.Second), End: b.at(root).EndTime.Add(time.Second), Period: 10 * time.Millisecond}}
	return b.sample
}

// builder makes the spans of one sample. Times are microseconds from start.
type builder struct {
	sample *Sample
	start  time.Time
}

func (b *builder) after(micros int) time.Time {
	return b.start.Add(time.Duration(micros) * time.Microsecond)
}

func (b *builder) at(n int) *tracetest.SpanStub { return &b.sample.Spans[n-1] }

func (b *builder) context(n int) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: b.sample.ID, SpanID: SpanID(n), TraceFlags: trace.FlagsSampled})
}

// span adds a span and returns its number.
func (b *builder) span(parent int, service, name string, kind trace.SpanKind, from, to int, attrs ...attribute.KeyValue) int {
	n := len(b.sample.Spans) + 1
	stub := tracetest.SpanStub{
		Name: name, SpanContext: b.context(n), SpanKind: kind, StartTime: b.after(from), EndTime: b.after(to), Attributes: attrs,
		Resource:             resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.version", "1.4.2"), attribute.String("host.name", "node-3")),
		InstrumentationScope: instrumentation.Scope{Name: "example.com/instrumentation/" + service, Version: "0.72.0"},
	}
	if parent > 0 {
		stub.Parent = b.context(parent)
	}
	b.sample.Spans = append(b.sample.Spans, stub)
	return n
}

// item adds at most most spans for one item of the job, and returns when it ends.
func (b *builder) item(root, item, at, most int) int {
	const step = 100
	calls := min(most-1, 3+item*7%18)
	length := step * (calls + 2)
	call := b.span(root, "batch", fmt.Sprintf("PUT /item/%d", item%40), trace.SpanKindClient, at, at+length,
		attribute.String("http.request.method", "PUT"), attribute.Int("http.response.status_code", 200), attribute.String("url.path", fmt.Sprintf("/item/%d", item)))
	if calls < 1 {
		return at + length
	}
	serve := b.span(call, "items", "PUT /item/{id}", trace.SpanKindServer, at+20, at+length-20, attribute.String("http.route", "/item/{id}"))
	if item%10 == 0 {
		b.sampled(serve, 1+item%4)
	}
	for i := range calls - 1 {
		from := at + step*(i+1)
		last := b.ask(serve, i, from, from+step-item%30)
		if i == 0 && item%100 == 50 {
			b.at(last).Status = sdktrace.Status{Code: codes.Error, Description: "duplicate key"}
			b.at(last).Events = []sdktrace.Event{{Name: "exception", Time: b.after(from + 40)}}
		}
	}
	return at + length
}

// ask adds what a service asks of others: the cache, the database, a function.
func (b *builder) ask(parent, i, from, to int) int {
	switch i % 3 {
	case 0:
		return b.span(parent, "items", "redis.GET", trace.SpanKindClient, from, to,
			attribute.String("db.system.name", "redis"), attribute.String("db.query.text", fmt.Sprintf("GET item:%d", from%997)))
	case 1:
		return b.span(parent, "items", "SELECT items", trace.SpanKindClient, from, to,
			attribute.String("db.system.name", "postgresql"), attribute.String("db.query.text", "SELECT * FROM items WHERE id = $1"), attribute.Int("db.response.returned_rows", i))
	default:
		return b.span(parent, "items", "price", trace.SpanKindInternal, from, to)
	}
}

// sampled gives a span CPU samples.
func (b *builder) sampled(n, samples int) {
	b.sample.Usage.Spans = append(b.sample.Usage.Spans, spanstore.Usage{
		TraceID: b.sample.ID, SpanID: SpanID(n), Samples: samples, CPU: time.Duration(samples) * 10 * time.Millisecond,
		Stacks: []spanstore.Stack{{Samples: samples, Frames: stack("encoding/json.(*decodeState).object", "main.decodeItem", "main.putItem", "net/http.(*conn).serve")}},
	})
}

// stack makes a call stack, leaf first.
func stack(funcs ...string) (frames []spanstore.Frame) {
	for i, f := range funcs {
		frames = append(frames, spanstore.Frame{Func: f, File: "/src/app/main.go", Line: 40 + 7*i})
	}
	return frames
}
