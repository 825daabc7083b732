package httpui_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/spanclock/spanclock/httpui"
)

// TestAnyPrefixAndRouter mounts the handler in many ways and follows, as a
// browser would, from the mount to the list, to the script, to a trace and a
// span and back.
func TestAnyPrefixAndRouter(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	mux := func(patterns ...string) http.Handler {
		m := http.NewServeMux()
		for _, p := range patterns {
			m.Handle(p, h)
		}
		return m
	}
	handmade := func(prefix string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != prefix && !strings.HasPrefix(r.URL.Path, prefix+"/") {
				http.Error(w, "the service's own 404", http.StatusTeapot)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	under := func(pattern string, inner http.Handler) http.Handler {
		m := http.NewServeMux()
		m.Handle(pattern, inner)
		return m
	}
	for _, tt := range []struct {
		name    string
		handler http.Handler
		mount   string // without its trailing slash
		noSlash bool   // the mount answers without its slash, too
		strict  bool   // what is unknown below the mount is told from the mount
	}{
		{"mux", mux("/debug/traces/"), "/debug/traces", true, true},
		{"mux at the root", mux("/"), "", true, true},
		{"mux with a method", mux("GET /x/"), "/x", true, true},
		{"mux with a host", mux("localhost/x/"), "/x", true, true},
		{"mux with a wildcard", mux("/tenant/{id}/spans/"), "/tenant/7/spans", true, true},
		{"mux with a rest", mux("/x/{rest...}", "/x"), "/x", true, true},
		{"mux, both ways", mux("/x/", "/x"), "/x", true, true},
		{"mux, a name with a colon", mux("/a:b/", "/a:b"), "/a:b", true, true},
		{"mux, a name to escape", mux("/a%20b/", "/a%20b"), "/a%20b", true, true},
		{"stripped", under("/x/", http.StripPrefix("/x", h)), "/x", true, true},
		{"stripped with the slash", under("/x/y/", http.StripPrefix("/x/y/", h)), "/x/y", true, true},
		{"stripped, hand-made", http.StripPrefix("/x/y", h), "/x/y", true, true},
		{"mux, named like a view", mux("/debug/live/"), "/debug/live", true, true},
		{"stripped, named like a view", under("/health/", http.StripPrefix("/health", h)), "/health", true, true},
		{"hand-made", handmade("/internal/spans"), "/internal/spans", true, false},
		{"hand-made under the usual name", handmade("/debug/traces"), "/debug/traces", true, true},
		{"hand-made below a mux", under("/", handmade("/debug/traces")), "/debug/traces", true, true},
		{"hand-made below a stripping mux", under("/api/", http.StripPrefix("/api", handmade("/debug/traces"))), "/api/debug/traces", true, true},
		{"no router at all", h, "/wherever/it/is", true, false},
		{"behind a proxy that rewrites", rewriting(t, mux("/debug/traces/", "/debug/traces"), "/svc/a/traces", "/debug/traces"), "/svc/a/traces", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			b := browser{t, srv.URL}
			mount := tt.mount + "/"

			_, at := b.open(mount)
			if at != mount {
				t.Errorf("the mount: got led to %s; want %s", at, mount)
			}
			if tt.noSlash && tt.mount != "" {
				if _, at := b.open(tt.mount + "?limit=5"); at != mount+"?limit=5" {
					t.Errorf("without the slash: got led to %s; want %s", at, mount+"?limit=5")
				}
			}
			for _, view := range []string{"", "trace/" + traceID, "trace/" + traceID + "/", "span/" + traceID + "/" + rootID, "span/" + traceID + "/" + rootID + "/", "live", "overview/", "health"} {
				page, at := b.open(mount + view)
				if root := resolve(t, at, baseOf(t, page)); root != mount {
					t.Errorf("%q: got %s for the way to the mount; want %s", view, root, mount)
				}
				script := resolve(t, at, regexp.MustCompile(`<script[^>]* src="([^"]*)"`).FindStringSubmatch(page)[1])
				if body, _ := b.open(script); strings.Contains(body, "<html") {
					t.Errorf("%q: the script %s is a page", view, script)
				}
			}
			if tt.strict {
				if status := b.status(mount + "nonsense"); status != 404 {
					t.Errorf("unknown view: got %d; want 404", status)
				}
			}
			for _, view := range []string{"trace/xyz", "span/" + traceID + "/1", "static/none.js"} {
				if status := b.status(mount + view); status != 404 {
					t.Errorf("%s: got %d; want 404", view, status)
				}
			}
		})
	}
}

// rewriting is a proxy that serves the handler under another path. It passes
// the request on as a client of its own, with nothing that says so.
func rewriting(t *testing.T, h http.Handler, outside, inside string) http.Handler {
	backend := httptest.NewServer(h)
	t.Cleanup(backend.Close)
	target := must(url.Parse(backend.URL))
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.Path = inside + strings.TrimPrefix(r.In.URL.Path, outside)
	}}
}

