// Package workload makes the spans that the storage benchmarks store: those of
// a small web service as its instrumentation would report them, made by the
// real SDK, about nine attributes and 395 bytes of OTLP each.
package workload

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// SpansPerTrace is the number of spans of each trace.
const SpansPerTrace = 5

// Gen makes traces, the same ones for the same seed. It is for one goroutine.
type Gen struct {
	r       *rand.Rand
	now     time.Time
	out     []sdktrace.ReadOnlySpan
	tracers map[string]trace.Tracer
}

// New returns a generator whose first trace starts at start.
func New(seed uint64, start time.Time) *Gen {
	g := &Gen{r: rand.New(rand.NewPCG(seed, 7)), now: start, tracers: map[string]trace.Tracer{}}
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithIDGenerator(ids{g.r}), sdktrace.WithSpanProcessor(collector{g}),
		sdktrace.WithResource(resource.NewWithAttributes("https://opentelemetry.io/schemas/1.37.0",
			attribute.String("service.name", "shop"), attribute.String("service.version", "1.4.2"),
			attribute.String("service.instance.id", "shop-7d9f8b6c5-x2x7q"), attribute.String("deployment.environment.name", "production"))))
	for _, name := range []string{"otelhttp", "otelsql", "redisotel"} {
		g.tracers[name] = tp.Tracer("example.com/instrumentation/"+name, trace.WithInstrumentationVersion("0.72.0"))
	}
	return g
}

// Spans returns about n spans, whole traces, children before their parents, as
// they would end.
func (g *Gen) Spans(n int) []sdktrace.ReadOnlySpan {
	g.out = make([]sdktrace.ReadOnlySpan, 0, n+SpansPerTrace)
	for len(g.out) < n {
		g.request()
	}
	return g.out
}

// TraceIDs returns the ids of the traces that spans belong to, in their order.
func TraceIDs(spans []sdktrace.ReadOnlySpan) (ids []trace.TraceID) {
	for _, s := range spans {
		if !s.Parent().SpanID().IsValid() {
			ids = append(ids, s.SpanContext().TraceID())
		}
	}
	return ids
}

// Again returns spans that are as those but for their ids, other ones for each
// pass from 1 on. It takes a fraction of the time that making spans takes.
func Again(spans []sdktrace.ReadOnlySpan, pass uint64) []sdktrace.ReadOnlySpan {
	r := rand.New(rand.NewPCG(pass, 11))
	mask := trace.TraceID{}
	binary.LittleEndian.PutUint64(mask[:], r.Uint64())
	binary.LittleEndian.PutUint64(mask[8:], r.Uint64())
	out := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		out[i] = again{s, renamed(s.SpanContext(), mask), renamed(s.Parent(), mask)}
	}
	return out
}

type again struct {
	sdktrace.ReadOnlySpan
	own, parent trace.SpanContext
}

func (s again) SpanContext() trace.SpanContext { return s.own }
func (s again) Parent() trace.SpanContext      { return s.parent }

func renamed(sc trace.SpanContext, mask trace.TraceID) trace.SpanContext {
	if !sc.IsValid() {
		return sc
	}
	id, span := sc.TraceID(), sc.SpanID()
	for i := range id {
		id[i] ^= mask[i]
	}
	for i := range span {
		span[i] ^= mask[i]
	}
	return sc.WithTraceID(id).WithSpanID(span)
}

// Attributes that one span alone may have with a value: a text of three spans in
// five, a number below 20,000 of one.
const (
	SearchText   = "db.query.text"
	SearchNumber = "http.response.body.size"
)

type ids struct{ r *rand.Rand }

func (s ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var id trace.TraceID
	binary.LittleEndian.PutUint64(id[:], s.r.Uint64())
	binary.LittleEndian.PutUint64(id[8:], s.r.Uint64())
	return id, s.NewSpanID(ctx, id)
}

func (s ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	binary.LittleEndian.PutUint64(id[:], s.r.Uint64()|1)
	return id
}

type collector struct{ g *Gen }

func (c collector) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (c collector) OnEnd(s sdktrace.ReadOnlySpan)                   { c.g.out = append(c.g.out, s) }
func (c collector) Shutdown(context.Context) error                  { return nil }
func (c collector) ForceFlush(context.Context) error                { return nil }

var (
	routes = []string{"/api/product", "/api/order/{id}", "/api/auth/login", "/api/cart", "/api/search"}
	agents = []string{"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1)", "okhttp/4.12.0", "curl/8.9.1"}
	tables = []string{"orders", "users", "products", "payments"}
)

