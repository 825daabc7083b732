package httpui_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// shopStore holds ten requests of a gateway that call users, of which three fail.
func shopStore(t testing.TB) *spanstore.Store {
	t.Helper()
	s := emptyStore(t)
	for i := range 10 {
		id := trace.TraceID{0xa, byte(i)}
		own := uint64(2*i + 1)
		root := stub(id, own, 0, "POST /login", trace.SpanKindServer, 0, float64(10+i))
		root.Resource = resource.NewSchemaless(attribute.String("service.name", "gateway"))
		call := stub(id, own+1, own, "check", trace.SpanKindServer, 1, 5, attribute.Int("http.response.status_code", 200+300*min(1, i/7)))
		if i >= 7 {
			call.Status = sdktrace.Status{Code: codes.Error}
		}
		export(t, s, root, call)
	}
	return s
}

// within is the time that the stubs are in.
const within = "from=2026-11-20T09:41:07Z&to=2026-11-20T09:41:08Z"

func TestOverview(t *testing.T) {
	h := httpui.Handler(shopStore(t), nil)
	var o struct {
		Series     []struct{ Count, Errors int }
		Operations []struct {
			Service, Name string
			Count, Errors int
			Max           int64  `json:"max_ns"`
			MaxTrace      string `json:"max_trace"`
			Counts        []int  `json:"counts"`
			Codes         []struct {
				Code  string
				Count int
			} `json:"error_codes"`
			Request *struct {
				Traces int
				States map[string]int64
			}
		}
		Slowest []struct {
			TraceID string `json:"trace_id"`
			WallNS  int64  `json:"wall_ns"`
		}
	}
	if err := json.Unmarshal([]byte(ask(h, "/t/overview?"+within, "Accept", acceptJSON).body), &o); err != nil {
		t.Fatal(err)
	}
	requests := 0
	for _, s := range o.Series {
		requests += s.Count
	}
	if len(o.Series) != 60 || requests != 10 {
		t.Errorf("got %d requests in %d steps; want 10 in 60", requests, len(o.Series))
	}
	if len(o.Operations) != 2 || o.Operations[0].Name != "POST /login" {
		t.Fatalf("got operations %+v; want the one that took longest first", o.Operations)
	}
	login, check := o.Operations[0], o.Operations[1]
	last := trace.TraceID{0xa, 9}
	if login.Count != 10 || login.Max != 19e6 || login.MaxTrace != last.String() || login.Request == nil || login.Request.Traces != 10 {
		t.Errorf("got %+v; want 10 requests, the slowest of 19 ms in trace %s", login, last)
	}
	if check.Errors != 3 || len(check.Codes) != 1 || check.Codes[0].Code != "500" || check.Codes[0].Count != 3 || check.Request != nil {
		t.Errorf("got %+v; want 3 errors, of the code 500, and no figures of requests", check)
	}
	if len(o.Slowest) == 0 || o.Slowest[0].TraceID != last.String() || o.Slowest[0].WallNS != 19e6 {
		t.Errorf("got slowest %+v; want trace %s of 19 ms", o.Slowest, last)
	}

	text := ask(h, "/t/overview?"+within).body
	for _, want := range []string{"gateway POST /login", "3 (500)", "19 ms", last.String()} {
		if !strings.Contains(text, want) {
			t.Errorf("as text: got %s; want %q in it", text, want)
		}
	}
	if got := ask(h, "/t/overview?last=1ns", "Accept", acceptJSON).body; !strings.Contains(got, `"widened":true`) {
		t.Errorf("nothing in the last nanosecond: got %.200s; want all that there is", got)
	}
}

func TestGraph(t *testing.T) {
	h := httpui.Handler(shopStore(t), nil)
	got := ask(h, "/t/graph?"+within, "Accept", acceptJSON).body
	if want := `{"caller":"gateway","callee":"users","calls":10,"errors":3,"mean_ns":4000000,"max_ns":4000000}`; !strings.Contains(got, want) {
		t.Errorf("got %s; want %s", got, want)
	}
	if got := ask(h, "/t/graph?"+within).body; !strings.Contains(got, "gateway  users      10       3  4 ms  4 ms") {
		t.Errorf("as text: got %s", got)
	}
}

