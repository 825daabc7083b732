package spantest_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/spantest"
)

// recordingTB is a test that notes what a helper says in place of failing.
type recordingTB struct {
	testing.TB
	text  []string
	fatal bool
}

func (r *recordingTB) Helper()                   {}
func (r *recordingTB) Error(args ...any)         { r.text = append(r.text, fmt.Sprint(args...)) }
func (r *recordingTB) Errorf(f string, a ...any) { r.text = append(r.text, fmt.Sprintf(f, a...)) }
func (r *recordingTB) Fatal(args ...any)         { r.Error(args...); r.end() }
func (r *recordingTB) Fatalf(f string, a ...any) { r.Errorf(f, a...); r.end() }
func (r *recordingTB) end()                      { r.fatal = true; runtime.Goexit() }
func (r *recordingTB) said() string              { return strings.Join(r.text, "\n") }

// said runs test with a testing.TB that notes, and returns what it was told.
func said(t *testing.T, test func(testing.TB)) *recordingTB {
	t.Helper()
	r := &recordingTB{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r
}

// contains fails the test unless got has all the texts, in this order.
func contains(t *testing.T, got string, want ...string) {
	t.Helper()
	rest := got
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Fatalf("got %s\nwant it to contain %q here: %q", got, w, rest)
		}
		rest = after
	}
}

// step is a span of a request that sleeps.
type step struct {
	name  string
	takes time.Duration
	kind  trace.SpanKind
	attrs []attribute.KeyValue
	fails string
	late  bool // it is not awaited
	steps []step
}

// run makes a span of s, and its children one after the other.
func (s step) run(ctx context.Context, tracer trace.Tracer) {
	ctx, span := tracer.Start(ctx, s.name, trace.WithSpanKind(s.kind), trace.WithAttributes(s.attrs...))
	time.Sleep(s.takes)
	var late []step
	for _, c := range s.steps {
		if c.late {
			late = append(late, c)
			continue
		}
		c.run(ctx, tracer)
	}
	if s.fails != "" {
		span.SetStatus(codes.Error, s.fails)
	}
	var ends []func()
	for _, c := range late { // they begin before s ends, and end after it
		_, child := tracer.Start(ctx, c.name)
		ends = append(ends, func() { time.Sleep(c.takes); child.End() })
	}
	span.End()
	for _, end := range ends {
		end()
	}
}

// handler is a service whose every request makes the steps of root.
func handler(tp trace.TracerProvider, root step) http.Handler {
	tracer := tp.Tracer("service")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { root.run(r.Context(), tracer) })
}

const ms = time.Millisecond

// checkout is a request of 100 ms.
var checkout = step{name: "POST /checkout", kind: trace.SpanKindServer, takes: 10 * ms, steps: []step{
	{name: "redis.GET", takes: 5 * ms, kind: trace.SpanKindClient},
	{name: "SELECT orders", takes: 20 * ms, kind: trace.SpanKindClient, attrs: []attribute.KeyValue{attribute.Int("rows", 3)}},
	{name: "SELECT items", takes: 15 * ms, kind: trace.SpanKindClient},
	{name: "SELECT items", takes: 15 * ms, kind: trace.SpanKindClient},
	{name: "render", takes: 35 * ms, steps: []step{}},
	{name: "audit", takes: 30 * ms, late: true},
}}

// record makes a trace of root in the bubble, or wherever it is called.
func record(tb testing.TB, root step) *spantest.Trace {
	rec := spantest.New(tb)
	root.run(tb.Context(), rec.Provider().Tracer("test"))
	return rec.Trace(root.name)
}