// request makes one trace: an HTTP request, two queries, a cache read, a call.
func (g *Gen) request() {
	g.now = g.now.Add(time.Duration(g.r.ExpFloat64() * float64(100*time.Microsecond)))
	at := g.now
	route := routes[g.r.IntN(len(routes))]
	ctx, root := g.start(context.Background(), "otelhttp", "GET "+route, trace.SpanKindServer, at,
		attribute.String("http.request.method", "GET"), attribute.String("url.scheme", "https"),
		attribute.String("http.route", route), attribute.String("url.path", fmt.Sprintf("%s/%d", route, g.r.IntN(100_000))),
		attribute.String("server.address", "shop.example.com"), attribute.Int("server.port", 443),
		attribute.String("client.address", fmt.Sprintf("10.1.%d.%d", g.r.IntN(16), g.r.IntN(256))),
		attribute.String("user_agent.original", agents[g.r.IntN(len(agents))]), attribute.String("network.protocol.version", "1.1"),
		attribute.String("network.peer.address", fmt.Sprintf("10.0.0.%d", 2+g.r.IntN(4))))
	at = at.Add(g.duration(200 * time.Microsecond))
	at = g.cache(ctx, at)
	at = g.query(ctx, at)
	at = g.query(ctx, at)
	at = g.call(ctx, at)
	status := 200
	if g.r.IntN(50) == 0 {
		status = 500
		root.SetStatus(codes.Error, "internal server error")
	}
	root.SetAttributes(attribute.Int("http.response.status_code", status), attribute.Int("http.response.body.size", g.r.IntN(20_000)))
	root.End(trace.WithTimestamp(at.Add(g.duration(300 * time.Microsecond))))
}

func (g *Gen) cache(ctx context.Context, at time.Time) time.Time {
	_, s := g.start(ctx, "redisotel", "redis.GET", trace.SpanKindClient, at,
		attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", "GET"),
		attribute.String("db.query.text", fmt.Sprintf("GET session:%08x", g.r.Uint32())),
		attribute.String("server.address", "redis-0.redis.svc"), attribute.Int("server.port", 6379), attribute.Int("db.namespace", 0),
		attribute.String("network.peer.address", "10.0.4.21"))
	at = at.Add(g.duration(400 * time.Microsecond))
	s.End(trace.WithTimestamp(at))
	return at
}

func (g *Gen) query(ctx context.Context, at time.Time) time.Time {
	table := tables[g.r.IntN(len(tables))]
	_, s := g.start(ctx, "otelsql", "SELECT "+table, trace.SpanKindClient, at,
		attribute.String("db.system.name", "postgresql"), attribute.String("db.operation.name", "SELECT"), attribute.String("db.collection.name", table),
		attribute.String("db.query.text", "SELECT id, name, price, created_at FROM "+table+" WHERE id = $1 LIMIT 10"),
		attribute.String("server.address", "postgres-0.db.svc"), attribute.Int("server.port", 5432),
		attribute.String("db.namespace", "shop"), attribute.Int("db.response.returned_rows", g.r.IntN(10)),
		attribute.String("network.peer.address", "10.0.5.117"))
	at = at.Add(g.duration(2 * time.Millisecond))
	s.End(trace.WithTimestamp(at))
	return at
}

func (g *Gen) call(ctx context.Context, at time.Time) time.Time {
	_, s := g.start(ctx, "otelhttp", "POST", trace.SpanKindClient, at,
		attribute.String("http.request.method", "POST"), attribute.String("url.full", fmt.Sprintf("http://payment:8080/charge/%d", g.r.IntN(1_000_000))),
		attribute.String("server.address", "payment"), attribute.Int("server.port", 8080),
		attribute.String("network.protocol.version", "1.1"), attribute.Int("http.response.status_code", 200),
		attribute.Int("http.request.body.size", g.r.IntN(2000)), attribute.String("network.peer.address", "10.0.3.17"))
	at = at.Add(g.duration(5 * time.Millisecond))
	s.End(trace.WithTimestamp(at))
	return at
}

func (g *Gen) start(ctx context.Context, tracer, name string, kind trace.SpanKind, at time.Time, kvs ...attribute.KeyValue) (context.Context, trace.Span) {
	return g.tracers[tracer].Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(at), trace.WithAttributes(kvs...))
}

// duration is exponential around mean, to the nanosecond.
func (g *Gen) duration(mean time.Duration) time.Duration {
	return time.Duration(g.r.ExpFloat64()*float64(mean)) + time.Microsecond
}