// TestShares: the bars of the list add up to the critical path.
func TestShares(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	var got struct {
		Traces map[string]struct {
			CriticalNS int64 `json:"critical_ns"`
			Budget     []struct {
				State string
				NS    int64
			}
		}
	}
	for range 2 { // worked out, and remembered
		if err := json.Unmarshal([]byte(ask(h, "/t/shares?trace="+traceID+","+nobody, "Accept", acceptJSON).body), &got); err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, s := range got.Traces[traceID].Budget {
			sum += s.NS
		}
		if len(got.Traces) != 1 || sum != 139e6 || got.Traces[traceID].CriticalNS != sum {
			t.Errorf("got %+v; want the one trace that there is, and 139 ms", got)
		}
	}
	if got := ask(h, "/t/shares?trace="+traceID).body; !strings.Contains(got, "cpu 60 ms") {
		t.Errorf("as text: got %s", got)
	}
	if got := ask(h, "/t/shares?trace=xyz", "Accept", acceptJSON); got.status != 400 {
		t.Errorf("no id: got %d", got.status)
	}
	if got := ask(h, "/t/shares?trace="+strings.Repeat(traceID+",", 201), "Accept", acceptJSON); got.status != 400 {
		t.Errorf("too many: got %d", got.status)
	}
}

// TestNewViewsHideValues: who may not see the values of attributes gets none, not
// even among completions or as the codes of errors.
func TestNewViewsHideValues(t *testing.T) {
	s := loginStore(t)
	export(t, s, func() tracetest.SpanStub {
		failed := stub(trace.TraceID{0xee}, 1, 0, "failing", trace.SpanKindServer, 0, 1, attribute.String("error.type", secret))
		failed.Status = sdktrace.Status{Code: codes.Error}
		return failed
	}())
	h := httpui.Handler(s, &httpui.Options{Authorize: func(r *http.Request) httpui.Access {
		if r.Header.Get("Show") != "" {
			return httpui.ShowValues
		}
		return httpui.HideValues
	}})
	for _, path := range []string{"/t/overview?" + within, "/t/suggest", "/t/live", "/t/health", "/t/graph?" + within, "/t/shares?trace=" + traceID, "/t/flame"} {
		for _, accept := range []string{acceptJSON, "text/plain"} {
			if got := ask(h, path, "Accept", accept); got.status != 200 || strings.Contains(got.body, secret) {
				t.Errorf("%s as %s: got %d %s; want no value", path, accept, got.status, got.body)
			}
		}
	}
	// They were computed for all who ask: the next reader may see them.
	for _, path := range []string{"/t/overview?" + within, "/t/suggest"} {
		if got := ask(h, path, "Accept", acceptJSON, "Show", "1"); !strings.Contains(got.body, secret) {
			t.Errorf("%s: got %s; want the value", path, got.body)
		}
	}
}

