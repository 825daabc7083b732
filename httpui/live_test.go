package httpui_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
)

// TestWhoLooksGetsTheRunningWindow burns CPU in a span while a profiler runs:
// JSON says at once that samples are still to come, and waits for them when
// asked to.
func TestWhoLooksGetsTheRunningWindow(t *testing.T) {
	store := emptyStore(t)
	prof, err := profiler.Start(store, &profiler.Options{Window: time.Minute, MinWindow: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	defer tp.Shutdown(context.Background())

	_, span := tp.Tracer("test").Start(context.Background(), "burn")
	sum := 0
	for start := time.Now(); time.Since(start) < 500*time.Millisecond; {
		for i := range 1000 {
			sum += i * i
		}
	}
	span.End()
	if err := store.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}

	h := httpui.Handler(store, &httpui.Options{Profiler: prof})
	path := "/t/trace/" + span.SpanContext().TraceID().String()
	if got := decode(t, ask(h, path+"?format=json")); got["pending"] != true || !strings.Contains(got["cpu_reason"].(string), "has not ended yet") {
		t.Errorf("at once: got pending %v and reason %q; want it pending", got["pending"], got["cpu_reason"])
	}
	line := decode(t, ask(h, "/t/?format=json"))
	p := line["profiler"].(map[string]any)
	if x, ok := p["exact"].(map[string]any); !ok || x["missed"] != 0.0 {
		t.Errorf("got %v; want the figures of the execution traces", p["exact"])
	}
	if g, ok := p["governor"].(map[string]any); p["running"] != true || !ok || g["level"] != "full" || g["budget"] != 0.01 {
		t.Errorf("the list: got profiler %v; want it running, at the full level of a budget of 0.01", p)
	}
	got := decode(t, ask(h, path+"?format=json&wait=10s"))
	if got["pending"] != false || got["evidence"] != "sampled" || got["samples"].(float64) < 1 {
		t.Errorf("after waiting: got pending %v, evidence %v, %v samples; want samples (checksum %d)", got["pending"], got["evidence"], got["samples"], sum)
	}
	signals := got["signals"].([]any)
	if len(signals) == 0 {
		t.Fatal("got no signals")
	}
	if s := signals[0].(map[string]any); s["end_ns"].(float64) <= s["start_ns"].(float64) || s["values"].(map[string]any)["goroutines"] == nil {
		t.Errorf("got signals %v; want a stretch of time with figures", s)
	}
	if text := ask(h, path).body; !strings.Contains(text, "≈") {
		t.Errorf("as text: got %s; want an estimate", text)
	}
	if got := ask(h, "/t/pprof/profile?seconds=0.2"); got.status != 200 || !strings.HasPrefix(got.body, "\x1f\x8b") {
		t.Errorf("pprof/profile: got %d and %.40q; want a gzipped profile", got.status, got.body)
	}
}

// Traces of a former process are not waited for: nothing more comes for them.
func TestOldTracesAreNotPending(t *testing.T) {
	store := emptyStore(t)
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	_, old := tp.Tracer("t").Start(context.Background(), "old")
	old.End()
	prof, err := profiler.Start(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	_, fresh := tp.Tracer("t").Start(context.Background(), "new")
	time.Sleep(time.Millisecond)
	fresh.End()
	h := httpui.Handler(store, &httpui.Options{Profiler: prof})
	r := httptest.NewRequest("GET", "http://localhost/debug/traces/?format=json", nil)
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var list struct {
		Traces []struct {
			RootName string `json:"root_name"`
			Pending  bool   `json:"cpu_pending"`
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Traces) != 2 {
		t.Fatalf("got %s, %v; want two traces", w.Body, err)
	}
	for _, tr := range list.Traces {
		if tr.Pending != (tr.RootName == "new") {
			t.Errorf("%s: got pending %v", tr.RootName, tr.Pending)
		}
	}
}

// A trace whose root is yet to end is not one whose root is missing: the list says
// which request it is of.
func TestListKnowsWhatIsInFlight(t *testing.T) {
	store := emptyStore(t)
	prof, err := profiler.Start(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	defer tp.Shutdown(context.Background())
	ctx, root := tp.Tracer("test").Start(context.Background(), "GET /slow")
	_, child := tp.Tracer("test").Start(ctx, "query")
	child.End()
	if err := store.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}

	h := httpui.Handler(store, &httpui.Options{Profiler: prof})
	first := func() map[string]any {
		return decode(t, ask(h, "/t/?format=json"))["traces"].([]any)[0].(map[string]any)
	}
	got := first()
	if in, ok := got["in_flight"].(map[string]any); !ok || in["name"] != "GET /slow" || in["age_ns"].(float64) <= 0 || got["root_name"] != "query" {
		t.Errorf("got %v; want it in flight, with the request's name and age", got)
	}
	if text := ask(h, "/t/?format=text").body; !strings.Contains(text, "GET /slow (in flight)") || strings.Contains(text, "root missing") {
		t.Errorf("the text does not say what is in flight:\n%s", text)
	}
	for _, o := range decode(t, ask(h, "/t/overview?format=json"))["operations"].([]any) {
		if o := o.(map[string]any); o["request"] != nil {
			t.Errorf("the overview takes %v of a request in flight for a request", o["name"])
		}
	}
	root.End()
	if err := store.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := first(); got["in_flight"] != nil || got["root_name"] != "GET /slow" {
		t.Errorf("got %v after the root has ended; want it whole", got)
	}
}
