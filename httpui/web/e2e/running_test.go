package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// serveRunning serves the sample traces and those given of a process that has a
// profiler and a request in flight, which waits in a function.
func serveRunning(t testing.TB, more ...*sampletrace.Sample) *site {
	t.Helper()
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	prof, err := profiler.Start(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sampletrace.Store(context.Background(), store, append(sampletrace.Cases(), more...)...); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(mount, httpui.Handler(store, &httpui.Options{Profiler: prof}))
	s := &site{Server: httptest.NewServer(mux), store: store, prof: prof}
	t.Cleanup(func() {
		s.Close()
		prof.Stop()
		store.Close()
	})
	s.inFlight(t, "gateway", "GET /slow", "GET /slower")
	return s
}

// inFlight keeps spans open until the test ends, one below the other; one of the
// trace has ended, and is in the store.
func (s *site) inFlight(t testing.TB, service string, names ...string) {
	t.Helper()
	tp := s.prof.TracerProvider(sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(s.store.Processor()),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service)))))
	end := make(chan struct{})
	var begun, over sync.WaitGroup
	begun.Add(1)
	over.Go(func() {
		ctx := context.Background()
		for _, name := range names {
			var span trace.Span
			ctx, span = tp.Tracer(service).Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
			defer span.End()
		}
		_, ended := tp.Tracer(service).Start(ctx, names[0])
		ended.End()
		begun.Done()
		<-end
	})
	begun.Wait()
	if err := s.store.Flush(context.Background()); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		close(end)
		over.Wait()
		tp.Shutdown(context.Background())
	})
}

// serveEmpty serves a store without spans, in a process without a profiler.
func serveEmpty(t testing.TB) *httptest.Server {
	t.Helper()
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(mount, httpui.Handler(store, nil))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		store.Close()
	})
	return server
}
