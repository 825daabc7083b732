// Package spangen makes random spans for tests: every field, every attribute
// type, in shapes that real services have and in shapes that they should not.
package spangen

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Gen makes spans from one seed.
type Gen struct {
	*rand.Rand
	resources []*resource.Resource
	scopes    []instrumentation.Scope
}

// New returns a generator; the same seed makes the same spans.
func New(seed uint64) *Gen {
	g := &Gen{Rand: rand.New(rand.NewPCG(seed, 1))}
	for _, name := range []string{"gateway", "users", "orders", "payment"} {
		g.resources = append(g.resources, resource.NewWithAttributes("https://opentelemetry.io/schemas/1.26.0",
			attribute.String("service.name", name), attribute.Int("process.pid", g.IntN(1<<16)), attribute.StringSlice("tags", []string{"a", name})))
	}
	g.scopes = []instrumentation.Scope{
		{Name: "net/http", Version: "1.2.3", SchemaURL: "https://schema", Attributes: attribute.NewSet(attribute.Bool("x", true))},
		{Name: "database/sql"},
		{},
	}
	return g
}

// TraceID returns a random id.
func (g *Gen) TraceID() (id trace.TraceID) {
	binary.LittleEndian.PutUint64(id[:], g.Uint64())
	binary.LittleEndian.PutUint64(id[8:], g.Uint64()|1)
	return id
}

// SpanID returns a random id.
func (g *Gen) SpanID() (id trace.SpanID) {
	binary.LittleEndian.PutUint64(id[:], g.Uint64()|1)
	return id
}

// Request returns the spans of a request as a service would make them, children
// before parents, the root last: an HTTP entry, a call, a query.
func (g *Gen) Request(start time.Time, spans int) []tracetest.SpanStub {
	id := g.TraceID()
	d := time.Duration(g.IntN(int(50*time.Millisecond))) + time.Millisecond
	root := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: g.SpanID(), TraceFlags: trace.FlagsSampled})
	out := make([]tracetest.SpanStub, 0, spans)
	for i := 1; i < spans; i++ {
		from := start.Add(d * time.Duration(i) / time.Duration(spans+1))
		out = append(out, tracetest.SpanStub{
			Name: []string{"SELECT orders", "redis.GET", "GET"}[i%3], SpanKind: trace.SpanKindClient,
			SpanContext: root.WithSpanID(g.SpanID()), Parent: root,
			StartTime: from, EndTime: from.Add(d / time.Duration(spans+2)),
			Attributes: []attribute.KeyValue{
				attribute.String("db.system", "postgresql"), attribute.String("db.statement", "SELECT * FROM orders WHERE id = $1"),
				attribute.String("net.peer.name", "db-1"), attribute.Int("net.peer.port", 5432), attribute.Int("rows", g.IntN(100)),
			},
			Resource: g.resources[2], InstrumentationScope: g.scopes[1],
		})
	}
	status := sdktrace.Status{}
	if g.IntN(20) == 0 {
		status = sdktrace.Status{Code: codes.Error, Description: "boom"}
	}
	return append(out, tracetest.SpanStub{
		Name: fmt.Sprintf("GET /api/route%d", g.IntN(10)), SpanKind: trace.SpanKindServer, SpanContext: root,
		StartTime: start, EndTime: start.Add(d), ChildSpanCount: spans - 1, Status: status,
		Attributes: []attribute.KeyValue{
			attribute.String("http.request.method", "GET"), attribute.String("url.path", fmt.Sprintf("/api/order/%d", g.IntN(1e6))),
			attribute.Int("http.response.status_code", 200), attribute.String("client.address", "10.0.0.1"),
		},
		Resource: g.resources[0], InstrumentationScope: g.scopes[0],
	})
}

