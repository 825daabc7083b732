package main

import (
	"bytes"
	"compress/gzip"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDistIsWhatTheSourcesMake(t *testing.T) {
	if err := run("..", true); err != nil {
		t.Error(err)
	}
}

func TestBundleIsDeterministicAndSmall(t *testing.T) {
	first, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	second, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(first))
	if want := []string{"LICENSES.txt", "app.css", "app.js", "early.js", "flame.js", "graph.js", "health.js", "index.html", "live.js", "overview.js"}; !slices.Equal(names, want) {
		t.Errorf("got files %q; want %q", names, want)
	}
	size := 0
	for name, data := range first {
		if !bytes.Equal(data, second[name]) {
			t.Errorf("%s differs between two builds of the same sources", name)
		}
		if slices.Contains(firstLoad, name) {
			size += gzipped(t, data)
		}
	}
	if limit := 100_000; size > limit {
		t.Errorf("got a first load of %d bytes gzipped; want at most %d", size, limit)
	}
	t.Logf("first load: %d bytes gzipped", size)
}

// firstLoad is what any view loads; its own script comes on top when it is opened.
var firstLoad = []string{"app.css", "app.js", "early.js", "index.html"}

// A view that is loaded later shares the page's modules: with a second Preact, or a
// second idea of where the page is, it would not work.
func TestLaterViewsShareThePagesModules(t *testing.T) {
	files, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if filepath.Ext(name) != ".js" || slices.Contains(firstLoad, name) {
			continue
		}
		if !bytes.Contains(data, []byte(`from"./app.js"`)) {
			t.Errorf("%s imports nothing from app.js", name)
		}
		if bytes.Contains(data, []byte("__H")) || bytes.Contains(data, []byte("dataset.base")) {
			t.Errorf("%s has modules of the page in it", name)
		}
		if !bytes.Contains(files["app.js"], []byte(`import("./`+name+`")`)) {
			t.Errorf("app.js never imports %s", name)
		}
	}
	modules, err := sharedModules("../src/shared.ts")
	if err != nil || !slices.Contains(modules, "preact/hooks") || !slices.Contains(modules, "./route") {
		t.Errorf("got the shared modules %q, %v; want preact/hooks and ./route among them", modules, err)
	}
}

func TestShellHasNothingInline(t *testing.T) {
	files, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	html := string(files["index.html"])
	for _, want := range []string{
		`data-base="{{base}}"`,
		`src="{{base}}static/app.js"`,
		`href="{{base}}static/app.css"`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("index.html lacks %s", want)
		}
	}
	for _, bad := range []string{"<style", " style=", "<script>", " onload=", "javascript:"} {
		if strings.Contains(html, bad) {
			t.Errorf("index.html contains %q, which the Content-Security-Policy blocks", bad)
		}
	}
	if !bytes.Contains(files["LICENSES.txt"], []byte("MIT License")) {
		t.Error("LICENSES.txt lacks Preact's licence")
	}
	if !bytes.Contains(files["LICENSES.txt"], []byte("Leon Sorokin")) {
		t.Error("LICENSES.txt lacks uPlot's licence")
	}
}

func TestCheckNamesTheFilesThatDiffer(t *testing.T) {
	files := map[string][]byte{"app.js": []byte("a"), "app.css": []byte("b"), "index.html": []byte("c")}
	dist := filepath.Join(t.TempDir(), "dist")
	if err := write(dist, files); err != nil {
		t.Fatal(err)
	}
	if err := compare(dist, files); err != nil {
		t.Errorf("got %v right after writing; want no difference", err)
	}

	os.WriteFile(filepath.Join(dist, "app.js"), []byte("edited"), 0o644)
	os.WriteFile(filepath.Join(dist, "left.over"), nil, 0o644)
	os.Remove(filepath.Join(dist, "index.html"))
	err := compare(dist, files)
	if err == nil {
		t.Fatal("got no error for an edited, a missing and a strange file")
	}
	for _, name := range []string{"app.js", "left.over", "index.html"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "app.css") {
		t.Errorf("the error names app.css, which is right: %v", err)
	}
}

func TestVendoredCodeThatWasEditedIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../vendor")); err != nil {
		t.Fatal(err)
	}
	if err := verifyVendor(dir); err != nil {
		t.Fatalf("got %v for an untouched copy", err)
	}
	target := filepath.Join(dir, "preact", "dist", "preact.mjs")
	data, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := verifyVendor(dir); err == nil || !strings.Contains(err.Error(), "dist/preact.mjs") {
		t.Errorf("got %v; want an error that names dist/preact.mjs", err)
	}
	os.Remove(target)
	if err := verifyVendor(dir); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v; want an error that says what is missing", err)
	}
}

func gzipped(t *testing.T, data []byte) int {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}
