package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

// policy is the Content-Security-Policy that the handler sends.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'"

const mount = "/debug/traces/"

// fixtures answers the list from testdata; all else it leaves to the real handler
// on the sample traces.
type fixtures struct {
	*httptest.Server
	real   http.Handler
	listed atomic.Int64 // answers of the list

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
	f := &fixtures{real: serveStore(t).Config.Handler}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fixtures) list() string           { return f.URL + mount }
func (f *fixtures) trace(id string) string { return f.list() + "trace/" + id }
func (f *fixtures) caseI() string          { return f.trace(sampletrace.Cart().ID.String()) }
func (f *fixtures) caseIII() string        { return f.trace(sampletrace.Order().ID.String()) }
func (f *fixtures) unknownTrace() string   { return f.trace(strings.Repeat("e", 32)) }

func (f *fixtures) fail(refuse func(path string) error) { f.refuse.Store(refuse) }

func (f *fixtures) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if unknown := mount + "trace/" + strings.Repeat("e", 32); r.URL.Path != mount && r.URL.Path != unknown {
		f.real.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path, ok := strings.CutPrefix(r.URL.Path, mount)
	if !ok {
		http.NotFound(w, r)
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
	switch {
	case path == "":
		f.listed.Add(1)
		return listFor(r)
	case strings.HasPrefix(path, "trace/"):
		return nil, failure{404, "no such trace", "It may have been removed to make room.", "the ring was full"}
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
