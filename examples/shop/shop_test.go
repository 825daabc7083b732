package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// patience bounds every wait for something that is bound to happen.
const patience = 30 * time.Second

// startShop starts a shop without traffic of its own.
func startShop(t *testing.T, o options) *shop {
	t.Helper()
	o.addr = "127.0.0.1:0"
	s, err := open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error("close:", err)
		}
	})
	return s
}

// request makes one request as a customer does, and returns its trace: the
// newest of that route, as soon as it has so many spans. Those of a caller often
// end before those of the called.
func request(t *testing.T, s *shop, route string, send func(context.Context) error, spans int) *spanstore.Trace {
	t.Helper()
	begin := time.Now()
	if err := send(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := "none"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		page, err := s.telemetry.store.Traces(t.Context(), spanstore.Query{Service: "gateway", Name: route, From: begin, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Traces) == 0 {
			continue
		}
		tr, err := s.telemetry.store.Trace(t.Context(), page.Traces[0].TraceID)
		if err != nil {
			t.Fatal(err)
		}
		// The first statements of a service have spans of connecting, too.
		tr.Spans = slices.DeleteFunc(tr.Spans, func(s spanstore.Span) bool { return s.Name == "sql.connector.connect" })
		if len(tr.Spans) >= spans {
			return tr
		}
		got = outline(tr)
	}
	t.Fatalf("%s: got trace\n%s\nwant %d spans", route, got, spans)
	return nil
}

// outline writes a trace as its tree, one span a line, indented by depth.
// Remote says that the parent was reached over the network.
func outline(tr *spanstore.Trace) string {
	var b strings.Builder
	var write func(parent trace.SpanID, depth int)
	write = func(parent trace.SpanID, depth int) {
		for _, s := range tr.Spans {
			if s.Parent.SpanID() != parent {
				continue
			}
			remote := ""
			if s.Parent.IsRemote() {
				remote = " (remote)"
			}
			fmt.Fprintf(&b, "%s%s: %s%s\n", strings.Repeat("  ", depth), s.Service(), s.Name, remote)
			write(s.SpanID(), depth+1)
		}
	}
	write(trace.SpanID{}, 0)
	return b.String()
}

// The outlines of the three routes, on fresh servers.
const (
	productOutline = `
gateway: GET /api/product
  gateway: GET orders
    orders: GET /stock (remote)
      orders: SELECT shop_stock
  gateway: redis.SET
`
	// The order is not in the cache yet.
	orderOutline = `
gateway: GET /api/order/{id}
  gateway: GET orders
    orders: GET /api/order/{id} (remote)
      orders: redis.GET
      orders: SELECT shop_orders
      orders: redis.SET
      orders: SELECT shop_order_items
      orders: GET payment
        payment: GET /payment/{order} (remote)
          payment: SELECT shop_payments
`
	loginOutline = `
gateway: POST /api/auth/login
  gateway: POST users
    users: POST /api/auth/login (remote)
      users: SELECT shop_users
      users: redis.SET
`
)

// testOutlines makes a request of each route and compares the whole traces.
func testOutlines(t *testing.T, s *shop) {
	t.Helper()
	for _, r := range []struct {
		route string
		send  func(context.Context) error
		want  string
	}{
		{"GET /api/product", s.traffic.product, productOutline},
		{"GET /api/order/{id}", func(ctx context.Context) error { return s.traffic.get(ctx, "/api/order/7") }, orderOutline},
		{"POST /api/auth/login", s.traffic.login, loginOutline},
	} {
		tr := request(t, s, r.route, r.send, strings.Count(r.want, "\n")-1)
		if got, want := outline(tr), strings.TrimPrefix(r.want, "\n"); got != want {
			t.Errorf("%s: got trace\n%swant\n%s", r.route, got, want)
		}
		for _, s := range tr.Spans {
			if s.TraceID() != tr.ID {
				t.Errorf("%s: %s of %s is in trace %s; want %s", r.route, s.Name, s.Service(), s.TraceID(), tr.ID)
			}
		}
	}
}

func TestTraces(t *testing.T) {
	testOutlines(t, startShop(t, options{}))
}

// find returns the one span of a service that has this name.
func find(t *testing.T, tr *spanstore.Trace, service, name string) *spanstore.Span {
	t.Helper()
	for i := range tr.Spans {
		if s := &tr.Spans[i]; s.Service() == service && s.Name == name {
			return s
		}
	}
	t.Fatalf("no span %s of %s in\n%s", name, service, outline(tr))
	return nil
}

func TestProductCacheWrite(t *testing.T) {
	const route = "GET /api/product"
	t.Run("awaited", func(t *testing.T) {
		s := startShop(t, options{})
		tr := request(t, s, route, s.traffic.product, 5)
		root, set := find(t, tr, "gateway", route), find(t, tr, "gateway", "redis.SET")
		if set.End.After(root.End) {
			t.Errorf("redis.SET ends %v after its request; want before", set.End.Sub(root.End))
		}
		for _, child := range tr.Spans {
			if child.Parent.SpanID() == root.SpanID() && child.End.After(set.End) {
				t.Errorf("%s ends after redis.SET; want redis.SET to be the last", child.Name)
			}
		}
	})
	t.Run("fix", func(t *testing.T) {
		s := startShop(t, options{fix: true})
		tr := request(t, s, route, s.traffic.product, 5)
		root, set := find(t, tr, "gateway", route), find(t, tr, "gateway", "redis.SET")
		if set.Parent.SpanID() != root.SpanID() {
			t.Errorf("redis.SET has parent %s; want the request %s", set.Parent.SpanID(), root.SpanID())
		}
		if !set.End.After(root.End) {
			t.Errorf("redis.SET ends %v before its request; want after", root.End.Sub(set.End))
		}
		if set.Status.Description != "" {
			t.Errorf("redis.SET failed: %s; want it to outlive the request's context", set.Status.Description)
		}
	})
	t.Run("close waits", func(t *testing.T) {
		s, err := open(t.Context(), options{addr: "127.0.0.1:0", fix: true, dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.traffic.product(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		again, err := spanstore.Open(s.dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		page, err := again.Traces(t.Context(), spanstore.Query{Service: "gateway", Name: "redis.SET"})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(page.Traces); got != 1 {
			t.Errorf("got %d traces with the cache write after reopening; want 1", got)
		}
	})
}

// TestOrderBehindKEYS looks at orders while the sweep keeps Redis busy. How long
// one of them waits is chance, that none of many does is not.
func TestOrderBehindKEYS(t *testing.T) {
	const route = "GET /api/order/{id}"
	s := startShop(t, options{})
	n, err := openNoise(t.Context(), s.redis)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan error, 1)
	go func() { swept <- n.sweep(ctx, patience) }()

	best := 0.0
	for deadline := time.Now().Add(patience); best < 0.6 && time.Now().Before(deadline); {
		tr := request(t, s, route, s.traffic.order, 8)
		get, root := find(t, tr, "orders", "redis.GET"), find(t, tr, "gateway", route)
		best = max(best, get.Duration().Seconds()/root.Duration().Seconds())
	}
	cancel()
	if err := <-swept; err != nil && ctx.Err() == nil {
		t.Error("sweep:", err)
	}
	if best < 0.6 {
		t.Errorf("redis.GET took at most %.0f %% of an order's time; want 60 %% at least once", 100*best)
	}
}

// TestLoginBurnsCPU looks at the span in which bcrypt runs: by wall time, and by
// the stacks of its CPU samples.
func TestLoginBurnsCPU(t *testing.T) {
	const route = "POST /api/auth/login"
	s := startShop(t, options{})
	var traces []*spanstore.Trace
	var wall, self time.Duration
	for range 5 {
		tr := request(t, s, route, s.traffic.login, 5)
		login := find(t, tr, "users", route)
		wall += login.Duration()
		self += login.Duration()
		for _, child := range tr.Spans {
			if child.Parent.SpanID() == login.SpanID() {
				self -= child.Duration()
			}
		}
		traces = append(traces, tr)
	}
	if share := self.Seconds() / wall.Seconds(); share < 0.5 {
		t.Errorf("got %.0f %% of the logins covered by no child span; want most", 100*share)
	}

	if err := s.telemetry.profiler.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	samples := 0
	for _, old := range traces {
		tr, err := s.telemetry.store.Trace(t.Context(), old.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, stack := range tr.Usage[find(t, tr, "users", route).SpanID()].Stacks {
			if hasFunc(stack, "golang.org/x/crypto/bcrypt.CompareHashAndPassword") {
				samples += stack.Samples
			}
		}
	}
	// Five logins of 50 ms or more are 25 samples and more; a starved sampler
	// gets fewer.
	if samples < 5 {
		t.Errorf("got %d CPU samples in bcrypt; want 5 or more", samples)
	}
}

func hasFunc(s spanstore.Stack, name string) bool {
	for _, f := range s.Frames {
		if f.Func == name {
			return true
		}
	}
	return false
}

func TestAnswers(t *testing.T) {
	s := startShop(t, options{})
	for _, r := range []struct {
		method, path, body string
		code               int
		contains           string
	}{
		{"GET", "/api/product", "", 200, `"in_stock":49}`},
		{"GET", "/api/order/3", "", 200, `"payment":{"status":"paid","cents":5003}`},
		{"GET", "/api/order/3", "", 200, `"address":"4 Mill Lane"`}, // from the cache
		{"GET", "/api/order/99999", "", 404, "order 99999 does not exist"},
		{"GET", "/api/order/x", "", 400, "a number"},
		{"POST", "/api/auth/login", `{"email":"customer1@shop.example","password":"` + password + `"}`, 200, `"session":"`},
		{"POST", "/api/auth/login", `{"email":"customer1@shop.example","password":"guess"}`, 401, "wrong email or password"},
		{"POST", "/api/auth/login", `{"email":"nobody@shop.example","password":"guess"}`, 401, "wrong email or password"},
		{"POST", "/api/auth/login", `not JSON`, 400, "login:"},
		{"POST", "/api/auth/login", `{"email":"` + strings.Repeat("x", 5<<10) + `"}`, 400, "too large"},
		{"GET", "/api/auth/login", "", 405, ""},
		{"GET", "/nothing", "", 404, ""},
	} {
		code, body := fetch(t, r.method, s.url+r.path, r.body, nil)
		if code != r.code || !strings.Contains(body, r.contains) {
			t.Errorf("%s %s: got %d %.80q; want %d with %q", r.method, r.path, code, body, r.code, r.contains)
		}
	}
}

// TestPeerDown stops the orders service under the gateway.
func TestPeerDown(t *testing.T) {
	s := startShop(t, options{})
	for _, v := range s.services {
		if v.name == "orders" {
			if err := v.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, want := range map[string]int{"/api/order/1": http.StatusBadGateway, "/api/product": http.StatusInternalServerError} {
		if code, body := fetch(t, "GET", s.url+path, "", nil); code != want {
			t.Errorf("%s without orders: got %d %q; want %d", path, code, body, want)
		}
	}
}
