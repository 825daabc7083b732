package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/spanclock/spanclock/httpui"
	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

func TestWaterfallOfSampledCPU(t *testing.T) {
	s, m := serveStore(t), sampletrace.LoginSampled()
	p := newTab(t, 1568, 784)
	p.open(s.trace(m), ".waterfall .row")

	if got := p.text(".headline"); !strings.Contains(got, "≈ 60 ms") {
		t.Errorf("got the headline %q", got)
	}
	row := rowText(p, 1)
	for _, want := range []string{"POST /login", "139 ms", "≈60 ms", "6 samples", "43 %", "self time 129 ms: CPU ≈60 ms", "the rest unknown"} {
		if !strings.Contains(row, want) {
			t.Errorf("the root's row reads %q; want %q in it", row, want)
		}
	}
	set := rowText(p, 3)
	for _, want := range []string{"redis.SET", "<3.8 ms", "no sample", "NET? 3.8 ms"} {
		if !strings.Contains(set, want) {
			t.Errorf("the row of redis.SET reads %q; want %q in it", set, want)
		}
	}
	for selector, want := range map[string]int{
		"#row-" + spanID(1) + " .bar":           3, // self time before, between and after the children
		"#row-" + spanID(1) + " .covered":       2,
		"#row-" + spanID(1) + " .critical-line": 3,
		"#row-" + spanID(1) + " .layer.fading":  3,
		"#row-" + spanID(1) + " .mark":          2, // its events
		"#row-" + spanID(3) + " .bar.dashed":    1,
		"#row-" + spanID(1) + " .diamond":       0,
		".shade":                                0,
	} {
		if got := count(p, selector); got != want {
			t.Errorf("got %d of %s; want %d", got, selector, want)
		}
	}
}

// TestExactStatesStandWhereTheyWere looks at a span of which an execution trace
// tells what it did when.
func TestExactStatesStandWhereTheyWere(t *testing.T) {
	s, m := serveStore(t), sampletrace.Login()
	p := newTab(t, 1568, 784)
	p.open(s.trace(m), ".waterfall .row")
	type drawn struct {
		Look        string
		Left, Right float64
	}
	got := eval[[]drawn](p, fmt.Sprintf(`(() => {
		const row = document.getElementById("row-%s");
		const lane = row.querySelector(".lane").getBoundingClientRect();
		return [...row.querySelectorAll(".bar")].map((b) => {
			const r = b.getBoundingClientRect();
			return { Look: /look-(\w+)/.exec(b.className)[1], Left: 139 * (r.left - lane.left) / lane.width, Right: 139 * (r.right - lane.left) / lane.width };
		});
	})()`, spanID(1)))
	want := []drawn{{"cpu", 0, 1.3}, {"runq", 1.3, 1.9}, {"runq", 8.2, 26}, {"cpu", 26, 48.6}, {"runq", 48.6, 72.4}, {"cpu", 72.4, 92.9},
		{"gc", 92.9, 96}, {"runq", 96, 115.9}, {"cpu", 115.9, 134.4}, {"cpu", 138.2, 139}}
	if len(got) != len(want) {
		t.Fatalf("got the bars %v; want %v", got, want)
	}
	for i, g := range got {
		w := want[i]
		if g.Look != w.Look || g.Left < w.Left-0.5 || g.Left > w.Left+0.5 || g.Right < w.Right-0.5 || g.Right > w.Right+0.5 {
			t.Errorf("bar %d: got %v; want %v", i, g, w)
		}
	}
	if got := p.text(".bar.longest"); count(p, ".bar.longest") != 1 || !strings.HasPrefix(got, "RUNQ") && !strings.HasPrefix(got, "runnable") {
		t.Errorf("%d bars are outlined as the longest wait, which reads %q; want one, of RUNQ", count(p, ".bar.longest"), got)
	}
	if got := count(p, "#row-"+spanID(1)+" .bar.layered .layer.look-steal"); got != 1 {
		t.Errorf("got %d bars with stolen time; want 1", got)
	}
	if got := rowText(p, 1); strings.Contains(got, "sample") || !strings.Contains(got, "exact") {
		t.Errorf("the row reads %q; want its evidence to be exact", got)
	}

	if got := p.text(".meanwhile"); !strings.Contains(got, "throttled by the CPU quota 310 ms") {
		t.Errorf("got %q of the signals; want the throttling", got)
	}
	for selector, want := range map[string]int{".head .band.look-steal": 2, ".head .band.look-runq": 2, ".grid-lines .shade": 2} {
		if got := count(p, selector); got != want {
			t.Errorf("got %d of %s; want %d", got, selector, want)
		}
	}
}

