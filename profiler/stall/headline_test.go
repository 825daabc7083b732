package stall_test

import (
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// The three cases that the project is for.

// longGet is a request that mostly waits for a Redis command.
func longGet() *spanstore.Trace {
	t := literal(
		span{1, 0, "GET /cart/{id}", 0, 52.4, trace.SpanKindServer, "shop", nil},
		span{2, 1, "auth.Check", 0.6, 1.1, 0, "shop", nil},
		span{3, 1, "redis.GET", 1.6, 46.2, trace.SpanKindClient, "shop", nil},
		span{4, 1, "pg.query", 46.7, 50.6, trace.SpanKindClient, "shop", nil},
	)
	t.Windows = []spanstore.Window{window(-5000, 5000, "")}
	return t
}

// login is a request that burns its time itself.
func login() *spanstore.Trace {
	t := literal(
		span{1, 0, "POST /login", 0, 139, trace.SpanKindServer, "users", nil},
		span{2, 1, "pg.query", 2, 8.3, trace.SpanKindClient, "users", nil},
		span{3, 1, "redis.SET", 134.4, 138.2, trace.SpanKindClient, "users", nil},
	)
	t.Windows = []spanstore.Window{window(-5000, 5000, "")}
	stack := func(leaf string) []spanstore.Frame {
		return []spanstore.Frame{{Func: leaf}, {Func: "golang.org/x/crypto/bcrypt.bcrypt"}, {Func: "main.login"}, {Func: "net/http.(*conn).serve"}}
	}
	sample(t, 1, 6,
		spanstore.Stack{Frames: stack("golang.org/x/crypto/blowfish.ExpandKey"), Samples: 4},
		spanstore.Stack{Frames: stack("golang.org/x/crypto/blowfish.encryptBlock"), Samples: 2})
	return t
}

// tail is a request whose end hangs on a cache write, behind a call.
func tail() *spanstore.Trace { return literal(tailSpans...) }

var tailSpans = []span{
	{1, 0, "POST /orders", 0, 41.8, trace.SpanKindServer, "gateway", nil},
	{2, 1, "HTTP POST", 1, 41.5, trace.SpanKindClient, "gateway", nil},
	{3, 2, "POST /orders", 1.2, 41.6, trace.SpanKindServer, "orders", nil},
	{4, 3, "pg.tx", 6, 17, 0, "orders", nil},
	{5, 3, "redis.SET", 17.2, 41.4, trace.SpanKindClient, "orders", nil},
}

func TestHeadline(t *testing.T) {
	quiet := func(spans ...span) *spanstore.Trace {
		tr := literal(spans...)
		tr.Windows = []spanstore.Window{window(-100, 1000, "")}
		return tr
	}
	for _, tt := range []struct {
		name         string
		trace        *spanstore.Trace
		strong, rest string
	}{
		{"a long client span", longGet(),
			"redis.GET took 44.6 ms of 52.4 ms (85 %), waiting (network, inferred from its kind).",
			"CPU of all spans < 30 ms, sampled."},
		{"own time", login(),
			"129 ms of 139 ms (93 %) is POST /login's own time: CPU ≈ 60 ms (18–102) in bcrypt.bcrypt (from main.login), the rest unknown.",
			"Top CPU: golang.org/x/crypto/bcrypt.bcrypt (from main.login), 100 %."},
		{"a tail that decides the end", tail(),
			"The request ends when redis.SET ends: without it, about 17.6 ms, 24.2 ms less.",
			"redis.SET took 24.2 ms of 41.8 ms (58 %), waiting (network, inferred from its kind). CPU not known: no CPU profile covers it."},
		{"work that outlives the request", quiet(span{1, 0, "GET /", 0, 60, trace.SpanKindServer, "s", nil}, span{2, 1, "redis.SET", 59, 84, trace.SpanKindClient, "s", nil}),
			"60 ms of 60 ms (100 %) is GET /'s own time: CPU < 30 ms, the rest unknown.",
			"redis.SET goes on for 24 ms after the end of GET /."},
		{"too short for samples", quiet(span{1, 0, "GET /", 0, 2, trace.SpanKindServer, "s", nil}),
			"2 ms of 2 ms (100 %) is GET /'s own time: CPU not known (no sample falls on so short a time).", ""},
		{"nothing dominates", quiet(span{1, 0, "job", 0, 50, 0, "s", nil}, span{2, 1, "a", 1, 11, 0, "s", nil}, span{3, 1, "b", 11, 21, 0, "s", nil},
			span{4, 1, "c", 21, 31, 0, "s", nil}, span{5, 1, "d", 31, 40, 0, "s", nil}, span{6, 1, "e", 40, 49, 0, "s", nil}),
			"No single span dominates: the longest on the critical path is a, 10 ms of 50 ms (20 %).", "CPU of all spans < 30 ms, sampled."},
		{"a short trace", quiet(span{1, 0, "GET /", 0, 4, trace.SpanKindServer, "s", nil}, span{2, 1, "redis.GET", 0, 4, trace.SpanKindClient, "s", nil}),
			"redis.GET took 4 ms of 4 ms (100 %), waiting (network, inferred from its kind).", "CPU not known: no sample fell on so short a trace."},
		{"no time", quiet(span{1, 0, "instant", 0, 0, 0, "s", nil}),
			"instant took no time that could be measured.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := stall.Analyze(tt.trace)
			check(t, a)
			if a.Headline.Strong != tt.strong {
				t.Errorf("got %q; want %q", a.Headline.Strong, tt.strong)
			}
			if a.Headline.Rest != tt.rest {
				t.Errorf("got rest %q; want %q", a.Headline.Rest, tt.rest)
			}
		})
	}
}

