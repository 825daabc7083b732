package httpui_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

func TestDownloads(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	for as, want := range map[string]struct{ mime, extension, part string }{
		"otlp":     {"application/json", ".otlp.json", `"resourceSpans"`},
		"jaeger":   {"application/json", ".jaeger.json", `"data":[`},
		"perfetto": {"application/json", ".perfetto.json", `"traceEvents"`},
		"pprof":    {"application/octet-stream", ".pb.gz", "\x1f\x8b"},
		"html":     {"text/html; charset=utf-8", ".html", "<!doctype html>"},
	} {
		got := ask(h, "/t/trace/"+traceID+"/download?as="+as, "Accept", acceptHTML)
		name := `attachment; filename="trace-` + traceID + want.extension + `"`
		if got.status != 200 || got.header.Get("Content-Type") != want.mime || got.header.Get("Content-Disposition") != name || !strings.Contains(got.body, want.part) {
			t.Errorf("%s: got %d %v %.100q", as, got.status, got.header, got.body)
		}
	}
	for path, status := range map[string]int{
		"/t/trace/" + traceID + "/download":                          400,
		"/t/trace/" + traceID + "/download?as=xml":                   400,
		"/t/trace/0000000000000000000000000000ffff/download?as=otlp": 404,
		"/t/trace/xyz/download?as=otlp":                              404,
		"/t/trace/" + traceID + "/download?as=otlp&wait=x":           400,
	} {
		if got := ask(h, path); got.status != status || got.header.Get("Content-Disposition") != "" {
			t.Errorf("%s: got %d %s; want %d", path, got.status, got.body, status)
		}
	}
}

// TestDownloadReadsBack: a file of a trace, put into another store, shows the same.
func TestDownloadReadsBack(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	traces, err := otlp.Read(strings.NewReader(ask(h, "/t/trace/"+traceID+"/download?as=otlp").body), nil)
	if err != nil {
		t.Fatal(err)
	}
	second := emptyStore(t)
	if err := otlp.Add(context.Background(), second, traces...); err != nil {
		t.Fatal(err)
	}
	other := httpui.Handler(second, nil)
	for _, view := range []string{"/t/trace/" + traceID, "/t/span/" + traceID + "/" + rootID} {
		for _, form := range []string{"json", "text"} {
			want, got := ask(h, view+"?format="+form).body, ask(other, view+"?format="+form).body
			if got != want {
				t.Errorf("%s as %s: got\n%s\nwant\n%s", view, form, got, want)
			}
		}
	}
}

func TestDownloadsHideValues(t *testing.T) {
	s := emptyStore(t)
	id := trace.TraceID{8}
	root := stub(id, 1, 0, "x", trace.SpanKindServer, 0, 1, attribute.String("db.query.text", secret))
	root.Status = sdktrace.Status{Code: codes.Error, Description: secret}
	root.Events = []sdktrace.Event{{Name: "e", Attributes: []attribute.KeyValue{attribute.String("k", secret)}}}
	export(t, s, root)
	h := httpui.Handler(s, &httpui.Options{Authorize: func(*http.Request) httpui.Access { return httpui.HideValues }})
	for _, as := range []string{"otlp", "jaeger", "perfetto", "pprof", "html"} {
		body := ask(h, "/t/trace/"+id.String()+"/download?as="+as).body
		switch as {
		case "pprof":
			p, err := profile.ParseData([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			body = p.String()
		case "html":
			body = unpacked(t, body)
		}
		if strings.Contains(body, secret) {
			t.Errorf("%s: got %s", as, body)
		}
		if as != "pprof" && !strings.Contains(body, "(hidden)") {
			t.Errorf("%s: got %.300s; want values named as hidden", as, body)
		}
	}
}

// unpacked is the data of a page that stands alone.
func unpacked(t *testing.T, page string) string {
	t.Helper()
	var all strings.Builder
	for _, m := range regexp.MustCompile(`<script type="application/gzip" id="\w+">([A-Za-z0-9+/=]*)</script>`).FindAllStringSubmatch(page, -1) {
		b := must(io.ReadAll(must(gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(m[1]))))))
		if !json.Valid(b) {
			t.Fatalf("got %s; want JSON", b)
		}
		all.Write(b)
	}
	return all.String()
}

// TestPageStandsAlone: nothing in it leads outside, its policy knows its script and
// style, and text from spans is in it compressed or escaped.
func TestPageStandsAlone(t *testing.T) {
	s := emptyStore(t)
	id := trace.TraceID{7}
	for i, x := range hostile {
		c := stub(id, uint64(i+1), uint64(i), x, trace.SpanKindClient, float64(i), 50, attribute.String(x, x))
		c.Events = []sdktrace.Event{{Name: x}}
		export(t, s, c)
	}
	var b bytes.Buffer
	if err := httpui.WritePage(&b, must(s.Trace(context.Background(), id))); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	policy := regexp.MustCompile(`content="(default-src 'none'[^"]*)"`).FindStringSubmatch(page)[1]
	for _, tag := range []string{"<script>", `<script type="module">`, "<style>"} {
		text := regexp.MustCompile(`(?s)` + tag + `(.*?)</`).FindStringSubmatch(page)
		if text == nil {
			t.Fatalf("no %s in the page", tag)
		}
		sum := sha256.Sum256([]byte(text[1]))
		if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy %s has not the hash of its %s", policy, tag)
		}
	}
	outside := regexp.MustCompile(`(?s)<script>.*?</script>|<script type="module">.*?</script>|<style>.*?</style>`).ReplaceAllString(page, "")
	if strings.Contains(outside, "src=") || strings.Contains(outside, "{{base}}") || strings.Contains(outside, "<img") {
		t.Errorf("got %s", outside)
	}
	if want := "<title>" + html.EscapeString(hostile[0]) + " · spanclock</title>"; !strings.Contains(page, want) {
		t.Errorf("got no %s", want)
	}
	if data := unpacked(t, page); !strings.Contains(data, `img src=x onerror`) {
		t.Errorf("got %.500s; want the spans", data)
	}
	if err := httpui.WritePage(&b, &spanstore.Trace{ID: id}); err == nil {
		t.Error("got a page of a trace without spans")
	}
}