func TestSpanLongerThanTheExecutionTrace(t *testing.T) {
	s, m := serveStore(t), sampletrace.Report()
	p := newTab(t, 1400, 900)
	p.open(s.span(m, 1), "#detail .waits")
	if got := rowText(p, 1); !strings.Contains(got, "exact: last 3 s") {
		t.Errorf("the row reads %q; want it said for which part it is exact", got)
	}
	if got := p.text("#detail .facts"); !strings.Contains(got, "exact for the last 3 s") {
		t.Errorf("the details read %q; want it said for which part they are exact", got)
	}
	if got := count(p, "#row-"+spanID(1)+" .bar.look-unknown.dashed"); got != 2 {
		t.Errorf("got %d dashed bars; want 2, for what is before the execution trace", got)
	}
}

func TestNoLabelIsClipped(t *testing.T) {
	s := serveStore(t)
	for _, width := range []int64{360, 700, 1000, 1568} {
		p := newTab(t, width, 800)
		for _, m := range sampletrace.Cases() {
			p.open(s.trace(m), ".lane .critical-line")
			clipped := eval[[]string](p, `[...document.querySelectorAll(".lane .bar > .text, .lane .beside, .slice > .text, .slice > .plate")]
				.filter((text) => {
					const box = text.parentElement.getBoundingClientRect();
					const r = text.getBoundingClientRect();
					return r.left < box.left - 0.5 || r.right > box.right + 0.5;
				})
				.map((text) => text.innerText)`)
			if len(clipped) > 0 {
				t.Errorf("%s at %d px: clipped labels %q", m.Spans[0].Name, width, clipped)
			}
		}
	}
}

func TestAddressSelectsAndRevealsASpan(t *testing.T) {
	s, m := serveStore(t), sampletrace.Cart()
	p := newTab(t, 1400, 900)
	p.open(s.span(m, 4), "#detail .waits")
	if got := p.text("#detail-title"); !strings.HasPrefix(got, "redis.GET") {
		t.Errorf("got the details of %q; want redis.GET", got)
	}
	p.click("#row-" + spanID(3) + " .toggle")
	p.awaitThat("the span's row is hidden", fmt.Sprintf(`!document.getElementById("row-%s")`, spanID(4)))
	p.click("#row-" + spanID(6) + " .name a")
	p.awaitThat("another span is selected", fmt.Sprintf(`location.hash === "#span=%s"`, spanID(6)))
	p.run(chromedp.Evaluate[chromedp.Void]("history.back()"))
	p.await("#row-" + spanID(4) + ".selected")

	p.open(s.trace(m)+"#span=ffffffffffffffff", ".problems")
	if got := p.text(".problems"); !strings.Contains(got, "ffffffffffffffff is not in this trace") {
		t.Errorf("got %q for a span that is not there", got)
	}
}

func TestDetailsShowTheWholeSpan(t *testing.T) {
	s, m := serveStore(t), sampletrace.LoginSampled()
	p := newTab(t, 1400, 900)
	p.open(s.span(m, 1), "#detail .attributes")
	got := p.text("#detail")
	for _, want := range []string{
		"unknown (no evidence)", "6 samples", "exact, span times", "bcrypt.CompareHashAndPassword 6", "blowfish.ExpandKey 4",
		"http.route", "/login", `["reader","editor"]`, "Mozilla/5.0 <script>alert(1)</script>",
		"password checked", "2 attributes", "service.version", "1 CPU sample",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the details lack %q", want)
		}
	}
	p.click("#detail .by-func summary")
	if got := p.text(".by-func tbody tr"); !strings.Contains(got, "blowfish.ExpandKey") {
		t.Errorf("the first function by own samples is %q; want blowfish.ExpandKey", got)
	}
	p.click("#detail .small")
	p.awaitThat("the common callers are shown", `document.querySelector(".icicle").innerText.includes("net/http.(*conn).serve")`)
	p.click("#detail .raw summary")
	p.awaitThat("the span is there as JSON", `JSON.parse(document.querySelector("#detail .raw pre").innerText).attributes.length > 3`)
}

// TestWaits follows what a span waited for to the span that let it go on, and a
// link to another trace.
func TestWaits(t *testing.T) {
	s := serveStore(t)
	p := newTab(t, 1400, 900)
	p.open(s.span(sampletrace.Login(), 4), "#detail .waits")
	got := p.text("#detail .waits")
	for _, want := range []string{"blocked on a lock", "2.7 ms", "main.(*pool).Get", "Let go by", "main.(*pool).Put"} {
		if !strings.Contains(got, want) {
			t.Errorf("the waits read %q; want %q in it", got, want)
		}
	}
	p.click("#detail .waits a")
	p.await("#row-" + spanID(1) + ".selected")

	p.open(s.span(sampletrace.Order(), 6), "#detail .event")
	if got := p.text("#detail"); !strings.Contains(got, "broker not available") || !strings.Contains(got, "exception.type") {
		t.Errorf("the details of the failed span read %q", got)
	}
	for selector, want := range map[string]int{".mark.failed": 1, ".mark:not(.failed)": 1, ".failed-end": 1, ".diamond": 0} {
		if got := count(p, "#row-"+spanID(6)+" "+selector); got != want {
			t.Errorf("the failed span has %d of %s; want %d", got, selector, want)
		}
	}
	p.click(`#detail .event a`)
	p.awaitThat("the linked trace is shown", fmt.Sprintf(`location.pathname.endsWith(%q) && document.querySelector("h1")?.innerText.startsWith("GET /cart")`, sampletrace.Cart().ID.String()))
	p.await("#row-" + spanID(4) + ".selected")
}

