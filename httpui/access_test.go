package httpui_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/spanclock/spanclock/httpui"
)

func TestOnlyThisMachineMayLook(t *testing.T) {
	h := httpui.Handler(loginStore(t), nil)
	for _, tt := range []struct {
		name, peer, host string
		header           string // of a proxy
		may              bool
	}{
		{"IPv4", "127.0.0.1:4000", "localhost:8080", "", true},
		{"all of 127/8", "127.8.9.1:4000", "127.0.0.1:8080", "", true},
		{"IPv6", "[::1]:4000", "[::1]:8080", "", true},
		{"IPv6 without a port", "[::1]:4000", "[::1]", "", true},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:4000", "LOCALHOST", "", true},
		{"another machine", "10.0.0.7:4000", "localhost:8080", "", false},
		{"another machine, IPv6", "[fe80::1%eth0]:4000", "localhost", "", false},
		{"no address", "", "localhost", "", false},
		{"a socket", "@", "localhost", "", false},
		{"another name for this machine", "127.0.0.1:4000", "rebound.example:8080", "", false},
		{"a name that begins well", "127.0.0.1:4000", "localhost.evil.example", "", false},
		{"an address that begins well", "127.0.0.1:4000", "127.0.0.1.evil.example", "", false},
		{"this machine's address outside", "127.0.0.1:4000", "10.0.0.7:8080", "", false},
		{"no host", "127.0.0.1:4000", "", "", false},
		{"forwarded", "127.0.0.1:4000", "localhost", "Forwarded", false},
		{"forwarded for", "127.0.0.1:4000", "localhost", "X-Forwarded-For", false},
		{"forwarded host", "127.0.0.1:4000", "localhost", "x-forwarded-host", false},
		{"real ip", "127.0.0.1:4000", "localhost", "X-Real-IP", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for accept, mime := range map[string]string{acceptHTML: "text/html", acceptJSON: "application/json", "*/*": "text/plain"} {
				for _, path := range []string{"/debug/traces/", "/debug/traces/trace/" + traceID, "/debug/traces/static/app.js", "/debug/traces/nonsense"} {
					r := httptest.NewRequest("GET", path, nil)
					r.RemoteAddr, r.Host = tt.peer, tt.host
					r.Header.Set("Accept", accept)
					if tt.header != "" {
						r.Header.Set(tt.header, "127.0.0.1")
					}
					if got := httpui.Local(r); got != tt.may {
						t.Fatalf("Local: got %v; want %v", got, tt.may)
					}
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if tt.may {
						if w.Code == 403 {
							t.Errorf("%s: got %d %s", path, w.Code, w.Body)
						}
						continue
					}
					if w.Code != 403 || !strings.HasPrefix(w.Header().Get("Content-Type"), mime) || !strings.Contains(w.Body.String(), "httpui.Options.Authorize") {
						t.Errorf("%s: got %d %s %s; want 403 %s with the remedy", path, w.Code, w.Header().Get("Content-Type"), w.Body, mime)
					}
					checkHeaders(t, w.Header())
				}
			}
		})
	}
}

func TestAuthorizeDecides(t *testing.T) {
	var access httpui.Access
	h := httpui.Handler(loginStore(t), &httpui.Options{Authorize: func(*http.Request) httpui.Access { return access }})
	for _, tt := range []struct {
		access httpui.Access
		status int
	}{{httpui.NoAccess, 403}, {httpui.HideValues, 200}, {httpui.ShowValues, 200}, {-1, 403}, {99, 403}} {
		access = tt.access
		r := httptest.NewRequest("GET", "/debug/traces/", nil)
		r.RemoteAddr = "10.0.0.7:80"
		if got := do(h, r); got.status != tt.status {
			t.Errorf("%d: got %d; want %d", tt.access, got.status, tt.status)
		}
	}
}

// TestValuesStayHidden looks for the secret that stands in every value.
func TestValuesStayHidden(t *testing.T) {
	s := loginStore(t)
	hide := httpui.Handler(s, &httpui.Options{Authorize: func(*http.Request) httpui.Access { return httpui.HideValues }})
	show := httpui.Handler(s, nil)
	for _, accept := range []string{acceptHTML, acceptJSON, "*/*"} {
		for _, path := range []string{"/t/", "/t/trace/" + traceID, "/t/span/" + traceID + "/" + rootID, "/t/span/" + traceID + "/" + queryID} {
			got := ask(hide, path, "Accept", accept)
			if got.status != 200 {
				t.Errorf("%s: got %d; want 200", path, got.status)
			}
			if strings.Contains(got.body, secret) {
				t.Errorf("%s as %s: got %s; want no values", path, accept, got.body)
			}
		}
	}
	for query, status := range map[string]int{
		"host.name=s3cret": 403, "span.http.route^=/": 403, "event.exception.stacktrace~x": 403, "resource.host.name>1": 403, "name=x service.name!=y": 403,
		"name=x service~y": 200, "has:host.name !has:event.x event=exception status=error duration>1ms cpu>1% trace.errors>0 root": 200,
	} {
		for _, accept := range []string{acceptJSON, acceptHTML} {
			if got := ask(hide, "/t/?q="+url.QueryEscape(query), "Accept", accept); got.status != status {
				t.Errorf("%s: got %d; want %d", query, got.status, status)
			}
		}
	}
	root := "/t/span/" + traceID + "/" + rootID
	for _, accept := range []string{acceptJSON, "*/*"} {
		if n := strings.Count(ask(show, root, "Accept", accept).body, secret); n != 7 {
			t.Errorf("who may see values as %s: got %d of them; want 7: status, event, resource, scope, trace state, and two of the link", accept, n)
		}
	}
	var span struct {
		Values     bool
		Attributes []struct{ Key, Type, Value string }
		Resource   []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(ask(hide, root, "Accept", acceptJSON).body), &span); err != nil {
		t.Fatal(err)
	}
	if a := span.Attributes[0]; span.Values || a.Key != "http.route" || a.Type != "string" || a.Value != "(hidden)" {
		t.Errorf("got values %v and %+v; want the key and the type of http.route only", span.Values, a)
	}
	service := ""
	for _, a := range span.Resource {
		if a.Key == "service.name" {
			service = a.Value
		}
	}
	if service != "users" {
		t.Errorf("service.name: got %q; want %q", service, "users")
	}
}
