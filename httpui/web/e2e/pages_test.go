package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// shopPages looks at the views beside the list and the trace, on the demo's own
// traffic.
func shopPages(t *testing.T, p *tab, list string) {
	p.expect("400 (Bad Request)") // testQuery asks a bad one
	for _, view := range []struct {
		name string
		test func(*tab, string)
	}{
		{"query", testQuery}, {"scatter", testScatter}, {"follow", testFollow}, {"live", testLive}, {"overview", testOverview},
		{"calls", testCalls}, {"flame", testFlame}, {"health", testHealth}, {"keys", testKeys}, {"phone", testPhone},
	} {
		t.Run(view.name, func(t *testing.T) { view.test(p.under(t), list) })
	}
}

// key presses a key, wherever the focus is.
func (p *tab) key(keys string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(keys))
}

// choose takes the first completion. As events: the protocol would type the Enter
// whatever the page says, and so send the form.
func (p *tab) choose() {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void](`for (const key of ["ArrowDown", "Enter"])
		document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }))`))
}

// point moves the mouse to the middle of an element.
func (p *tab) point(selector string) {
	p.t.Helper()
	at := eval[[]float64](p, fmt.Sprintf(`(() => { const r = document.querySelector(%q).getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()`, selector))
	send(p, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: at[0], Y: at[1]})
}

func testQuery(p *tab, list string) {
	p.open(list, ".status-line")
	refreshUntil(p, "the rows have their states", `document.querySelectorAll(".list .state-bar").length > 10`)
	p.click(`input[name="q"]`)
	p.awaitThat("there is something to choose from", `document.querySelectorAll(".choices li").length > 3`)
	p.key("serv")
	p.awaitThat("the field is offered", `document.querySelector(".choices li")?.innerText.startsWith("service")`)
	p.choose()
	p.awaitThat("its values are offered", `document.querySelector('input[name="q"]').value === "service=" && /gateway/.test(document.querySelector(".choices").innerText)`)
	p.key("users http.response")
	p.awaitThat("the attribute is offered", `document.querySelector(".choices li")?.innerText.startsWith("http.response")`)
	p.choose()
	p.awaitThat("an attribute is completed", `/http\.response\S+=$/.test(document.querySelector('input[name="q"]').value)`)

	p.open(list+"?q=name%3Dx+orders", ".query-error")
	if got := p.text(".query-error"); !strings.Contains(got, "operator is missing") {
		p.t.Errorf("got %q; want what is wrong with the query", got)
	}
	if got := eval[string](p, `document.querySelector(".query-error .caret").style.paddingLeft`); got != "13ch" {
		p.t.Errorf("the mark is at %s; want it under column 14", got)
	}
	p.open(list+"?order=longest&last=1h&on=entry&service=gateway", ".list tbody tr")
	if got := p.text(".status-line"); !strings.Contains(got, "longest first") {
		p.t.Errorf("got %q; want the order said", got)
	}
}

func testScatter(p *tab, list string) {
	p.open(list, ".plot canvas")
	p.awaitThat("dots are drawn", `(() => { const c = document.querySelector(".plot canvas"); return c.width > 0 && c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v > 0); })()`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "s", bubbles: true, cancelable: true }))`))
	p.awaitThat("the plot has the focus", `document.activeElement.classList.contains("plot")`)
	p.key(kb.ArrowLeft)
	p.key(kb.ArrowLeft)
	p.awaitThat("a trace is named", `document.querySelector(".plot-line strong")`)
	p.key(kb.Enter)
	p.await(".waterfall .row")
}

// testFollow: what comes while the pointer is on the rows waits until it is asked for.
func testFollow(p *tab, list string) {
	p.open(list, ".list tbody tr")
	first := func() string { return eval[string](p, `document.querySelector(".list tbody a").href`) }
	p.click(`input[name="follow"]`)
	p.point(".list tbody tr:nth-child(3)")
	held := first()
	p.awaitThat("something new waits", `document.querySelector(".fresh")`)
	if got := first(); got != held {
		p.t.Errorf("the list moved under the pointer: got %s first; want %s", got, held)
	}
	p.click(".fresh")
	p.awaitThat("what is new is shown", fmt.Sprintf(`document.querySelector(".list tbody a").href !== %q`, held))
}

func testLive(p *tab, list string) {
	p.open(list+"live", ".page-title")
	// The demo's requests are short: wait until one is met that stands in a function.
	p.awaitFor(ripe, "a request is met", `document.querySelector(".live .stack-button")`)
	p.key("p")
	p.awaitThat("the view stands still", `[...document.querySelectorAll(".status-line button")].some((b) => b.innerText === "Go on")`)
	p.awaitThat("there is still a request", `document.querySelector(".live .stack-button")`)
	p.click(".live .stack-button")
	p.await(".live-stack li")
	if got := p.text(".live-stack"); !strings.Contains(got, ".go:") {
		p.t.Errorf("got the stack %q; want functions with their lines", got)
	}
	p.pictures("live")
	if eval[bool](p, `document.querySelector(".captures") !== null`) {
		p.click(".captures button")
		p.awaitThat("the capture is asked for", `/when it ends|too many/.test(document.querySelector("td.capture").innerText)`)
	}
}

func testOverview(p *tab, list string) {
	p.open(list+"overview", ".operations tbody tr")
	p.awaitThat("the charts are drawn", `document.querySelectorAll(".chart canvas").length === 2`)
	if got := p.text("main"); !strings.Contains(got, "POST /api/auth/login") || !strings.Contains(got, "Slowest") {
		p.t.Errorf("got %s; want the operations and the slowest requests", got)
	}
	for end := time.Now().Add(ripe); !eval[bool](p, `document.querySelectorAll(".operations .state-bar").length > 3`); time.Sleep(time.Second) {
		if time.Now().After(end) {
			p.t.Fatalf("routes have no states; the page reads %s", p.text("main"))
		}
		p.click(".status-line button")
	}
	p.pictures("overview")
	p.click(".charts + button")
	p.awaitThat("the figures are there as a table", `document.querySelectorAll(".steps tbody tr").length === 60`)
	p.click(".slowest tbody a")
	p.await(".waterfall .row")
	p.run(chromedp.Evaluate[chromedp.Void]("history.back()"))
	p.await(".operations")
	p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll(".operations .request a")].find((a) => a.innerText === "GET /api/product").click()`))
	p.await(".list .request")
	if got := eval[string](p, "location.search"); !strings.Contains(got, "name=GET+%2Fapi%2Fproduct") {
		p.t.Errorf("the operation led to %s", got)
	}
}

