package sampletrace

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

func traceID(hex string) trace.TraceID {
	id, err := trace.TraceIDFromHex(hex)
	if err != nil {
		panic(err)
	}
	return id
}

// newCase begins a sample. What is measured of the process is of one of them: they
// start minutes apart.
func newCase(id string, minute int) *builder {
	return &builder{&Sample{ID: traceID(id)}, Epoch.Add(time.Duration(minute) * time.Minute)}
}

const (
	internal = trace.SpanKindInternal
	server   = trace.SpanKindServer
	client   = trace.SpanKindClient
	producer = trace.SpanKindProducer
)

// stretch is a part of a span's time in one state, in microseconds from the start.
type stretch struct {
	state    string
	from, to int
	stolen   int
}

// exact says what a span did, as an execution trace would tell it. Every state
// but those on a CPU becomes a wait with a stack.
func (b *builder) exact(n int, parts ...stretch) *spanstore.Exact {
	start := parts[0].from
	e := &spanstore.Exact{Start: b.after(start), End: b.after(parts[len(parts)-1].to), Goroutines: 1}
	waits := map[string]int{}
	for _, p := range parts {
		micros := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
		s := spanstore.StateSegment{From: micros(p.from - start), To: micros(p.to - start), State: p.state, Stolen: micros(p.stolen), Wait: -1}
		if p.state == "cpu" {
			e.Running += s.To - s.From
			e.Stolen += s.Stolen
		} else {
			w, ok := waits[p.state]
			if !ok {
				w = len(e.Waits)
				waits[p.state] = w
				e.Waits = append(e.Waits, spanstore.Wait{State: p.state, Stack: waitStack[p.state], Waker: wakers[p.state]})
			}
			s.Wait = w
			e.Waits[w].Total += s.To - s.From
			e.Waits[w].Count++
		}
		e.Segments = append(e.Segments, s)
	}
	e.StolenLow, e.StolenHigh = e.Stolen, e.Stolen
	b.usage(n).Exact = e
	return e
}

// usage is what was measured of a span.
func (b *builder) usage(n int) *spanstore.Usage {
	spans := &b.sample.Usage.Spans
	for i := range *spans {
		if (*spans)[i].SpanID == SpanID(n) {
			return &(*spans)[i]
		}
	}
	*spans = append(*spans, spanstore.Usage{TraceID: b.sample.ID, SpanID: SpanID(n)})
	return &(*spans)[len(*spans)-1]
}

// watched says that a CPU profile ran from a second before the trace to one after.
func (b *builder) watched() *Sample {
	b.sample.Usage.Windows = []spanstore.Window{{Start: b.start.Add(-time.Second), End: b.at(1).EndTime.Add(time.Second), Period: 10 * time.Millisecond}}
	return b.sample
}

var waitStack = map[string][]spanstore.Frame{
	"net":  stack("internal/poll.(*FD).Read", "net.(*conn).Read", "github.com/redis/go-redis/v9/internal/proto.(*Reader).ReadLine", "github.com/redis/go-redis/v9.(*Client).Process", "main.(*API).handler", "net/http.(*conn).serve"),
	"lock": stack("sync.(*Mutex).Lock", "main.(*pool).Get", "main.(*API).handler", "net/http.(*conn).serve"),
	"chan": stack("runtime.chanrecv1", "main.flush"),
}

var wakers = map[string][]spanstore.Frame{
	"lock": stack("sync.(*Mutex).Unlock", "main.(*pool).Put", "main.(*API).cancel"),
}

// Cart is a request that waits for the network: all of it is known exactly.
func Cart() *Sample {
	b := newCase("7f3a0c11d2b94e6f8a5077e1b3d9c21e", 1)
	root := b.span(0, "shop", "GET /cart/{id}", server, 0, 52400)
	b.span(root, "shop", "auth.Check", internal, 600, 1100)
	load := b.span(root, "shop", "cart.Load", internal, 1500, 46300)
	get := b.span(load, "shop", "redis.GET", client, 1600, 46200, attribute.String("db.query.text", "cart:8812"), attribute.String("db.system.name", "redis"))
	flush := b.span(root, "shop", "metrics.Flush", internal, 2200, 57000)
	query := b.span(root, "shop", "pg.query", client, 46700, 50600, attribute.String("db.query.text", "SELECT price FROM items WHERE id = $1"))
	b.exact(root, stretch{"cpu", 0, 600, 0}, stretch{"cpu", 1100, 1300, 0}, stretch{"runnable", 1300, 1500, 0},
		stretch{"cpu", 46300, 46700, 0}, stretch{"cpu", 50600, 52100, 0}, stretch{"runnable", 52100, 52400, 0})
	b.exact(2, stretch{"cpu", 600, 1100, 0})
	b.exact(load, stretch{"cpu", 1500, 1600, 0}, stretch{"cpu", 46200, 46300, 0})
	b.exact(get, stretch{"cpu", 1600, 1700, 0}, stretch{"net", 1700, 46100, 0}, stretch{"cpu", 46100, 46200, 0})
	b.exact(flush, stretch{"cpu", 2200, 2500, 0}, stretch{"chan", 2500, 56800, 0}, stretch{"cpu", 56800, 57000, 0})
	b.exact(query, stretch{"cpu", 46700, 46900, 0}, stretch{"net", 46900, 50400, 0}, stretch{"cpu", 50400, 50600, 0})
	return b.watched()
}

