package profiler_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"

	"github.com/spanclock/spanclock/spanstore"
)

// tracingTransport does what instrumentation libraries do: it takes the
// provider from the span in the request's context, where the wrapper cannot
// have a hand in it.
type tracingTransport struct{ last trace.Span }

func (tt *tracingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	tracer := trace.SpanFromContext(r.Context()).TracerProvider().Tracer("transport")
	ctx, span := tracer.Start(r.Context(), "HTTP "+r.Method, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	tt.last = span
	burnCPU(300 * time.Millisecond) // a body that is dear to make
	return http.DefaultTransport.RoundTrip(r.WithContext(ctx))
}

func TestClientSpanOfALibraryOwnsItsCPU(t *testing.T) {
	s := newService(t, quick)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer srv.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	ctx, parent := s.Start(context.Background(), "parent")
	tt := &tracingTransport{}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tt}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	carries(t, "after the request", parent)
	parent.End()
	s.refresh(t)

	client, outer := s.usage(t, tt.last), s.usage(t, parent)
	if client.Samples < 3 {
		t.Errorf("got %d samples in the client span, which burnt CPU for 300 ms; want more", client.Samples)
	}
	if outer.Samples > client.Samples/2 {
		t.Errorf("got %d samples in the parent and %d in the client span; want them in the client span", outer.Samples, client.Samples)
	}
	burner := 0
	for _, st := range client.Stacks {
		for _, f := range st.Frames {
			if strings.HasSuffix(f.Func, "profiler_test.burnCPU") {
				burner += st.Samples
			}
		}
	}
	if burner*2 < client.Samples {
		t.Errorf("got burnCPU in %d of %d samples of the client span; want it in most", burner, client.Samples)
	}
}

// A pprof.Do with the span's context keeps the span, as does whatever asks the
// context for its labels.
func TestContextHasTheLabel(t *testing.T) {
	s := newService(t, quick)
	base := pprof.WithLabels(context.Background(), pprof.Labels("tenant", "blue"))
	ctx, span := s.Start(base, "span")
	child, cancel := context.WithCancel(context.WithValue(ctx, new(int), 1))
	defer cancel()
	pprof.Do(child, pprof.Labels("task", "x"), func(ctx context.Context) {
		carries(t, "in pprof.Do", span)
		hasLabel(t, "in pprof.Do", "tenant", "blue")
		_, inner := s.Start(ctx, "inner")
		carries(t, "in a span in pprof.Do", inner)
		hasLabel(t, "in a span in pprof.Do", "task", "x")
		inner.End()
		carries(t, "after the inner span", span)
		hasLabel(t, "after the inner span", "task", "x")
	})
	carries(t, "after pprof.Do", span)
	hasLabel(t, "after pprof.Do", "task", "")
	span.End()
	if got, ok := pprof.Label(ctx, "span_id"); ok {
		t.Errorf("got span_id %q in the context of a span that is over; want none", got)
	}
}

// Registered more than once, and wrapped more than once, it does its work once.
func TestRegisteredTwice(t *testing.T) {
	s := newService(t, quick)
	tracer := s.prof.Wrap(s.prof.TracerProvider(s.tp.TracerProvider)).Tracer("twice")
	ctx, outer := tracer.Start(context.Background(), "outer")
	_, inner := tracer.Start(ctx, "inner")
	carries(t, "in the inner span", inner)
	pprof.Do(ctx, pprof.Labels("task", "x"), func(context.Context) { carries(t, "in pprof.Do with the outer context", outer) })
	inner.End()
	carries(t, "after the inner span", outer)
	outer.End()
	carries(t, "all ended", nil)
	if n := s.prof.Stats().LiveSpans; n != 0 {
		t.Errorf("got %d live spans; want none", n)
	}
}

// foreignProvider is a provider of another make: its spans are not the SDK's,
// but it has span processors all the same.
type foreignProvider struct {
	embedded.TracerProvider
	sdk *sdktrace.TracerProvider
}

type foreignTracer struct {
	embedded.Tracer
	inner trace.Tracer
}

type foreignSpan struct{ trace.Span }

func (p foreignProvider) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return foreignTracer{inner: p.sdk.Tracer(name, opts...)}
}

func (t foreignTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	_, span := t.inner.Start(ctx, name, opts...)
	own := foreignSpan{span}
	return trace.ContextWithSpan(ctx, own), own
}

func TestWrapAnotherMake(t *testing.T) {
	s := newService(t, quick)
	tp := s.prof.Wrap(foreignProvider{sdk: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.prof))})
	ctx, span := tp.Tracer("test").Start(context.Background(), "span")
	carries(t, "in the span", span)
	pprof.Do(ctx, pprof.Labels("task", "x"), func(context.Context) { carries(t, "in pprof.Do", span) })
	span.End()
	carries(t, "after the span", nil)
}

// Spans that do not record leave no trace.
func TestSpansThatDoNotRecord(t *testing.T) {
	s := newService(t, quick)
	tp := s.prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	outer, recording := s.Start(context.Background(), "recording")
	_, span := tp.Tracer("test").Start(outer, "dropped")
	carries(t, "in a span that does not record", recording)
	span.End()
	carries(t, "after its end", recording)
	if n := s.prof.Stats().LiveSpans; n != 1 {
		t.Errorf("got %d live spans; want the one that records", n)
	}
	recording.End()
}

// Spans of the local store alone are recorded without being sampled.
func TestRecordOnlySpans(t *testing.T) {
	s := newService(t, quick)
	tp := s.prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(spanstore.RecordAll(sdktrace.NeverSample()))))
	_, span := tp.Tracer("test").Start(context.Background(), "recorded only")
	carries(t, "in the span", span)
	span.End()
	carries(t, "after its end", nil)
}

// Printing a context does not look into what others are changing.
func TestPrintedContext(t *testing.T) {
	s := newService(t, quick)
	ctx, span := s.Start(context.Background(), "span")
	defer span.End()
	want := "WithSpanLabel(" + span.SpanContext().SpanID().String() + ")"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, ctx); !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q; want it to end in %q", verb, got, want)
		}
	}
}

// sameID gives all spans the same ids, as a broken IDGenerator may.
type sameID struct{}

func (sameID) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return trace.TraceID{1}, trace.SpanID{2}
}

func (sameID) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return trace.SpanID{2} }

// Whose ids repeat gets wrong figures, but the contexts are everybody's own, and
// nobody writes to what is another's: the race detector looks on.
func TestRepeatedIDs(t *testing.T) {
	s := newService(t, quick)
	tracer := s.prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(sameID{}))).Tracer("test")
	type whose struct{}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 2000 {
				ctx, span := tracer.Start(context.WithValue(context.Background(), whose{}, g), "span")
				if got := ctx.Value(whose{}); got != g {
					t.Errorf("got the context of goroutine %v; want that of %d", got, g)
				}
				span.End()
			}
		})
	}
	wg.Wait()
}
