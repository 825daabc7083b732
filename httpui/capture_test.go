package httpui_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// TestCapture: a request that may ask gets a link, and its exact states are there
// soon after; one that may not, or does not ask, is served as ever.
func TestCapture(t *testing.T) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	prof, err := profiler.Start(store, &profiler.Options{Exact: profiler.ExactAuto})
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	for range 200 {
		if prof.Stats().Exact.Armed {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	defer tp.Shutdown(context.Background())
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Millisecond)
		w.Write([]byte("served"))
	})
	mounted := httpui.Capture(app, "/debug/traces", &httpui.Options{Profiler: prof})
	serve := func(change func(*http.Request)) (*httptest.ResponseRecorder, trace.TraceID) {
		r := httptest.NewRequest("GET", "http://localhost/x", nil)
		r.RemoteAddr = "127.0.0.1:5"
		change(r)
		ctx, span := tp.Tracer("t").Start(r.Context(), "GET /x", trace.WithSpanKind(trace.SpanKindServer))
		w := httptest.NewRecorder()
		mounted.ServeHTTP(w, r.WithContext(ctx))
		span.End()
		if w.Body.String() != "served" {
			t.Errorf("got %q", w.Body.String())
		}
		return w, span.SpanContext().TraceID()
	}
	asks := map[string]func(*http.Request){
		"header":    func(r *http.Request) { r.Header.Set(httpui.CaptureHeader, "1") },
		"parameter": func(r *http.Request) { r.URL.RawQuery = "a=b&spanclock=capture" },
	}
	for name, ask := range asks {
		w, id := serve(ask)
		if got, want := w.Header().Get(httpui.TraceHeader), "/debug/traces/trace/"+id.String(); got != want {
			t.Errorf("%s: got the link %q; want %q", name, got, want)
		}
		exact := func() bool {
			tr, err := store.Trace(context.Background(), id)
			return err == nil && tr.Usage[tr.Spans[0].SpanID()].Exact != nil
		}
		for try := 0; !exact(); try++ {
			if try == 600 {
				t.Fatalf("%s: no exact states: %+v", name, prof.Stats().Exact)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	h := httpui.Handler(store, &httpui.Options{Profiler: prof})
	got := do(h, httptest.NewRequest("POST", "/live/"+strings.Repeat("ab", 16)+"?when=now", nil), httpui.CaptureHeader, "1")
	if got.status != http.StatusConflict || !strings.Contains(got.body, "knows nothing of the trace") || !strings.Contains(got.body, "when=end") {
		t.Errorf("of a trace that nobody knows: got %d %s; want 409, why, and what to do", got.status, got.body)
	}
	for name, ask := range map[string]func(*http.Request){
		"nothing asked": func(*http.Request) {},
		"switched off":  func(r *http.Request) { r.Header.Set(httpui.CaptureHeader, "0") },
		"a stranger":    func(r *http.Request) { r.Header.Set(httpui.CaptureHeader, "1"); r.RemoteAddr = "10.0.0.7:5" },
	} {
		if w, _ := serve(ask); w.Header().Get(httpui.TraceHeader) != "" {
			t.Errorf("%s: got a link %q", name, w.Header().Get(httpui.TraceHeader))
		}
	}
	w := httptest.NewRecorder()
	httpui.Capture(app, "", nil).ServeHTTP(w, httptest.NewRequest("GET", "/x?spanclock=capture", nil))
	if !strings.Contains(w.Body.String(), "served") || w.Header().Get(httpui.TraceHeader) != "" {
		t.Errorf("without a profiler: got %q, %v", w.Body, w.Header())
	}
}