func testCalls(p *tab, list string) {
	p.open(list+"graph?last=all", ".calls tbody tr")
	got := p.text(".calls")
	for _, want := range []string{"→ orders", "→ users"} {
		if !strings.Contains(got, want) {
			p.t.Errorf("got %q; want %q in it", got, want)
		}
	}
}

func testFlame(p *tab, list string) {
	p.open(list+"flame?last=all", ".page-title")
	for end := time.Now().Add(ripe); !eval[bool](p, `document.querySelector(".flame canvas") !== null`); time.Sleep(time.Second) {
		if time.Now().After(end) {
			p.t.Fatalf("no CPU samples came; the page reads %s", p.text("main"))
		}
		p.click(".status-line button")
	}
	p.pictures("flame")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".flame").focus()`))
	p.key(kb.ArrowDown)
	p.key(kb.ArrowDown)
	p.key(kb.Enter)
	p.awaitThat("it is zoomed", `document.querySelector(".flame-line button")?.innerText === "Show all"`)
	p.key(kb.Escape)
	p.key(kb.Escape)
	p.awaitThat("it is zoomed out", `!document.querySelector(".flame-line button")`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true, cancelable: true }))`))
	p.key("bcrypt")
	p.awaitThat("the search finds it", `/\d+\s%/.test(document.querySelector(".status-line [role=status]")?.innerText)`)
	if got := p.text(".flame-table"); !strings.Contains(got, "bcrypt") || strings.Contains(got, "net/http") {
		p.t.Errorf("got the functions %q; want those that match", got)
	}
}

func testHealth(p *tab, list string) {
	p.open(list+"health", ".card")
	got := p.text("main")
	for _, want := range []string{"CPU profiler", "running", "Own CPU", "Flight recorder", "this process", "store format 1"} {
		if !strings.Contains(got, want) {
			p.t.Errorf("got %q; want %q in it", got, want)
		}
	}
	p.pictures("health")
}

// testKeys goes through all views by the keyboard, and asks for the keys.
func testKeys(p *tab, list string) {
	p.open(list, ".list tbody tr")
	for _, to := range []struct{ key, title string }{{"l", "In flight"}, {"o", "Overview"}, {"f", "Flame graph"}, {"h", "Health"}} {
		p.key("g")
		p.key(to.key)
		p.awaitThat("the view is "+to.title, fmt.Sprintf(`document.querySelector("h1")?.innerText === %q`, to.title))
	}
	p.key("g")
	p.key("t")
	p.await(".list .request a")
	p.key("j")
	p.key("j")
	p.awaitThat("the second trace has the focus", `document.activeElement === document.querySelectorAll(".list .request a")[1]`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true, cancelable: true }))`))
	p.await("dialog[open]")
	for _, want := range []string{"EVERYWHERE", "A TRACE", "to the overview"} {
		if got := p.text("dialog"); !strings.Contains(strings.ToUpper(got), strings.ToUpper(want)) {
			p.t.Errorf("the help reads %q; want %q in it", got, want)
		}
	}
	p.key(kb.Escape)
	zone := p.text(".zone")
	p.click(".zone")
	if got := p.text(".list th.when"); !strings.Contains(got, "UTC") {
		p.t.Errorf("times were in %s and are now in %q; want UTC", zone, got)
	}
	p.click(".zone")
}

// testPhone: no view is wider than a phone.
func testPhone(p *tab, list string) {
	phone := newTab(p.t, 390, 844)
	for _, view := range []struct{ path, ready string }{
		{"", ".list tbody tr"}, {"live", ".status-line"}, {"overview", ".operations"}, {"graph", ".calls"}, {"flame?last=all", ".status-line"}, {"health", ".card"},
	} {
		phone.open(list+view.path, view.ready)
		if overflow := eval[float64](phone, "document.documentElement.scrollWidth - innerWidth"); overflow > 0 {
			p.t.Errorf("%s is %v px wider than the window", view.path, overflow)
		}
		phone.pictures("phone_" + strings.NewReplacer("?", "_", "=", "_").Replace(view.path))
	}
}
