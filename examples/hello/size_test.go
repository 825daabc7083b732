package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mostOfHandler is what the handler may add to a program: its code, the page, and
// no end to the linker's dead-code elimination, which a template package would put
// to the whole program.
const mostOfHandler = 4 << 20

// TestHandlerAddsLittle builds hello with the handler and without.
func TestHandlerAddsLittle(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	without := strings.NewReplacer(
		`"github.com/spanclock/spanclock/httpui"`, "",
		`mux.Handle("/debug/traces/", httpui.Handler(store, &httpui.Options{Profiler: prof}))`, "",
	).Replace(string(source))
	if strings.Contains(without, "httpui") {
		t.Fatalf("hello mounts the handler in a way that this test does not know:\n%s", without)
	}
	bare := filepath.Join(dir, "main.go")
	if err := os.WriteFile(bare, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("main.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {here: bare}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	with, alone := build(t, filepath.Join(dir, "with")), build(t, filepath.Join(dir, "without"), "-overlay", overlayFile)
	t.Logf("%.1f MB of %.1f MB are httpui", float64(with-alone)/1e6, float64(with)/1e6)
	if with-alone > mostOfHandler {
		t.Errorf("the handler adds %d bytes to a program of %d; want at most %d", with-alone, alone, mostOfHandler)
	}
}

// build builds hello and returns the size of the program.
func build(t *testing.T, out string, flags ...string) int64 {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), ".")...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
