package e2e

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// TestUnits runs the tests of the front end's pure parts, which are in unit, in
// the browser that will run those parts.
func TestUnits(t *testing.T) {
	vendor, err := filepath.Abs("../vendor")
	if err != nil {
		t.Fatal(err)
	}
	built := api.Build(api.BuildOptions{
		EntryPoints:     []string{"unit/all.ts"},
		NodePaths:       []string{vendor},
		Bundle:          true,
		Format:          api.FormatIIFE,
		JSX:             api.JSXAutomatic,
		JSXImportSource: "preact",
		TsconfigRaw:     "{}",
		LogLevel:        api.LogLevelSilent,
	})
	if len(built.Errors) > 0 {
		t.Fatal(api.FormatMessages(built.Errors, api.FormatMessagesOptions{}))
	}

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		if r.URL.Path == "/unit.js" {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			w.Write(built.OutputFiles[0].Contents)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!doctype html><html data-base="./"><link rel="icon" href="data:,"><body><script src="unit.js"></script>`))
	}))
	t.Cleanup(server.Close)

	p := newTab(t, 800, 600)
	p.open(server.URL, "body")
	p.awaitThat("the unit tests have run", "globalThis.unitResults")
	type result struct{ Name, Error string }
	results := eval[[]result](p, `unitResults.map((r) => ({ Name: r.name, Error: r.error }))`)
	if len(results) < 20 {
		t.Errorf("got %d unit tests; want at least 20", len(results))
	}
	for _, r := range results {
		t.Run(r.Name, func(t *testing.T) {
			if r.Error != "" {
				t.Error(r.Error)
			}
		})
	}
}