func TestSpanDataIsOnlyText(t *testing.T) {
	s, m := serveStore(t), sampletrace.Hostile()
	p := newTab(t, 1400, 900)
	p.open(s.span(m, 2), "#detail .attributes")
	p.click("#detail .raw summary")
	p.await("#detail .raw pre")
	if got := count(p, "#app img, #app script, #app iframe"); got != 0 {
		t.Errorf("got %d elements made of span data; want none", got)
	}
	if got := p.text("h1"); !strings.Contains(got, "<img src=x onerror=alert(1)>") {
		t.Errorf("got the heading %q; want the name as text", got)
	}
	if got := p.text(".problems"); !strings.Contains(got, "another CPU profile was running") {
		t.Errorf("got the problems %q; want the hole in the CPU profile", got)
	}
	p.open("about:blank", "body")
	p.open(s.trace(m)+"#operations=1", ".by-operation td")
	if got := count(p, "#app img, #app script"); got != 0 {
		t.Errorf("got %d elements made of span data among the operations; want none", got)
	}
}

func TestHiddenValues(t *testing.T) {
	s := serveStoreWith(t, &httpui.Options{Authorize: func(*http.Request) httpui.Access { return httpui.HideValues }})
	p := newTab(t, 1400, 900)
	p.open(s.span(sampletrace.Cart(), 4), "#detail .attributes")
	got := p.text("#detail")
	if !strings.Contains(got, "hidden from this reader") || strings.Contains(got, "undefined") || strings.Contains(got, "cart:8812") {
		t.Errorf("got %q; want it said that values are hidden", got)
	}
	if got := p.text(".waterfall"); strings.Contains(got, "cart:8812") {
		t.Errorf("the waterfall has the value of an attribute: %q", got)
	}
}

// TestPendingTraceIsAskedForAgain has the first answers say that samples are
// still to come, as they do while a profiler runs.
func TestPendingTraceIsAskedForAgain(t *testing.T) {
	s, m := serveStore(t), sampletrace.LoginSampled()
	var asked atomic.Int64
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("columns") || asked.Add(1) > 2 {
			s.Config.Handler.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Accept-Encoding")
		rec := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			if k != "Content-Length" {
				w.Header()[k] = v
			}
		}
		fmt.Fprint(w, strings.Replace(rec.Body.String(), `"pending":false`, `"pending":true`, 1))
	}))
	t.Cleanup(slow.Close)
	p := newTab(t, 1400, 900)
	p.open(slow.URL+mount+"trace/"+m.ID.String()+"#span="+spanID(2), ".pending")
	p.awaitThat("the trace is complete", `!document.querySelector(".pending")`)
	p.await("#row-" + spanID(2) + ".selected")
}

// TestManySpans shows that the page's size does not grow with the trace's.
func TestManySpans(t *testing.T) {
	m := sampletrace.Large(largeID(10_000), 10_000)
	s := serveStore(t, m)
	p := newTab(t, 1400, 800)
	p.open(s.trace(m), ".waterfall .row")
	if got := count(p, "*"); got > 2500 {
		t.Errorf("got %d DOM nodes for 10k spans; want at most 2500", got)
	}
	p.run(chromedp.Evaluate[chromedp.Void]("scrollTo(0, document.documentElement.scrollHeight / 2)"))
	p.awaitThat("rows in the middle are drawn", `[...document.querySelectorAll(".row")].some((r) => r.ariaRowIndex > 4000 && r.getBoundingClientRect().top > 0)`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("waterfall").focus({ preventScroll: true })`), chromedp.KeyEvent(kb.End))
	const inSight = `(() => {
		const row = document.querySelector(".row.selected")?.getBoundingClientRect();
		const dock = document.querySelector(".detail.docked")?.getBoundingClientRect();
		return row && dock && row.bottom <= dock.top + 1 && row.top > 0;
	})()`
	p.awaitThat("the last row is selected and in sight above the details", inSight)
	p.open("about:blank", "body")
	p.open(s.span(m, 3), "#detail .icicle")
	p.awaitThat("the row that the address names is in sight above the details", inSight)
	if got := p.text("#detail .standing"); !strings.Contains(got, "spans of this name in the store") || !strings.Contains(got, "p95") {
		t.Errorf("the details read %q of the operation's history", got)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("waterfall").focus({ preventScroll: true })`), chromedp.KeyEvent(kb.Home+kb.ArrowLeft))
	p.awaitThat("only the root is left", `document.querySelectorAll(".row").length === 1`)
}

func rowText(p *tab, n int) string {
	p.t.Helper()
	return strings.Join(strings.Fields(p.text("#row-"+spanID(n))), " ")
}

func count(p *tab, selector string) int {
	p.t.Helper()
	return eval[int](p, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}