func TestDeferrableTail(t *testing.T) {
	op := func(key, value string) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String(key, value)}
	}
	root := span{1, 0, "GET /x", 0, 100, trace.SpanKindServer, "s", nil}
	load := span{2, 1, "load", 0, 50, 0, "s", nil}
	for _, tt := range []struct {
		name  string
		spans []span
		saves float64 // 0: no finding
		span  string
	}{
		{"through a call", tailSpans, 24.2, "redis.SET"},
		{"named by its operation", []span{root, load, {3, 1, "cache", 50, 100, 3, "s", op("db.operation.name", "set")}}, 50, "cache"},
		{"named by its statement", []span{root, load, {3, 1, "sql", 50, 100, 3, "s", op("db.query.text", "INSERT INTO t VALUES (1)")}}, 50, "sql"},
		{"a message", []span{root, load, {3, 1, "orders", 50, 99, trace.SpanKindProducer, "s", nil}}, 49, "orders"},
		{"a read is needed", []span{root, load, {3, 1, "redis.GET", 50, 100, 3, "s", nil}}, 0, ""},
		{"the statement outweighs the name", []span{root, load, {3, 1, "SET", 50, 100, 3, "s", op("db.query.text", "SELECT 1")}}, 0, ""},
		{"something follows", []span{root, load, {3, 1, "redis.SET", 50, 90, 3, "s", nil}}, 0, ""},
		{"a sibling bounds the gain", []span{root, {2, 1, "load", 0, 80, 0, "s", nil}, {3, 1, "redis.SET", 50, 100, 3, "s", nil}}, 20, "redis.SET"},
		{"a sibling takes it away", []span{root, {2, 1, "load", 0, 99, 0, "s", nil}, {3, 1, "redis.SET", 50, 100, 3, "s", nil}}, 0, ""},
		{"a sibling of an ancestor bounds it", []span{root, {2, 1, "load", 0, 90, 0, "s", nil}, {3, 1, "call", 10, 100, 3, "s", nil}, {4, 3, "redis.SET", 60, 100, 3, "s", nil}}, 10, "redis.SET"},
		{"not awaited", []span{root, load, {3, 1, "redis.SET", 50, 120, 3, "s", nil}}, 0, ""},
		{"the whole of it", []span{root, {3, 1, "redis.SET", 0, 100, 3, "s", nil}}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := stall.Analyze(literal(tt.spans...))
			check(t, a)
			tails := slices.DeleteFunc(slices.Clone(a.Findings), func(f stall.Finding) bool { return f.Kind != stall.DeferrableTail })
			if tt.saves == 0 {
				if len(tails) != 0 {
					t.Errorf("got %+v; want no such finding", tails)
				}
				return
			}
			if len(tails) != 1 {
				t.Fatalf("got %+v; want one such finding", a.Findings)
			}
			f := tails[0]
			if got, want := f.Saves, at(tt.saves).Sub(epoch); f.Kind != stall.DeferrableTail || got-want > 10 || want-got > 10 {
				t.Errorf("got %s saving %v; want %s saving %v", f.Kind, got, stall.DeferrableTail, want)
			}
			if got := a.Nodes[f.Spans[0]].Span.Name; got != tt.span || !strings.Contains(f.Text, tt.span) {
				t.Errorf("got %q and text %q; want %q", got, f.Text, tt.span)
			}
		})
	}
}

func TestTopFunction(t *testing.T) {
	frames := func(names ...string) (list []spanstore.Frame) {
		for _, n := range names {
			list = append(list, spanstore.Frame{Func: n})
		}
		return list
	}
	for _, tt := range []struct {
		name   string
		stacks []spanstore.Stack
		want   string // "": nothing is said
	}{
		{"the leaf, and who called it", []spanstore.Stack{
			{Frames: frames("x/blowfish.encryptBlock", "x/blowfish.ExpandKey", "x/bcrypt.bcrypt", "main.login"), Samples: 10}},
			"Top CPU: x/blowfish.encryptBlock (from x/bcrypt.bcrypt), 100 %."},
		{"spread below a function", []spanstore.Stack{
			{Frames: frames("runtime.memmove", "main.copy", "main.handle", "net/http.serve"), Samples: 6},
			{Frames: frames("main.hash", "main.handle", "net/http.serve"), Samples: 4}},
			"Top CPU: main.handle, 100 %."},
		{"spread below the server only", []spanstore.Stack{
			{Frames: frames("main.a", "net/http.serve"), Samples: 6}, {Frames: frames("main.b", "net/http.serve"), Samples: 4}},
			"Top CPU: main.a, 60 %."},
		{"recursion counts once", []spanstore.Stack{{Frames: frames("main.fib", "main.fib", "main.fib"), Samples: 5}}, "Top CPU: main.fib, 100 %."},
		{"too few", []spanstore.Stack{{Frames: frames("main.a"), Samples: 2}}, ""},
		{"no frames", []spanstore.Stack{{Samples: 9}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := literal(span{id: 1, name: "GET /", end: 100, kind: trace.SpanKindServer})
			tr.Windows = []spanstore.Window{window(-10, 200, "")}
			sample(tr, 1, 9, tt.stacks...)
			if got := stall.Analyze(tr).Headline.Rest; got != tt.want {
				t.Errorf("got %q; want %q", got, tt.want)
			}
		})
	}
}

// TestHeadlineNamesStayShort keeps a hostile name from filling the page.
func TestHeadlineNamesStayShort(t *testing.T) {
	a := stall.Analyze(literal(span{id: 1, name: strings.Repeat("é", 5000), end: 10}))
	if n := len([]rune(a.Headline.Strong)); n > 300 {
		t.Errorf("got a headline of %d characters", n)
	}
}
