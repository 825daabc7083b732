package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// policy is the Content-Security-Policy that the handler sends.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'"

const mount = "/debug/traces/"

// fixtures stands in for the handler: the committed dist and canned JSON.
type fixtures struct {
	*httptest.Server
	traces map[string]string     // trace id to file in testdata
	made   map[string]func() any // trace id to an answer made by the test
	span   any                   // when set, what every span is answered with
	listed atomic.Int64          // answers of the list

	// refuse may fail a request for data: a func(path string) error.
	refuse atomic.Value
}

// failure is an answer that is no data.
type failure struct {
	status               int
	error, hint, evicted string
}

func (f failure) Error() string { return f.error }

func serveFixtures(t *testing.T) *fixtures {
	t.Helper()
	f := &fixtures{
		traces: map[string]string{
			"7f3a0c11d2b94e6f8a5077e1b3d9c21e": "case_i",
			"19bb5e0f2a4c4d5e9b1a77c0aa5504d7": "case_ii",
			"5ac0ffee2a4c4d5e9b1a77c0aa5504d8": "case_ii_sampled",
			"c0de0b5e77aa4d5e9b1a77c0aa5577a1": "case_iii",
			"00112233445566778899aabbccddeeff": "hostile",
		},
		made: map[string]func() any{},
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fixtures) list() string           { return f.URL + mount }
func (f *fixtures) trace(id string) string { return f.list() + "trace/" + id }
func (f *fixtures) caseI() string          { return f.trace("7f3a0c11d2b94e6f8a5077e1b3d9c21e") }
func (f *fixtures) caseII() string         { return f.trace("19bb5e0f2a4c4d5e9b1a77c0aa5504d7") }
func (f *fixtures) caseIISampled() string  { return f.trace("5ac0ffee2a4c4d5e9b1a77c0aa5504d8") }
func (f *fixtures) caseIII() string        { return f.trace("c0de0b5e77aa4d5e9b1a77c0aa5577a1") }
func (f *fixtures) hostile() string        { return f.trace("00112233445566778899aabbccddeeff") }
func (f *fixtures) unknownTrace() string   { return f.trace(strings.Repeat("e", 32)) }

func (f *fixtures) add(id string, trace any)            { f.made[id] = func() any { return trace } }
func (f *fixtures) addFunc(id string, trace func() any) { f.made[id] = trace }
func (f *fixtures) fail(refuse func(path string) error) { f.refuse.Store(refuse) }

func (f *fixtures) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path, ok := strings.CutPrefix(r.URL.Path, mount)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if name, ok := strings.CutPrefix(path, "static/"); ok {
		http.ServeFile(w, r, filepath.Join("..", "dist", filepath.Base(name)))
		return
	}
	data, err := f.data(r, path)
	if r.URL.Query().Get("format") == "json" {
		writeJSON(w, data, err)
		return
	}
	writeShell(w, path, err)
}

// data is a view's data: bytes of JSON, or what to encode as such.
func (f *fixtures) data(r *http.Request, path string) (any, error) {
	if refuse, ok := f.refuse.Load().(func(string) error); ok {
		if err := refuse(path); err != nil {
			return nil, err
		}
	}
	parts := strings.Split(path, "/")
	switch {
	case path == "":
		if r.URL.Query().Get("limit") != "1000" { // that is the scatter plot's
			f.listed.Add(1)
		}
		return listFor(r)
	case path == "shares":
		return map[string]any{"traces": map[string]any{}}, nil
	case path == "suggest":
		return map[string]any{"services": []string{"gateway"}, "operations": []any{}, "attributes": []any{}, "fields": []any{}}, nil
	case len(parts) == 2 && parts[0] == "trace":
		if made, ok := f.made[parts[1]]; ok {
			return made(), nil
		}
		if name, ok := f.traces[parts[1]]; ok {
			return os.ReadFile("testdata/" + name + ".json")
		}
		return nil, failure{404, "no such trace", "It may have been removed to make room.", "the ring was full"}
	case len(parts) == 3 && parts[0] == "span" && f.span != nil:
		return f.span, nil
	case len(parts) == 3 && parts[0] == "span":
		return os.ReadFile("testdata/span.json")
	}
	return nil, failure{404, "no such page", "The views are listed at the root.", ""}
}

// listFor answers the list as the handler would, as far as the tests need it.
func listFor(r *http.Request) (any, error) {
	q := r.URL.Query()
	if min := q.Get("min"); min == "soon" {
		return nil, failure{400, `min: "soon" is no duration`, "Write it as 100ms or 1.5s.", ""}
	}
	data, err := os.ReadFile("testdata/list.json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Traces   []map[string]any `json:"traces"`
		Cursor   string           `json:"cursor"`
		Profiler map[string]any   `json:"profiler"`
		Store    map[string]any   `json:"store"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	var kept []map[string]any
	for _, t := range list.Traces {
		if s := q.Get("service"); s != "" && t["service"] != s {
			continue
		}
		if q.Get("errors") == "1" && t["errors"] == 0.0 {
			continue
		}
		kept = append(kept, t)
	}
	list.Traces = kept
	if q.Get("cursor") != "" {
		list.Traces, list.Cursor = list.Traces[:1], ""
	}
	return list, nil
}

func writeJSON(w http.ResponseWriter, data any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f := asFailure(err)
		w.WriteHeader(f.status)
		answer := map[string]any{"error": f.error, "hint": f.hint}
		if f.evicted != "" {
			answer["evicted"] = map[string]string{"when": "2026-11-20T09:40:00Z", "why": f.evicted}
		}
		data = answer
	}
	if raw, ok := data.([]byte); ok {
		w.Write(raw)
		return
	}
	json.NewEncoder(w).Encode(data)
}

func writeShell(w http.ResponseWriter, path string, err error) {
	html, readErr := os.ReadFile("../dist/index.html")
	if readErr != nil {
		http.Error(w, readErr.Error(), http.StatusInternalServerError)
		return
	}
	base := "./" + strings.Repeat("../", strings.Count(path, "/"))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err != nil {
		w.WriteHeader(asFailure(err).status)
	}
	fmt.Fprint(w, strings.ReplaceAll(string(html), "{{base}}", base))
}

func asFailure(err error) failure {
	if f, ok := err.(failure); ok {
		return f
	}
	return failure{500, err.Error(), "", ""}
}
