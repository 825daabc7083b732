package httpui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

func ExampleHandler() {
	store, _ := spanstore.Open("", nil)
	defer store.Close()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	_, span := tp.Tracer("example").Start(context.Background(), "GET /order", trace.WithTimestamp(time.Unix(0, 0)))
	span.End(trace.WithTimestamp(time.Unix(0, 42_000_000)))

	mux := http.NewServeMux()
	mux.Handle("/debug/traces/", httpui.Handler(store, nil)) // a service has a profiler in the options
	server := httptest.NewServer(mux)
	defer server.Close()

	// What the page shows is there as JSON too, and as text for curl.
	resp, err := http.Get(server.URL + "/debug/traces/?format=json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	var list struct {
		Traces []struct {
			RootName string `json:"root_name"`
			WallNS   int64  `json:"wall_ns"`
		} `json:"traces"`
	}
	err = json.NewDecoder(resp.Body).Decode(&list)
	fmt.Println(list.Traces, err)
	// Output: [{GET /order 42000000}] <nil>
}

func ExampleCapture() {
	store, _ := spanstore.Open("", nil)
	defer store.Close()
	prof, err := profiler.Start(store, &profiler.Options{Exact: profiler.ExactAuto})
	if err != nil {
		fmt.Println(err)
	}
	defer prof.Stop()
	for !prof.Stats().Exact.Armed { // a moment after Start
		time.Sleep(time.Millisecond)
	}
	tracer := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))).Tracer("example")

	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "answer") })
	capture := httpui.Capture(next, "/debug/traces/", &httpui.Options{Profiler: prof})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), "GET /") // as otelhttp does
		defer span.End()
		capture.ServeHTTP(w, r.WithContext(ctx))
	}))
	defer server.Close()

	req, _ := http.NewRequest("GET", server.URL, nil)
	req.Header.Set(httpui.CaptureHeader, "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Header.Get(httpui.TraceHeader)[:20] + "…")
	// Output: /debug/traces/trace/…
}

// A file to attach to an issue: it opens in any browser, without a network.
func ExampleWritePage() {
	store, _ := spanstore.Open("", nil)
	defer store.Close()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	_, span := tp.Tracer("example").Start(context.Background(), "GET /order")
	span.End()

	t, err := store.Trace(context.Background(), span.SpanContext().TraceID())
	if err != nil {
		fmt.Println(err)
		return
	}
	var page strings.Builder // or a file
	err = httpui.WritePage(&page, t)
	fmt.Println(strings.Contains(page.String(), "<title>GET /order"), err)
	// Output: true <nil>
}
