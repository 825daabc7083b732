package e2e

import (
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestListShowsEachTraceWithItsEvidence(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.open(f.list(), ".list tbody tr")

	rows := eval[[]string](p, `[...document.querySelectorAll(".list tbody tr")].map((r) => r.innerText.replaceAll("\u00a0", " ").replace(/\s+/g, " "))`)
	if len(rows) != 6 {
		t.Fatalf("got %d rows; want 6: %q", len(rows), rows)
	}
	for i, want := range [][]string{
		0: {"POST /orders", "gateway", "+2", "41.8 ms", "5.6 ms", "exact", "! 1"},
		1: {"POST /login", "139 ms", "≈60 ms", "50–70 · 6 samples"},
		4: {"GET /<img src=x onerror=alert(1)>", "?", "no data"},
		5: {"GET /health", "root missing", "<10 ms", "no sample"},
	} {
		for _, w := range want {
			if !strings.Contains(rows[i], w) {
				t.Errorf("row %d reads %q; want %q in it", i, rows[i], w)
			}
		}
	}
	if got, want := eval[string](p, `document.querySelector(".list time").title`), "2026-11-20 09:41:11.420887001 UTC"; got != want {
		t.Errorf("got the tooltip %q for the time; want %q", got, want)
	}
}

func TestBackAndForwardBetweenListAndTrace(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.open(f.list(), ".list tbody tr")
	// The plot asks for more than the list has; what was not answered is asked for again.
	p.awaitThat("the plot has its answer", `performance.getEntriesByType("resource").some((e) => e.name.includes("limit=") && e.responseEnd > 0)`)
	p.click(`.list a[href$="c0de0b5e77aa4d5e9b1a77c0aa5577a1"]`)
	p.await(".waterfall .row")
	if got, want := eval[string](p, "location.href"), f.caseIII(); got != want {
		t.Errorf("got the address %s; want %s", got, want)
	}
	if got := eval[string](p, "document.activeElement.id"); got != "main" {
		t.Errorf("the focus is on %q after following a link; want main", got)
	}
	if got := eval[string](p, "document.title"); !strings.HasPrefix(got, "POST /orders") {
		t.Errorf("got the title %q; want the request's name first", got)
	}
	asked := f.listed.Load()
	p.run(chromedp.Evaluate[chromedp.Void]("history.back()"))
	p.await(".list tbody tr")
	if got := f.listed.Load(); got != asked {
		t.Errorf("going back asked for the list again; want what was there")
	}
	p.run(chromedp.Evaluate[chromedp.Void]("history.forward()"))
	p.await(".waterfall .row")
}

func TestFilterIsInTheAddress(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.open(f.list(), ".list tbody tr")
	// As an event: the protocol would type the character whatever the page says.
	p.run(chromedp.Evaluate[chromedp.Void](`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true, cancelable: true }))`))
	p.awaitThat("the first field has the focus", `document.activeElement?.name === "service"`)
	p.run(chromedp.KeyEvent("gateway"))
	p.click(`input[name="errors"]`)
	p.run(chromedp.SendKeys(chromedp.CSS(`input[name="min"]`), "1ms"+kb.Enter))
	p.awaitThat("two traces are left", `document.querySelectorAll(".list tbody tr").length === 2`)
	u, err := url.Parse(eval[string](p, "location.href"))
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("service") != "gateway" || q.Get("errors") != "1" || q.Get("min") != "1ms" || q.Has("name") {
		t.Errorf("got the query %q; want service, errors and min alone", u.RawQuery)
	}

	p.open(u.String(), ".list tbody tr")
	if got := eval[string](p, `document.querySelector('input[name="service"]').value`); got != "gateway" {
		t.Errorf("a loaded address shows the service %q in its field; want gateway", got)
	}

	p.open(f.list()+"?service=nobody", ".notice")
	if got := p.text(".notice"); !strings.Contains(got, "No trace matches") {
		t.Errorf("got %q when nothing matches; want that said", got)
	}
}

func TestBadFilterSaysWhatToWrite(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.expect("400 (Bad Request)")
	p.open(f.list()+"?min=soon", ".notice")
	got := p.text(".notice")
	for _, want := range []string{"400", `"soon" is no duration`, "100ms or 1.5s"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q; want %q in it", got, want)
		}
	}
	if got := eval[string](p, `document.querySelector('input[name="min"]').value`); got != "soon" {
		t.Errorf("the field has %q; want what was written, to correct it", got)
	}
}

func TestPages(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.open(f.list()+"?limit=6", ".pages")
	p.click(`.pages a[rel="next"]`)
	p.awaitThat("the older page is shown", `location.search.includes("cursor=next-page") && document.querySelectorAll(".list tbody tr").length === 1`)
	if links := p.text(".pages"); !strings.Contains(links, "Newest") || !strings.Contains(links, "Newer") || strings.Contains(links, "Older") {
		t.Errorf("got the links %q on the last page; want Newest and Newer only", links)
	}
	p.click(`.pages a:nth-of-type(2)`)
	p.awaitThat("the newer page is shown", `location.search === "?limit=6" && document.querySelectorAll(".list tbody tr").length === 6`)
}

func TestRefreshKeepsTheListWhenItFails(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.open(f.list(), ".list tbody tr")
	p.expect("503 (Service Unavailable)")
	var down atomic.Bool
	f.fail(func(string) error {
		if down.Load() {
			return failure{503, "the store is closed", "The service is shutting down.", ""}
		}
		return nil
	})
	down.Store(true)
	p.click(".status-line button")
	p.await(".stale")
	if got := p.text(".stale"); !strings.Contains(got, "the store is closed") {
		t.Errorf("got %q; want the reason", got)
	}
	if n := eval[int](p, `document.querySelectorAll(".list tbody tr").length`); n != 6 {
		t.Errorf("got %d rows after a failed refresh; want the 6 that were there", n)
	}
	down.Store(false)
	p.click(".stale button")
	p.awaitThat("the warning is gone", `!document.querySelector(".stale")`)
}

func TestFailureCanBeTriedAgain(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.expect("500 (Internal Server Error)")
	var down atomic.Bool
	down.Store(true)
	f.fail(func(string) error {
		if down.Load() {
			return errors.New("disk on fire")
		}
		return nil
	})
	p.open(f.list(), ".notice button")
	down.Store(false)
	p.click(".notice button")
	p.await(".list tbody tr")
}

func TestUnknownTraceSaysWhetherItWasEvicted(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.expect("404 (Not Found)")
	p.open(f.unknownTrace(), ".notice")
	got := p.text(".notice")
	for _, want := range []string{"404", "no such trace", "the ring was full", "All traces"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q; want %q in it", got, want)
		}
	}
	p.click(".notice a")
	p.await(".list tbody tr")
}

func TestThemeIsRemembered(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 800)
	p.light()
	p.open(f.list(), ".list tbody tr")
	background := func() string { return eval[string](p, "getComputedStyle(document.documentElement).backgroundColor") }
	lit := background()
	p.click(`.top > button:last-of-type`)
	p.awaitThat("the theme is dark", `document.documentElement.dataset.theme === "dark"`)
	if got := background(); got == lit {
		t.Errorf("the background stays %s in the dark theme", got)
	}
	p.open(f.caseI(), ".waterfall .row")
	if got := eval[string](p, `document.documentElement.dataset.theme`); got != "dark" {
		t.Errorf("got the theme %q after loading another view; want dark", got)
	}
	p.click(`.top > button:last-of-type`)
	p.click(`.top > button:last-of-type`)
	p.awaitThat("the theme is the system's again", `!("theme" in document.documentElement.dataset)`)
}
