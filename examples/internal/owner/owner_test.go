// Package owner_test shows who owns the CPU time of a request that an
// instrumentation library makes spans for.
package owner_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// otelhttp's Transport takes its provider from the span in the request's
// context. That is the SDK's own, which prof.TracerProvider does not wrap; its
// client span must own the CPU time burnt in it all the same.
func TestClientSpanOfOtelhttpOwnsItsCPU(t *testing.T) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	prof, err := profiler.Start(store, &profiler.Options{MinWindow: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	defer tp.Shutdown(context.Background())

	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer srv.Close()
	base := &burningTransport{base: srv.Client().Transport}
	// No WithTracerProvider: the transport has to ask the span.
	client := &http.Client{Transport: otelhttp.NewTransport(base)}

	ctx, parent := tp.Tracer("owner").Start(context.Background(), "parent")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close() // ends the client span
	parent.End()

	wait, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := prof.Refresh(wait); err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	tr, err := store.Trace(wait, parent.SpanContext().TraceID())
	if err != nil {
		t.Fatalf("Trace: %v", err)
	}

	outer := parent.SpanContext().SpanID()
	inner := base.span.SpanContext().SpanID()
	var found *spanstore.Span
	for i := range tr.Spans {
		if tr.Spans[i].SpanID() == inner {
			found = &tr.Spans[i]
		}
	}
	if found == nil {
		t.Fatalf("got %d spans in the trace, none of them otelhttp's", len(tr.Spans))
	}
	if found.Kind != trace.SpanKindClient || found.Parent.SpanID() != outer || !strings.Contains(found.Scope.Name, "otelhttp") {
		t.Errorf("got a %v span by %q with parent %v; want otelhttp's client span in %v", found.Kind, found.Scope.Name, found.Parent.SpanID(), outer)
	}

	own := tr.Usage[inner]
	// A sample is 10 ms, and more when others were lost.
	if plain := time.Duration(own.Samples) * 10 * time.Millisecond; own.Samples < 3 || own.CPU < plain*4/5 || own.CPU > plain*2 {
		t.Errorf("got %d samples, %v of CPU in the client span, in which CPU was burnt for 300 ms; want more than two, about 10 ms each", own.Samples, own.CPU)
	}
	if others := tr.Usage[outer].Samples; others > own.Samples/2 {
		t.Errorf("got %d samples in the parent and %d in the client span; want them in the client span", others, own.Samples)
	}
	burnt := 0
	for _, s := range own.Stacks {
		for _, f := range s.Frames {
			if strings.HasSuffix(f.Func, "owner_test.burn") {
				burnt += s.Samples
			}
		}
	}
	if burnt*2 < own.Samples {
		t.Errorf("got burn in %d of %d samples of the client span; want it in most", burnt, own.Samples)
	}
}

// burningTransport burns CPU below otelhttp's Transport, thus in its span.
type burningTransport struct {
	base http.RoundTripper
	span trace.Span
}

func (b *burningTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	b.span = trace.SpanFromContext(r.Context())
	burn(300 * time.Millisecond)
	return b.base.RoundTrip(r)
}

var sink uint64

// burn keeps one CPU busy for d of wall time.
//
//go:noinline
func burn(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		x := sink | 1
		for range 100_000 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		sink = x
	}
}
