package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// ripe bounds the wait for CPU samples: a profile window takes ten seconds,
// and a busy machine its time.
const ripe = 90 * time.Second

// TestShop looks at the demo as its reader does: the list in the browser, a
// click on a trace of each route, a look at the spans that matter there.
func TestShop(t *testing.T) {
	p := newTab(t, 1568, 900)
	list := startShop(t)

	t.Run("GET /api/product", func(t *testing.T) {
		p := p.under(t)
		openRoute(p, list, "GET /api/product", false)
		rowNamed(p, "redis.SET")
		p.pictures("shop_product")
	})
	t.Run("GET /api/order", func(t *testing.T) {
		p := p.under(t)
		openRoute(p, list, "GET /api/order/{id}", false)
		rowNamed(p, "redis.GET")
		p.pictures("shop_order")
	})
	t.Run("POST /api/auth/login", func(t *testing.T) {
		p := p.under(t)
		openRoute(p, list, "POST /api/auth/login", true)
		// The service users has the work; gateway's spans only wait for it.
		p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll(".row")]
			.find((r) => /\d+\s+samples?/.test(r.querySelector(".evidence").innerText))
			.querySelector(".name a").click()`))
		p.await("#detail .icicle")
		if got := p.text("#detail"); !strings.Contains(got, "bcrypt") {
			t.Errorf("the details of the span with CPU samples lack bcrypt:\n%s", got)
		}
		if got := p.text(".row.selected .cpu"); !strings.HasPrefix(got, "≈") {
			t.Errorf("got the CPU figure %q; want one that is marked as sampled", got)
		}
		p.pictures("shop_login")
	})
	t.Run("list", func(t *testing.T) {
		p := p.under(t)
		p.open(list, ".list tbody tr")
		refreshUntil(p, "ten traces have a CPU figure", `[...document.querySelectorAll("td.evidence")].filter((e) => /sample/.test(e.innerText)).length >= 10`)
		p.pictures("shop_list")
	})
	t.Run("pages", func(t *testing.T) { shopPages(t, p, list) })
}

// startShop builds and starts examples/shop and returns the URL of its list.
func startShop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "shop")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	build := exec.Command("go", "build", "-o", bin, "./shop")
	build.Dir = filepath.Join("..", "..", "..", "examples")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build examples/shop: %v\n%s", err, out)
	}

	ctx, cancel := context.WithCancel(context.Background())
	shop := exec.CommandContext(ctx, bin, "-addr", "127.0.0.1:0", "-dir", filepath.Join(dir, "store"), "-for", "10m")
	shop.Cancel = func() error { return shop.Process.Signal(os.Interrupt) }
	shop.WaitDelay = 20 * time.Second
	shop.Stderr = os.Stderr
	stdout, err := shop.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shop.Start(); err != nil {
		t.Fatalf("start examples/shop: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		shop.Wait() // it was asked to stop; its exit code says no more
	})

	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if at := mountURL.FindString(lines.Text()); at != "" {
				select {
				case found <- at:
				default:
				}
			}
		}
	}()
	select {
	case at := <-found:
		return at
	case <-time.After(ripe):
		t.Fatal("examples/shop printed no URL of /debug/traces/")
		return ""
	}
}

var mountURL = regexp.MustCompile(`http://\S+/debug/traces/`)

// openRoute lists a route's traces and clicks on the first whose CPU figure is
// there; with sampled it must rest on samples.
func openRoute(p *tab, list, route string, sampled bool) {
	p.t.Helper()
	p.open(list+"?"+url.Values{"service": {"gateway"}, "name": {route}}.Encode(), ".status-line")
	want := `/sample|exact/`
	if sampled {
		want = `/\d+\s+samples?/`
	}
	find := fmt.Sprintf(`[...document.querySelectorAll(".list tbody tr")].find((r) => %s.test(r.querySelector("td.evidence").innerText))`, want)
	refreshUntil(p, "a trace of "+route+" has a CPU figure", find+" !== undefined")
	p.run(chromedp.Evaluate[chromedp.Void](find + `.querySelector("a").click()`))
	p.await(".waterfall .row .bar")
	if got := p.text("h1"); !strings.HasPrefix(got, route) {
		p.t.Errorf("got the trace of %q; want %q", got, route)
	}
	if got := p.text(".headline"); got == "" {
		p.t.Errorf("the trace of %s has no headline", route)
	}
}

// refreshUntil refreshes the list until a JavaScript condition holds.
func refreshUntil(p *tab, what, condition string) {
	p.t.Helper()
	for end := time.Now().Add(ripe); !eval[bool](p, condition); {
		if time.Now().After(end) {
			p.t.Fatalf("waited %v in vain until %s; the list reads:\n%s", ripe, what, p.text("main"))
		}
		time.Sleep(500 * time.Millisecond)
		p.click(".status-line button")
		p.awaitThat("the list is refreshed", `document.querySelector(".status-line button").ariaBusy !== "true"`)
	}
}

// rowNamed selects the first row of a span by its name.
func rowNamed(p *tab, name string) {
	p.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll(".row .name a")].find((a) => a.innerText === %q)`, name)
	p.awaitThat("there is a row of "+name, find)
	p.run(chromedp.Evaluate[chromedp.Void](find + ".click()"))
	p.await("#detail .attributes")
}

// under gives the same tab to a subtest.
func (p *tab) under(t *testing.T) *tab { return &tab{t: t, ctx: p.ctx} }

// pictures takes a picture in each colour scheme.
func (p *tab) pictures(name string) {
	p.t.Helper()
	p.light()
	p.shot(name + "_light")
	p.dark()
	p.shot(name + "_dark")
	p.noViolations()
}