// Login is a request that waits for a CPU while the process is throttled.
func Login() *Sample {
	b := newCase("19bb5e0f2a4c4d5e9b1a77c0aa5504d7", 2)
	root := b.login()
	b.exact(root,
		stretch{"cpu", 0, 1300, 0}, stretch{"runnable", 1300, 1900, 0},
		stretch{"runnable", 8200, 26000, 0}, stretch{"cpu", 26000, 48600, 3000}, stretch{"runnable", 48600, 72400, 0}, stretch{"cpu", 72400, 92900, 0},
		stretch{"gc_assist", 92900, 96000, 0}, stretch{"runnable", 96000, 115900, 0}, stretch{"cpu", 115900, 134400, 0},
		stretch{"cpu", 138200, 139000, 0})
	b.exact(2, stretch{"cpu", 1900, 2100, 0}, stretch{"net", 2100, 6000, 0}, stretch{"runnable", 6000, 8000, 0}, stretch{"cpu", 8000, 8200, 0})
	b.exact(3, stretch{"cpu", 134400, 134500, 0}, stretch{"net", 134500, 138100, 0}, stretch{"cpu", 138100, 138200, 0})
	b.exact(4, stretch{"cpu", 134900, 135100, 0}, stretch{"lock", 135100, 137800, 0}, stretch{"cpu", 137800, 137900, 0})
	u := b.usage(root)
	u.Samples, u.CPU, u.Stacks = 6, 60*time.Millisecond, bcrypt
	b.usage(4).Exact.Waits[0].WakerSpan = SpanID(root)
	b.sample.Usage.Signals = []spanstore.Signals{
		{Start: b.start.Add(-900 * time.Millisecond), End: b.start.Add(90 * time.Millisecond), Values: map[string]int64{
			"throttled_ns": 310e6, "run_delay_ns": 520e6, "sched_wait_ns": 800e6, "runnable": 31, "gc_pause_ns": 1e6}},
		{Start: b.start.Add(90 * time.Millisecond), End: b.start.Add(1090 * time.Millisecond), Values: map[string]int64{
			"throttled_ns": 0, "run_delay_ns": 20e6, "sched_wait_ns": 300e6, "runnable": 4, "gc_pause_ns": 8e6}},
	}
	return b.watched()
}

func (b *builder) login() int {
	root := b.span(0, "shop", "POST /login", server, 0, 139000, attribute.String("http.request.method", "POST"), attribute.String("http.route", "/login"),
		attribute.StringSlice("user.roles", []string{"reader", "editor"}), attribute.String("user_agent.original", "Mozilla/5.0 <script>alert(1)</script>"),
		attribute.Int("http.response.status_code", 200))
	b.span(root, "shop", "pg.query", client, 1900, 8200, attribute.String("db.query.text", "SELECT hash FROM users"))
	b.span(root, "shop", "redis.SET", client, 134400, 138200, attribute.String("db.query.text", "session:4711"))
	b.span(root, "shop", "audit.Append", internal, 134900, 137900, attribute.String("db.query.text", "mutex auditLog.mu"))
	b.at(root).Events = []sdktrace.Event{
		{Name: "user found", Time: b.after(8300), Attributes: []attribute.KeyValue{attribute.Int("rows", 1)}},
		{Name: "password checked", Time: b.after(134000), DroppedAttributeCount: 1},
	}
	b.at(root).DroppedAttributes = 2
	return root
}