func TestSuggest(t *testing.T) {
	h := httpui.Handler(shopStore(t), nil)
	got := ask(h, "/t/suggest", "Accept", acceptJSON).body
	for _, want := range []string{
		`"services":["gateway","users"]`, `{"service":"gateway","name":"POST /login","count":10}`,
		`{"key":"http.response.status_code","of":"span","count":10,"values":["200","500"]}`, `"key":"service.name","of":"resource"`, `"field":"duration"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s; want %s in it", got, want)
		}
	}
	if got := ask(h, "/t/suggest").body; !strings.Contains(got, "attribute  span.http.response.status_code 200 500") {
		t.Errorf("as text: got %s", got)
	}
}

func TestHealth(t *testing.T) {
	s := shopStore(t)
	h := httpui.Handler(s, nil)
	var v struct {
		Build struct {
			Go     string
			Format int `json:"store_format"`
		}
		Store struct{ Spans int64 }
		Ring  struct {
			Accepted int64
			Dropped  map[string]int64
		}
	}
	if err := json.Unmarshal([]byte(ask(h, "/t/health", "Accept", acceptJSON).body), &v); err != nil {
		t.Fatal(err)
	}
	if v.Store.Spans != 20 || v.Ring.Accepted != 20 || v.Build.Format != spanstore.Format || !strings.HasPrefix(v.Build.Go, "go") || len(v.Ring.Dropped) != 4 {
		t.Errorf("got %+v; want 20 spans that came in, and the versions", v)
	}
	if got := ask(h, "/t/health").body; !strings.Contains(got, "came in         20, of these durable") || !strings.Contains(got, "  state  off") {
		t.Errorf("as text: got %s", got)
	}
	if got := ask(httpui.Handler(nil, nil), "/t/health"); got.status != 200 || !strings.Contains(got.body, "There is no span store") {
		t.Errorf("without a store: got %d %s", got.status, got.body)
	}
}

// TestListOfRootsAndOrder: on= says which spans the conditions are about, last= and
// order= what else the page asks for.
func TestListOfRootsAndOrder(t *testing.T) {
	h := httpui.Handler(shopStore(t), nil)
	for path, want := range map[string]int{
		"service=users": 10, "service=users&on=entry": 0, "service=gateway&on=root": 10, "service=gateway&on=entry": 10,
		"last=1ns": 0, "last=all": 10, "order=longest": 10, "order=newest&on=root&q=status%3Derror": 0,
	} {
		if got := len(decode(t, ask(h, "/t/?format=json&"+path))["traces"].([]any)); got != want {
			t.Errorf("%s: got %d traces; want %d", path, got, want)
		}
	}
	first := decode(t, ask(h, "/t/?format=json&order=longest"))["traces"].([]any)[0].(map[string]any)
	if first["wall_ns"] != 19e6 {
		t.Errorf("longest first: got %v", first)
	}
	for _, path := range []string{"on=leaf", "order=shortest", "last=soon", "last=-1s"} {
		if got := ask(h, "/t/?format=json&"+path); got.status != 400 {
			t.Errorf("%s: got %d; want 400", path, got.status)
		}
	}
}

// TestLive holds a span in a channel and looks at it.
func TestLive(t *testing.T) {
	store := emptyStore(t)
	prof, err := profiler.Start(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prof.Stop()
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	defer tp.Shutdown(context.Background())
	release, begun := make(chan struct{}), make(chan struct{})
	go func() {
		_, span := tp.Tracer("test").Start(context.Background(), "GET /stuck")
		close(begun)
		<-release
		span.End()
	}()
	defer close(release)
	<-begun
	h := httpui.Handler(store, &httpui.Options{Profiler: prof})
	var live struct {
		Spans []struct {
			Name   string
			Age    int64 `json:"age_ns"`
			Stacks []struct {
				State  string
				Frames []struct{ Func string }
			}
		}
		Capture struct {
			Possible bool
			Why      string
		}
	}
	// The goroutine may not have come to its channel yet: views are a second apart.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if err := json.Unmarshal([]byte(ask(h, "/t/live", "Accept", acceptJSON).body), &live); err != nil {
			t.Fatal(err)
		}
		if len(live.Spans) == 1 && len(live.Spans[0].Stacks) > 0 && live.Spans[0].Stacks[0].State == "chan" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %+v; want one span that waits for a channel", live)
		}
	}
	if s := live.Spans[0]; s.Name != "GET /stuck" || s.Age <= 0 || !strings.Contains(s.Stacks[0].Frames[len(s.Stacks[0].Frames)-1].Func+s.Stacks[0].Frames[0].Func, "runtime") && len(s.Stacks[0].Frames) < 2 {
		t.Errorf("got %+v", s)
	}
	if live.Capture.Possible || live.Capture.Why == "" {
		t.Errorf("got %+v; want that nothing can be captured, and why", live.Capture)
	}
	if got := ask(h, "/t/live").body; !strings.Contains(got, "GET /stuck") || !strings.Contains(got, "chan?") || !strings.Contains(got, "TestLive") {
		t.Errorf("as text: got %s", got)
	}
}

// TestCaptureIsAskedForByPost: never by GET, and not by a form of another site.
func TestCaptureIsAskedForByPost(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	if got := ask(h, "/t/live/"+traceID, "Accept", acceptJSON); got.status != 405 || got.header.Get("Allow") != "POST" {
		t.Errorf("GET: got %d, Allow %q", got.status, got.header.Get("Allow"))
	}
	post := func(headers ...string) answer {
		return do(h, httptest.NewRequest("POST", "/t/live/"+traceID, nil), headers...)
	}
	if got := post(); got.status != 403 || !strings.Contains(got.body, httpui.CaptureHeader) {
		t.Errorf("without the header: got %d %s; want 403", got.status, got.body)
	}
	if got := post(httpui.CaptureHeader, "1"); got.status != 409 || !strings.Contains(got.body, "there is no profiler") {
		t.Errorf("without a profiler: got %d %s; want 409 and why", got.status, got.body)
	}
	if got := do(h, httptest.NewRequest("POST", "/t/live/xyz", nil)); got.status != 405 && got.status != 404 {
		t.Errorf("no id: got %d", got.status)
	}
}
