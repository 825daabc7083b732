package httpui_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/spanstore"
)

// The trace that most tests look at: a request with a query, a cache write, and
// CPU samples in the request itself.
const (
	traceID = "19bb00000000000000000000000004d7"
	rootID  = "0000000000000001"
	queryID = "0000000000000002"
	nobody  = "ffffffffffffffffffffffffffffffff"
)

var epoch = time.Date(2026, 11, 20, 9, 41, 7, 7e6, time.UTC)

const secret = "s3cret" // stands in every value that may be hidden

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func spanContext(id trace.TraceID, span uint64) trace.SpanContext {
	var s trace.SpanID
	binary.BigEndian.PutUint64(s[:], span)
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: s, TraceFlags: trace.FlagsSampled,
		TraceState: must(trace.ParseTraceState("vendor=" + secret))})
}

// stub makes a span; milliseconds from the epoch.
func stub(id trace.TraceID, span, parent uint64, name string, kind trace.SpanKind, from, to float64, attrs ...attribute.KeyValue) tracetest.SpanStub {
	at := func(millis float64) time.Time { return epoch.Add(time.Duration(millis * 1e6)) }
	s := tracetest.SpanStub{
		Name: name, SpanContext: spanContext(id, span), SpanKind: kind, StartTime: at(from), EndTime: at(to), Attributes: attrs,
		Resource:             resource.NewSchemaless(attribute.String("service.name", "users"), attribute.String("host.name", secret)),
		InstrumentationScope: instrumentation.Scope{Name: "scope", Version: "v1", Attributes: attribute.NewSet(attribute.String("scope.key", secret))},
	}
	if parent != 0 {
		s.Parent = spanContext(id, parent)
	}
	return s
}

func export(t testing.TB, s *spanstore.Store, stubs ...tracetest.SpanStub) {
	t.Helper()
	if err := s.ExportSpans(context.Background(), tracetest.SpanStubs(stubs).Snapshots()); err != nil {
		t.Fatal(err)
	}
}

