package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// nasty is what spans may carry into a file.
var nasty = []string{
	"</script><script>document.title='owned'</script>",
	`"><img src=x onerror="document.title='owned'">`,
	"line\u2028separator \u202eright to left\x00\x1b[2J",
	"<!--<script>{{base}}",
	strings.Repeat("long ", 20_000),
}

// writeTrace writes a file of one trace of OTLP JSON: a root and children whose every text is nasty.
func writeTrace(t *testing.T) string {
	t.Helper()
	type object = map[string]any
	text := func(s string) object { return object{"stringValue": s} }
	var spans []object
	for i, s := range append([]string{"POST /login"}, nasty...) {
		attributes := []object{{"key": s, "value": text(s)}, {"key": "db.query.text", "value": text(s)}}
		span := object{
			"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": fmt.Sprintf("%016x", i+1), "name": s, "kind": 3,
			"startTimeUnixNano": fmt.Sprint(1_700_000_000_000_000_000 + i*1_000_000), "endTimeUnixNano": "1700000000100000000",
			"attributes": attributes, "status": object{"code": 2, "message": s},
			"events": []object{{"timeUnixNano": "1700000000050000000", "name": s, "attributes": attributes}},
			"links":  []object{{"traceId": "4bf92f3577b34da6a3ce929d0e0e4737", "spanId": "0000000000000001", "attributes": attributes}},
		}
		if i > 0 {
			span["parentSpanId"] = "0000000000000001"
		}
		spans = append(spans, span)
	}
	b, err := json.Marshal(object{"resourceSpans": []object{{
		"resource":   object{"attributes": []object{{"key": "service.name", "value": text(nasty[0])}}},
		"scopeSpans": []object{{"scope": object{"name": nasty[1]}, "spans": spans}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "trace.otlp.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// buildCommand builds the command spanclock.
func buildCommand(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "spanclock")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	build := exec.Command("go", "build", "-o", bin, "./httpui/cmd/spanclock")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build spanclock: %v\n%s", err, out)
	}
	return bin
}

// TestPageInAFile opens a page that stands alone from the disk, reads it and uses its keys. It
// asks for nothing, whatever the spans carry.
func TestPageInAFile(t *testing.T) {
	p := newTab(t, 1400, 900)
	page := filepath.Join(t.TempDir(), "a trace #1.html")
	if out, err := exec.Command(buildCommand(t), "export", writeTrace(t), "-format", "html", "-o", page).CombinedOutput(); err != nil {
		t.Fatalf("spanclock export: %v\n%s", err, out)
	}
	p.open("file://"+strings.ReplaceAll(strings.ReplaceAll(filepath.ToSlash(page), " ", "%20"), "#", "%23"), ".waterfall .row")
	if got, want := count(p, ".waterfall .row"), len(nasty)+1; got != want {
		t.Errorf("got %d rows; want %d", got, want)
	}
	if title := eval[string](p, "document.title"); !strings.HasPrefix(title, "POST /login") {
		t.Errorf("got the title %q", title)
	}
	p.shot("file")

	for i := range len(nasty) + 1 {
		id := fmt.Sprintf("%016x", i+1)
		p.click("#row-" + id + " .name a")
		p.awaitThat("the details of span "+id, fmt.Sprintf(`location.hash === "#span=%s" && /Resource/.test(document.querySelector("#detail")?.innerText ?? "")`, id))
	}
	p.run(chromedp.KeyEvent(kb.Escape))
	p.awaitThat("the details are closed", `!document.getElementById("detail")`)
	if links := eval[[]string](p, `[...document.querySelectorAll("a[href]")].map((a) => new URL(a.href)).filter((u) => u.pathname !== location.pathname).map(String)`); len(links) > 0 {
		t.Errorf("these links lead out of the file: %q", links)
	}
	if asked := eval[[]string](p, `performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:"))`); len(asked) > 0 {
		t.Errorf("the page asked for %q", asked)
	}
	if got := eval[bool](p, `document.querySelector("img, iframe, script[src], link[rel=stylesheet]") === null && document.title !== "owned"`); !got {
		t.Error("the page has elements that are not its own")
	}
	p.dark()
	p.shot("file_dark")
}

// TestDownloadLinks serves a file by the command, and follows every link to a download.
func TestDownloadLinks(t *testing.T) {
	p := newTab(t, 1400, 900)
	ctx, cancel := context.WithCancel(context.Background())
	view := exec.CommandContext(ctx, buildCommand(t), "view", writeTrace(t))
	view.Cancel = func() error { return view.Process.Signal(os.Interrupt) }
	view.WaitDelay = 20 * time.Second
	view.Stderr = os.Stderr
	stdout, err := view.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := view.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatalf("spanclock view printed no URL: %v", lines.Err())
	}
	p.open(lines.Text(), ".formats a[download]")
	got := value(p, chromedp.Evaluate[[]string](`Promise.all([...document.querySelectorAll(".formats a[download]")].map(async (a) => {
		const answer = await fetch(a.href);
		return answer.status + " " + answer.headers.get("Content-Disposition");
	}))`, chromedp.EvalAwaitPromise))
	want := []string{".html", ".otlp.json", ".jaeger.json", ".perfetto.json", ".pb.gz"}
	if len(got) != len(want) {
		t.Fatalf("got %q; want %q", got, want)
	}
	for i := range want {
		if want := `200 attachment; filename="trace-4bf92f3577b34da6a3ce929d0e0e4736` + want[i] + `"`; got[i] != want {
			t.Errorf("got %q; want %q", got[i], want)
		}
	}
	cancel()
	if err := view.Wait(); view.ProcessState.ExitCode() != 0 {
		t.Errorf("spanclock view, interrupted: %v", err)
	}
}