type browser struct {
	t   *testing.T
	url string
}

// open loads a page, follows redirects, and says where it ended up.
func (b browser) open(path string) (body, at string) {
	b.t.Helper()
	res := b.get(path)
	defer res.Body.Close()
	if res.StatusCode != 200 {
		b.t.Fatalf("%s: got %s; want 200", path, res.Status)
	}
	u := res.Request.URL
	return string(must(io.ReadAll(res.Body))), strings.TrimPrefix(u.String(), b.url)
}

func (b browser) status(path string) int {
	res := b.get(path)
	res.Body.Close()
	return res.StatusCode
}

func (b browser) get(path string) *http.Response {
	b.t.Helper()
	r := must(http.NewRequest("GET", b.url+path, nil))
	r.Header.Set("Accept", acceptHTML)
	r.Host = "localhost"
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

func baseOf(t *testing.T, page string) string {
	t.Helper()
	m := regexp.MustCompile(`data-base="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no data-base in %s", page)
	}
	return m[1]
}

func resolve(t *testing.T, at, ref string) string {
	t.Helper()
	u := must(url.Parse(at))
	return must(u.Parse(ref)).EscapedPath()
}

// TestRedirectStaysRelative: whatever is in the path, the answer must not lead
// to another host.
func TestRedirectStaysRelative(t *testing.T) {
	h := httpui.Handler(nil, nil)
	for _, path := range []string{"/x", "//evil.example", "/x//evil.example", "/http:evil.example", "/%2f%2fevil.example", "/x%0d%0aSet-Cookie:a"} {
		got := ask(h, path, "Accept", acceptHTML)
		to := got.header.Get("Location")
		if got.status != 307 || !strings.HasPrefix(to, "./") || strings.Contains(to, "//") || strings.ContainsAny(to, "\r\n") {
			t.Errorf("%s: got %d to %q; want 307 to below ./", path, got.status, to)
		}
	}
}

// TestEscapedSlash: a slash that is escaped is none for the browser, which looks for
// the style sheet from the page's address.
func TestEscapedSlash(t *testing.T) {
	m := http.NewServeMux()
	m.Handle("/debug/traces/", httpui.Handler(nil, nil))
	for _, path := range []string{"/debug/traces/no%2Fsuch/view", "/debug/traces/no%2fview", "/debug/traces/trace%2F" + strings.Repeat("1", 32), "/debug/traces/x%2F"} {
		got := ask(m, path, "Accept", acceptHTML)
		ref := regexp.MustCompile(`href="([^"]*static/app\.css)"`).FindStringSubmatch(got.body)
		if got.status != 404 || ref == nil {
			t.Errorf("%s: got %d and %.200s; want an error page", path, got.status, got.body)
			continue
		}
		if to := resolve(t, path, ref[1]); to != "/debug/traces/static/app.css" {
			t.Errorf("%s: the style sheet is looked for at %s", path, to)
		}
	}
}
