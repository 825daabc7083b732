package main

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore/spantest"
)

// These tests assert the shop's three cases as a service's own tests would: with
// package spantest, on requests to the real handlers.

const (
	productRoute = "GET /api/product"
	orderRoute   = "GET /api/order/{id}"
	loginRoute   = "POST /api/auth/login"
)

// recorded starts a shop whose traces are asserted; with cpu there is CPU time too.
func recorded(t *testing.T, o options, cpu bool) (*shop, *spantest.Recorder) {
	t.Helper()
	s := startShop(t, o)
	var providers []*sdktrace.TracerProvider
	for _, tp := range s.telemetry.providers {
		providers = append(providers, tp.TracerProvider)
	}
	prof := s.telemetry.profiler
	if !cpu {
		prof = nil // whose windows are two seconds and more
	}
	return s, spantest.On(t, s.telemetry.store, prof, providers...)
}

// send makes a request and fails the test when that fails.
func send(t *testing.T, request func(context.Context) error) {
	t.Helper()
	if err := request(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestShapes compares what each route does with a file: go test -update writes it.
func TestShapes(t *testing.T) {
	s, rec := recorded(t, options{}, false)
	order := func(ctx context.Context) error { return s.traffic.get(ctx, "/api/order/7") }
	send(t, s.traffic.product)
	rec.Trace(productRoute).Golden("product")
	send(t, order)
	rec.Trace(orderRoute).Golden("order-not-cached", "http.response.status_code")
	send(t, order)
	rec.Trace(orderRoute).Golden("order-cached")
	send(t, s.traffic.login)
	rec.Trace(loginRoute).Golden("login")
}

// TestProductWaitsForCache is the first case: the request ends with a write that
// nobody needs.
func TestProductWaitsForCache(t *testing.T) {
	write := spantest.Span("redis.SET").Of("gateway")
	t.Run("as it is", func(t *testing.T) {
		s, rec := recorded(t, options{}, false)
		rec.Repeat(20, productRoute, func() { send(t, s.traffic.product) }).Each(
			write.Awaited(),
			write.OnCriticalPath(),
			spantest.Span("GET orders").Before(write),
			spantest.AnySpan().Succeeds(),
		)
	})
	t.Run("with -fix", func(t *testing.T) {
		s, rec := recorded(t, options{fix: true}, false)
		send(t, s.traffic.product)
		// The write begins when all else has ended: the trace is whole with five spans.
		rec.Find(`entry name="`+productRoute+`" trace.spans>=5`).Expect(
			write.NotAwaited(),
			write.OffCriticalPath(),
			spantest.NoFinding(stall.DeferrableTail),
			spantest.AnySpan().Succeeds(),
		)
	})
}

// TestOrderWaitsForRedis is the second case. Without others in Redis the GET is a
// small part of most orders; while it is busy with KEYS an order is mostly that GET.
func TestOrderWaitsForRedis(t *testing.T) {
	get := spantest.Span("redis.GET").Of("orders")
	s, rec := recorded(t, options{}, false)
	quiet := rec.Repeat(40, orderRoute, func() { send(t, s.traffic.order) })
	quiet.Each(get.Count().Is(1), get.Awaited(), spantest.Prefix("SELECT").Count().AtMost(3))
	quiet.Expect(spantest.Percentile(25, get.Share()).Under(0.5))

	n, err := openNoise(t.Context(), s.redis)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan error, 1)
	go func() { swept <- n.sweep(ctx, patience) }()
	defer func() { cancel(); <-swept }()
	// How long one of them waits is chance; that none of many does is not.
	blocked := get.Share().Over(0.5).And(get.OnCriticalPath())
	var last *spantest.Trace
	for end := time.Now().Add(patience); time.Now().Before(end); {
		send(t, s.traffic.order)
		if last = rec.Trace(orderRoute); last.Check(blocked) == nil {
			return
		}
	}
	last.Expect(blocked)
}

// TestLoginComputes is the third case: the time of a login is the users service's
// own, and on CPU.
func TestLoginComputes(t *testing.T) {
	s, rec := recorded(t, options{}, true)
	send(t, s.traffic.login) // connects
	send(t, s.traffic.login)
	login := spantest.Span(loginRoute).Of("users")
	rec.Trace(loginRoute).Expect(
		login.OnCriticalPath(),
		login.CPU().Over(5*time.Millisecond),
		spantest.Ratio(login.Self(), spantest.Root().Duration()).Over(0.5),
		login.Has(attribute.Int("http.response.status_code", 200)),
		spantest.NoFinding(stall.NPlusOne),
	)
}