var bcrypt = []spanstore.Stack{
	{Samples: 4, Frames: stack("golang.org/x/crypto/blowfish.ExpandKey", "golang.org/x/crypto/bcrypt.expensiveBlowfishSetup", "golang.org/x/crypto/bcrypt.bcrypt", "golang.org/x/crypto/bcrypt.CompareHashAndPassword", "main.(*API).Login", "net/http.HandlerFunc.ServeHTTP", "net/http.(*ServeMux).ServeHTTP", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve")},
	{Samples: 2, Frames: stack("golang.org/x/crypto/blowfish.encryptBlock", "golang.org/x/crypto/bcrypt.expensiveBlowfishSetup", "golang.org/x/crypto/bcrypt.bcrypt", "golang.org/x/crypto/bcrypt.CompareHashAndPassword", "main.(*API).Login", "net/http.HandlerFunc.ServeHTTP", "net/http.(*ServeMux).ServeHTTP", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve")},
}

// LoginSampled is Login without an execution trace: six CPU samples.
func LoginSampled() *Sample {
	b := newCase("5ac0ffee2a4c4d5e9b1a77c0aa5504d8", 3)
	root := b.login()
	u := b.usage(root)
	u.Samples, u.CPU, u.Stacks, u.LateSamples = 6, 60*time.Millisecond, bcrypt, 1
	return b.watched()
}

// Order has all of it: a lock, a transaction, a publication that nobody awaits and
// that fails, linked to Cart, and a cache write that decides the end.
func Order() *Sample {
	b := newCase("c0de0b5e77aa4d5e9b1a77c0aa5577a1", 4)
	root := b.span(0, "gateway", "POST /orders", server, 0, 41800, attribute.String("http.route", "/orders"), attribute.Int("http.response.status_code", 201))
	b.span(root, "gateway", "json.Decode", internal, 1000, 3400)
	tx := b.span(root, "orders", "pg.tx", internal, 6300, 16900)
	b.span(tx, "orders", "pg.query", client, 6500, 11200, attribute.String("db.query.text", "INSERT orders"))
	b.span(tx, "orders", "pg.query", client, 11500, 16700, attribute.String("db.query.text", "COMMIT"))
	publish := b.span(root, "payment", "kafka.Publish", producer, 17000, 44200, attribute.String("messaging.destination.name", "orders"))
	set := b.span(root, "gateway", "redis.SET", client, 17300, 41600, attribute.String("db.query.text", "order:91127 EX 3600"))

	p := b.at(publish)
	p.Status = sdktrace.Status{Code: codes.Error, Description: "broker not available"}
	p.Events = []sdktrace.Event{
		{Name: "retry", Time: b.after(24000)},
		{Name: "exception", Time: b.after(44000), Attributes: []attribute.KeyValue{attribute.String("exception.type", "*kafka.Error"), attribute.String("exception.message", "broker not available")}},
	}
	p.Links = []sdktrace.Link{{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: Cart().ID, SpanID: SpanID(4)}), Attributes: []attribute.KeyValue{attribute.String("link.kind", "follows")}}}

	b.exact(root, stretch{"cpu", 0, 1000, 0}, stretch{"cpu", 3400, 4100, 0}, stretch{"lock", 4100, 6300, 0}, stretch{"cpu", 16900, 17300, 0}, stretch{"cpu", 41600, 41800, 0})
	b.exact(2, stretch{"cpu", 1000, 3400, 0})
	b.exact(tx, stretch{"cpu", 6300, 6500, 0}, stretch{"cpu", 11200, 11500, 0}, stretch{"cpu", 16700, 16900, 0})
	b.exact(4, stretch{"net", 6500, 11200, 0})
	b.exact(5, stretch{"net", 11500, 16700, 0})
	b.exact(publish, stretch{"cpu", 17000, 17400, 0}, stretch{"net", 17400, 44000, 0}, stretch{"cpu", 44000, 44200, 0})
	b.exact(set, stretch{"cpu", 17300, 17400, 0}, stretch{"lock", 17400, 24000, 0}, stretch{"net", 24000, 41500, 0}, stretch{"cpu", 41500, 41600, 0})
	return b.watched()
}

// Report is a request of twelve seconds of which the execution trace has the last
// three.
func Report() *Sample {
	b := newCase("3e9045a1b2c34d5e8f90a1b2c3d4e5f6", 5)
	root := b.span(0, "reports", "GET /report", server, 0, 12_000_000)
	b.span(root, "reports", "SELECT sales", client, 200_000, 4_200_000, attribute.String("db.query.text", "SELECT * FROM sales"))
	b.exact(root, stretch{"cpu", 9_000_000, 9_800_000, 0}, stretch{"syscall", 9_800_000, 10_900_000, 0}, stretch{"cpu", 10_900_000, 12_000_000, 0})
	u := b.usage(root)
	u.Samples, u.CPU = 420, 4200*time.Millisecond
	u.Stacks = []spanstore.Stack{{Samples: 420, Frames: stack("encoding/csv.(*Writer).Write", "main.report", "net/http.(*conn).serve")}}
	return b.watched()
}

// Hostile is a trace whose names, values and services are what they should not be.
func Hostile() *Sample {
	const markup = "<img src=x onerror=alert(1)>"
	b := newCase("00112233445566778899aabbccddeeff", 6)
	root := b.span(0, "gateway", "GET /"+markup, server, 0, 20000, attribute.String("http.route", "</script><script>alert(1)</script>"))
	bad := b.span(root, markup, markup, server, 4000, 16000, attribute.String("db.query.text", markup), attribute.String(markup, "javascript:alert(1)"),
		attribute.String("bidi", "\u202eright to left\u2066"), attribute.String("long", strings.Repeat("long ", 2000)), attribute.String("broken", "a\xff\xfeb"))
	b.at(bad).Status = sdktrace.Status{Code: codes.Error, Description: "<script>alert(1)</script>"}
	b.at(bad).Events = []sdktrace.Event{{Name: markup, Time: b.after(5000), Attributes: []attribute.KeyValue{attribute.String(markup, markup)}}}
	b.span(root, "gateway", "redis.SET", client, 19000, 30000)
	b.sample.Usage.Windows = []spanstore.Window{{Start: b.start.Add(-time.Second), End: b.start.Add(time.Second), Hole: "another CPU profile was running"}}
	return b.sample
}

// Cases are all of these.
func Cases() []*Sample {
	return []*Sample{Cart(), Login(), LoginSampled(), Order(), Report(), Hostile()}
}