// Wild returns a span in which anything may stand.
func (g *Gen) Wild() tracetest.SpanStub {
	start := time.Unix(0, 1_700_000_000_000_000_000+g.Int64N(int64(time.Hour)))
	s := tracetest.SpanStub{
		Name: g.text(), SpanKind: trace.SpanKind(g.IntN(6)),
		SpanContext: g.context(), StartTime: start, EndTime: start.Add(time.Duration(g.Int64N(int64(time.Second)))),
		Attributes: g.attributes(), DroppedAttributes: g.IntN(3), DroppedEvents: g.IntN(3), DroppedLinks: g.IntN(3), ChildSpanCount: g.IntN(9),
		Resource: g.resources[g.IntN(len(g.resources))], InstrumentationScope: g.scopes[g.IntN(len(g.scopes))],
	}
	switch g.IntN(4) {
	case 0: // a root
	case 1:
		s.Parent = g.context()
	default:
		s.Parent = g.context().WithTraceID(s.SpanContext.TraceID())
	}
	if g.IntN(3) == 0 {
		s.Status = sdktrace.Status{Code: codes.Code(g.IntN(3)), Description: g.text()}
	}
	for range g.IntN(4) {
		s.Events = append(s.Events, sdktrace.Event{Name: g.text(), Attributes: g.attributes(), DroppedAttributeCount: g.IntN(2),
			Time: start.Add(time.Duration(g.IntN(1000)))})
	}
	for range g.IntN(3) {
		s.Links = append(s.Links, sdktrace.Link{SpanContext: g.context(), Attributes: g.attributes(), DroppedAttributeCount: g.IntN(2)})
	}
	switch g.IntN(30) {
	case 0:
		s.StartTime = time.Time{}
	case 1:
		s.EndTime = time.Time{}
	case 2:
		s.StartTime, s.EndTime = s.EndTime, s.StartTime
	case 3:
		s.Resource = nil
	}
	return s
}

func (g *Gen) context() trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: g.TraceID(), SpanID: g.SpanID(), TraceFlags: trace.TraceFlags(g.IntN(4)), Remote: g.IntN(2) == 0}
	if g.IntN(2) == 0 {
		c.TraceState, _ = trace.ParseTraceState(fmt.Sprintf("vendor=v%d,other=o", g.IntN(5)))
	}
	return trace.NewSpanContext(c)
}

func (g *Gen) text() string {
	return []string{"", "GET /", "\x00\xff\xfe not UTF-8", "Ünïcödé ⏱", "<script>alert(1)</script>", fmt.Sprint("name ", g.IntN(50))}[g.IntN(6)]
}

func (g *Gen) attributes() (kvs []attribute.KeyValue) {
	for i := range g.IntN(8) {
		kvs = append(kvs, attribute.KeyValue{Key: attribute.Key(fmt.Sprintf("k%d.%d", i, g.IntN(4))), Value: g.value(3)})
	}
	return kvs
}

func (g *Gen) value(depth int) attribute.Value {
	n := 12
	if depth == 0 {
		n = 10
	}
	switch g.IntN(n) {
	case 0:
		return attribute.BoolValue(g.IntN(2) == 0)
	case 1:
		return attribute.Int64Value([]int64{0, -1, math.MaxInt64, math.MinInt64, g.Int64()}[g.IntN(5)])
	case 2:
		return attribute.Float64Value([]float64{0, -1.5, math.Inf(1), math.MaxFloat64, g.Float64()}[g.IntN(5)])
	case 3:
		return attribute.StringValue(g.text())
	case 4:
		return attribute.BoolSliceValue([]bool{true, false}[:g.IntN(3)])
	case 5:
		return attribute.Int64SliceValue([]int64{1, -2, math.MinInt64}[:g.IntN(4)])
	case 6:
		return attribute.Float64SliceValue([]float64{1, math.Inf(-1)}[:g.IntN(3)])
	case 7:
		return attribute.StringSliceValue([]string{"a", "", g.text()}[:g.IntN(4)])
	case 8:
		return attribute.ByteSliceValue([]byte{0, 1, 255}[:g.IntN(4)])
	case 9:
		return attribute.Value{}
	case 10:
		return attribute.SliceValue(g.value(depth-1), g.value(depth-1))
	}
	return attribute.MapValue(attribute.KeyValue{Key: "in", Value: g.value(depth - 1)}, attribute.KeyValue{Key: "k", Value: g.value(depth - 1)})
}