func emptyStore(t testing.TB) *spanstore.Store {
	t.Helper()
	s, err := spanstore.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// loginStore holds the trace, its usage and a window around it.
func loginStore(t testing.TB) *spanstore.Store {
	t.Helper()
	s := emptyStore(t)
	id := must(trace.TraceIDFromHex(traceID))
	root := stub(id, 1, 0, "POST /login", trace.SpanKindServer, 0, 139, attribute.String("http.route", "/login"), attribute.Int64("big", 1<<60))
	root.Status = sdktrace.Status{Code: codes.Error, Description: secret}
	root.Events = []sdktrace.Event{{Name: "exception", Time: epoch.Add(5e6), Attributes: []attribute.KeyValue{
		attribute.String("exception.stacktrace", "first\n\tsecond "+secret)}, DroppedAttributeCount: 1}}
	root.Links = []sdktrace.Link{{SpanContext: spanContext(trace.TraceID{9}, 9), Attributes: []attribute.KeyValue{attribute.String("why", secret)}}}
	root.DroppedAttributes, root.ChildSpanCount = 3, 2
	export(t, s, root,
		stub(id, 2, 1, "pg.query", trace.SpanKindClient, 2, 8.3, attribute.String("db.query.text", "SELECT hash FROM "+secret)),
		stub(id, 3, 1, "redis.SET", trace.SpanKindClient, 134.4, 138.2),
	)
	stack := spanstore.Stack{Frames: []spanstore.Frame{{Func: "golang.org/x/crypto/bcrypt.bcrypt", File: "bcrypt.go", Line: 7}, {Func: "main.login", File: "main.go", Line: 8}}, Samples: 6}
	err := s.AddUsage(context.Background(), spanstore.UsageBatch{
		Windows: []spanstore.Window{{Start: epoch.Add(-time.Second), End: epoch.Add(time.Second), Period: 10 * time.Millisecond, Samples: 9, Labeled: 6}},
		Spans:   []spanstore.Usage{{TraceID: id, SpanID: trace.SpanID{7: 1}, Samples: 6, CPU: 60 * time.Millisecond, LateSamples: 2, Stacks: []spanstore.Stack{stack}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a local request for path with pairs of headers.
func ask(h http.Handler, path string, headers ...string) answer {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	return do(h, r, headers...)
}

func do(h http.Handler, r *http.Request, headers ...string) answer {
	if r.RemoteAddr == "192.0.2.1:1234" { // httptest's stranger
		r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:8080"
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Result().Body)
	return answer{w.Code, w.Result().Header, string(b)}
}

const (
	acceptHTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	acceptJSON = "application/json"
)

func TestViewsInEveryForm(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	trace, span := "/debug/traces/trace/"+traceID, "/debug/traces/span/"+traceID+"/"+rootID
	for _, tt := range []struct {
		name, path, accept string
		status             int
		mime, contains     string
	}{
		{"list in a browser", "/debug/traces/", acceptHTML, 200, "text/html", `src="./static/app.js"`},
		{"list for a program", "/debug/traces/", acceptJSON, 200, "application/json", `"root_name":"POST /login"`},
		{"list for curl", "/debug/traces/", "*/*", 200, "text/plain", "POST /login  " + traceID},
		{"list, no Accept", "/debug/traces/", "", 200, "text/plain", "≈ 60 ms (18–102)"},
		{"list, parameter wins", "/debug/traces/?format=json", acceptHTML, 200, "application/json", `"traces":[{`},
		{"list, weights", "/debug/traces/", "text/html;q=0.5, application/json;q=0.9", 200, "application/json", `"traces":[{`},
		{"list, not HTML", "/debug/traces/", "text/html;q=0, */*", 200, "text/plain", "TRACE"},
		{"trace in a browser", trace, acceptHTML, 200, "text/html", `src="../static/app.js"`},
		{"trace with a slash in a browser", trace + "/", acceptHTML, 200, "text/html", `src="../../static/app.js"`},
		{"trace for a program", trace, acceptJSON, 200, "application/json", `"headline":{"strong":"129 ms of 139 ms`},
		{"trace for curl", trace, "*/*", 200, "text/plain", "POST /login's own time: CPU ≈ 60 ms (18–102) in bcrypt.bcrypt (from main.login), the rest unknown."},
		{"trace, capitals", strings.ToUpper(trace[:14]) + "/trace/" + strings.ToUpper(traceID), acceptJSON, 200, "application/json", traceID},
		{"span in a browser", span, acceptHTML, 200, "text/html", `src="../../static/app.js"`},
		{"span for a program", span, acceptJSON, 200, "application/json", `"late_samples":2`},
		{"span for curl", span, "*/*", 200, "text/plain", "golang.org/x/crypto/bcrypt.bcrypt  bcrypt.go:7"},
		{"script", "/debug/traces/static/app.js", "*/*", 200, "text/javascript", ""},
		{"style", "/debug/traces/static/app.css", "text/css", 200, "text/css", ""},
		{"the page's source", "/debug/traces/static/index.html", acceptJSON, 404, "application/json", "no such file"},
		{"no such file", "/debug/traces/static/nope.js", acceptHTML, 404, "text/html", "no such file"},
		{"unknown trace in a browser", "/debug/traces/trace/" + nobody, acceptHTML, 404, "text/html", "is not in the store"},
		{"its page shows that itself", "/debug/traces/trace/" + nobody, acceptHTML, 404, "text/html", `src="../static/app.js"`},
		{"unknown trace for a program", "/debug/traces/trace/" + nobody, acceptJSON, 404, "application/json", "It was not evicted"},
		{"unknown trace for curl", "/debug/traces/trace/" + nobody, "*/*", 404, "text/plain", "It was not evicted"},
		{"unknown span", "/debug/traces/span/" + traceID + "/00000000000000ff", acceptJSON, 404, "application/json", "is not in trace"},
		{"no id", "/debug/traces/trace/xyz", "*/*", 404, "text/plain", "32 hex digits"},
		{"id of zeros", "/debug/traces/trace/" + strings.Repeat("0", 32), "*/*", 404, "text/plain", "not all zero"},
		{"unknown view", "/debug/traces/nonsense", acceptJSON, 404, "application/json", "no such view"},
		{"unknown view in a browser", "/debug/traces/non/sense", acceptHTML, 404, "text/html", `href="./../"`},
		{"profile without a profiler", "/debug/traces/pprof/profile", "*/*", 404, "text/plain", "httpui.Options.Profiler"},
		{"overview in a browser", "/debug/traces/overview", acceptHTML, 200, "text/html", `src="./static/app.js"`},
		{"overview with a slash in a browser", "/debug/traces/overview/", acceptHTML, 200, "text/html", `src="../static/app.js"`},
		{"overview for a program", "/debug/traces/overview?last=all", acceptJSON, 200, "application/json", `"name":"POST /login"`},
		{"overview for curl", "/debug/traces/overview?last=all", "*/*", 200, "text/plain", "users POST /login"},
		{"bad last", "/debug/traces/overview?last=soon", acceptJSON, 400, "application/json", "15m or 24h"},
		{"graph in a browser", "/debug/traces/graph", acceptHTML, 200, "text/html", `src="./static/app.js"`},
		{"graph for curl", "/debug/traces/graph", "*/*", 200, "text/plain", "No service called another"},
		{"live in a browser", "/debug/traces/live", acceptHTML, 200, "text/html", `src="./static/app.js"`},
		{"live for a program", "/debug/traces/live", acceptJSON, 200, "application/json", `"problems":["there is no profiler"]`},
		{"live for curl", "/debug/traces/live", "*/*", 200, "text/plain", "there is no profiler"},
		{"bad limit of live", "/debug/traces/live?limit=0", "*/*", 400, "text/plain", "1 to 1000"},
		{"flame in a browser", "/debug/traces/flame", acceptHTML, 200, "text/html", `src="./static/app.js"`},
		{"health in a browser", "/debug/traces/health", acceptHTML, 200, "text/html", `src="./static/app.js"`},
		{"health for a program", "/debug/traces/health", acceptJSON, 200, "application/json", `"ring":{`},
		{"health for curl", "/debug/traces/health", "*/*", 200, "text/plain", "spans           3 in"},
		{"bad form", "/debug/traces/?format=xml", "*/*", 400, "text/plain", "html, json or text"},
		{"bad min", "/debug/traces/?min=fast", acceptJSON, 400, "application/json", "50ms"},
		{"negative min", "/debug/traces/?min=-1s", acceptJSON, 400, "application/json", "parameter min"},
		{"bad errors", "/debug/traces/?errors=maybe", acceptJSON, 400, "application/json", "parameter errors"},
		{"query", "/debug/traces/?q=http.route%3D/login+cpu%3E20%25", acceptJSON, 200, "application/json", `"root_name":"POST /login"`},
		{"bad query", "/debug/traces/?q=name%3Dx+orders", acceptJSON, 400, "application/json", `"column":14`},
		{"bad query for curl", "/debug/traces/?q=name%3Dx+orders", "*/*", 400, "text/plain", "column 14: an operator is missing"},
		{"bad query's page", "/debug/traces/?q=name%3Dx+orders", acceptHTML, 400, "text/html", `src="./static/app.js"`},
		{"cursor of another order", "/debug/traces/?q=order%3Dlongest&cursor=1-" + nobody, acceptJSON, 400, "application/json", "parameter cursor"},
		{"bad from", "/debug/traces/?from=yesterday", acceptJSON, 400, "application/json", "RFC 3339"},
		{"bad to", "/debug/traces/?to=1", "*/*", 400, "text/plain", "RFC 3339"},
		{"no limit", "/debug/traces/?limit=0", acceptHTML, 400, "text/html", "1 to 1000"},
		{"bad limit's page", "/debug/traces/?limit=0", acceptHTML, 400, "text/html", `src="./static/app.js"`},
		{"great limit", "/debug/traces/?limit=1001", acceptJSON, 400, "application/json", "1 to 1000"},
		{"bad cursor", "/debug/traces/?cursor=xyz", acceptJSON, 400, "application/json", "parameter cursor"},
		{"bad wait", trace + "?wait=1h", acceptJSON, 400, "application/json", "0s to 10s"},
		{"bad width", trace + "?width=9", "*/*", 400, "text/plain", "60 to 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(h, tt.path, "Accept", tt.accept)
			if got.status != tt.status || !strings.HasPrefix(got.header.Get("Content-Type"), tt.mime) {
				t.Errorf("got %d %s; want %d %s", got.status, got.header.Get("Content-Type"), tt.status, tt.mime)
			}
			if !strings.Contains(got.body, tt.contains) {
				t.Errorf("got %s; want it to contain %q", got.body, tt.contains)
			}
			if strings.Contains(got.body, "{{base}}") {
				t.Error("the page's placeholder was left in")
			}
			checkHeaders(t, got.header)
			if tt.mime == "application/json" && !json.Valid([]byte(got.body)) {
				t.Errorf("got invalid JSON %s", got.body)
			}
		})
	}
}

// checkHeaders holds for every answer, errors and refusals included.
func checkHeaders(t *testing.T, h http.Header) {
	t.Helper()
	csp := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
		"require-trusted-types-for 'script'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("Content-Security-Policy: got %q; want it to contain %q", csp, part)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy: got %q", csp)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
	}
	if c := h.Get("Cache-Control"); c != "no-store" && c != "no-cache" {
		t.Errorf("Cache-Control: got %q", c)
	}
}

func TestOnlyReading(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		got := do(h, httptest.NewRequest(method, "/debug/traces/", nil), "Accept", acceptJSON)
		if got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d, Allow %q; want 405 and GET, HEAD", method, got.status, got.header.Get("Allow"))
		}
		checkHeaders(t, got.header)
	}
	got := do(h, httptest.NewRequest("HEAD", "/debug/traces/trace/"+nobody, nil))
	if got.status != 404 || got.body != "" {
		t.Errorf("HEAD: got %d and a body of %d bytes; want 404 and none", got.status, len(got.body))
	}
}

func TestStaticFilesAreRevalidated(t *testing.T) {
	h := httpui.Handler(nil, nil)
	tag := ask(h, "/t/static/app.js").header.Get("ETag")
	if tag == "" {
		t.Fatal("got no ETag")
	}
	for _, header := range []string{tag, "W/" + tag, `"other", ` + tag} {
		if got := ask(h, "/t/static/app.js", "If-None-Match", header); got.status != 304 || got.body != "" {
			t.Errorf("If-None-Match %s: got %d and %d bytes; want 304 and none", header, got.status, len(got.body))
		}
	}
	if got := ask(h, "/t/static/app.js", "If-None-Match", `"other"`); got.status != 200 {
		t.Errorf("another tag: got %d; want 200", got.status)
	}
}

func TestNilStore(t *testing.T) {
	h := httpui.Handler(nil, nil)
	if got := ask(h, "/debug/traces/"); got.status != 200 || !strings.Contains(got.body, "spanstore.Open failed") {
		t.Errorf("list as text: got %d %s", got.status, got.body)
	}
	got := ask(h, "/debug/traces/", "Accept", acceptJSON)
	if got.status != 200 || !strings.Contains(got.body, `"traces":[],`) || !strings.Contains(got.body, `"state":"off"`) {
		t.Errorf("list as JSON: got %d %s", got.status, got.body)
	}
	if got := ask(h, "/debug/traces/", "Accept", acceptHTML); got.status != 200 {
		t.Errorf("list as a page: got %d", got.status)
	}
	if got := ask(h, "/debug/traces/trace/"+traceID); got.status != 404 || !strings.Contains(got.body, "spanstore.Open failed") {
		t.Errorf("a trace: got %d %s", got.status, got.body)
	}
}

func TestEmptyStoreSaysWhatToDo(t *testing.T) {
	h := httpui.Handler(emptyStore(t), nil)
	if got := ask(h, "/debug/traces/"); !strings.Contains(got.body, "store.Processor()") {
		t.Errorf("got %s", got.body)
	}
	if got := ask(h, "/debug/traces/?service=x"); !strings.Contains(got.body, "No trace matches") {
		t.Errorf("filtered: got %s", got.body)
	}
}

func TestClosedStore(t *testing.T) {
	s := loginStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h := httpui.Handler(s, nil)
	for _, path := range []string{"/debug/traces/", "/debug/traces/trace/" + traceID} {
		if got := ask(h, path); got.status != 503 || !strings.Contains(got.body, "the span store is closed") {
			t.Errorf("%s: got %d %s; want 503 and why", path, got.status, got.body)
		}
	}
}

// TestPanicIsAnswered: looking must not harm the host, whatever fails.
func TestPanicIsAnswered(t *testing.T) {
	var log strings.Builder
	h := httpui.Handler(loginStore(t), &httpui.Options{
		Authorize: func(*http.Request) httpui.Access { panic(errors.New("boom")) },
		Logger:    slog.New(slog.NewTextHandler(&log, nil)),
	})
	got := ask(h, "/debug/traces/", "Accept", acceptJSON)
	if got.status != 500 || !json.Valid([]byte(got.body)) || strings.Contains(got.body, "boom") {
		t.Errorf("got %d %s; want 500 as JSON, without the cause", got.status, got.body)
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "httpui_test.go") {
		t.Errorf("got the log %q; want the cause and its stack", log.String())
	}
}

func TestLongAnswersAreCompressed(t *testing.T) {
	s := emptyStore(t)
	id := trace.TraceID{5}
	var stubs []tracetest.SpanStub
	for i := range uint64(500) {
		stubs = append(stubs, stub(id, i+1, min(i, 1), "span", trace.SpanKindInternal, 0, 10))
	}
	export(t, s, stubs...)
	srv := httptest.NewServer(httpui.Handler(s, nil))
	defer srv.Close()
	get := func(encoding string) *http.Response {
		r := must(http.NewRequest("GET", srv.URL+"/trace/"+id.String(), nil))
		r.Header.Set("Accept", acceptJSON)
		r.Header.Set("Accept-Encoding", encoding)
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	if res := get("gzip"); res.Header.Get("Content-Encoding") != "gzip" || res.ContentLength > 50_000 {
		t.Errorf("gzip: got encoding %q and %d bytes", res.Header.Get("Content-Encoding"), res.ContentLength)
	}
	if res := get("gzip;q=0"); res.Header.Get("Content-Encoding") != "" || res.ContentLength < 100_000 {
		t.Errorf("no gzip: got encoding %q and %d bytes", res.Header.Get("Content-Encoding"), res.ContentLength)
	}
}
