package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// watchPaint notes when the frame is over in which the first row came.
const watchPaint = `
	new MutationObserver((_, observer) => {
		if (!document.querySelector(".operations tbody tr")) return;
		observer.disconnect();
		requestAnimationFrame(() => setTimeout(() => (globalThis.paintedAt = performance.now())));
	}).observe(document, { childList: true, subtree: true });
`

// TestOverviewIsPaintedSoon measures, with a million spans in the store, the time from
// the navigation to the overview's first row on the screen; no answer is one that was
// computed for the load before. It only prints: figures are no test.
func TestOverviewIsPaintedSoon(t *testing.T) {
	if os.Getenv("SPANCLOCK_MEASURE") == "" {
		t.Skip("SPANCLOCK_MEASURE is not set")
	}
	bin := filepath.Join(t.TempDir(), "page")
	build := exec.Command("go", "build", "-o", bin, "./bench/page")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build bench/page: %v\n%s", err, out)
	}
	const addr = "127.0.0.1:47113"
	serve := exec.Command(bin, "-serve", addr)
	stderr, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Kill()
		serve.Wait()
	})
	bufio.NewScanner(stderr).Scan() // it says where it serves when the store is full

	p := newTab(t, 1280, 900)
	send(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPaint})
	var took []float64
	for range 7 {
		p.open("http://"+addr+"/debug/traces/health", ".card")
		from := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano)
		p.run(chromedp.Navigate("http://" + addr + "/debug/traces/overview?from=" + from))
		p.await(".operations tbody tr")
		p.awaitThat("it is painted", "globalThis.paintedAt")
		took = append(took, eval[float64](p, "paintedAt"))
	}
	slices.Sort(took)
	t.Logf("overview painted: median %.0f ms, least %.0f ms of %d loads", took[len(took)/2], took[0], len(took))
}
