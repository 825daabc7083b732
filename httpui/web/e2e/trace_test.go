package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestWaterfallOfSampledCPU(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1568, 784)
	p.open(f.caseIISampled(), ".waterfall .row")

	if got := p.text(".headline"); !strings.HasPrefix(got, "CPU about 60 ms (50 to 70 ms), from 6 samples.") {
		t.Errorf("got the headline %q", got)
	}
	row := rowText(p, idOf(t, "case_ii_sampled", 0))
	for _, want := range []string{"POST /login", "139 ms", "≈60 ms", "50–70 · 6 samples", "43 %", "self time 129 ms: CPU ≈60 ms (50–70), the rest unknown"} {
		if !strings.Contains(row, want) {
			t.Errorf("the root's row reads %q; want %q in it", row, want)
		}
	}
	set := rowText(p, idOf(t, "case_ii_sampled", 2))
	for _, want := range []string{"redis.SET", "<3.8 ms", "no sample", "NET? 3.8 ms"} {
		if !strings.Contains(set, want) {
			t.Errorf("the row of redis.SET reads %q; want %q in it", set, want)
		}
	}
	root, tail := "#row-"+idOf(t, "case_ii_sampled", 0), "#row-"+idOf(t, "case_ii_sampled", 2)
	for selector, want := range map[string]int{
		root + " .bar":           3, // self time before, between and after the children
		root + " .covered":       2,
		root + " .critical-line": 3,
		root + " .layer.fading":  3,
		tail + " .bar.dashed":    1,
		tail + " .diamond":       1,
		root + " .diamond":       0,
	} {
		if got := count(p, selector); got != want {
			t.Errorf("got %d of %s; want %d", got, selector, want)
		}
	}
	if got := count(p, ".findings li"); got != 2 {
		t.Errorf("got %d findings; want 2", got)
	}
}

func TestBarsStandWhereSelfTimeWas(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1568, 784)
	p.open(f.caseI(), ".waterfall .row")
	// redis.GET: self time from 1.6 to 46.2 of 52.4 ms.
	at := eval[struct{ Left, Right float64 }](p, fmt.Sprintf(`(() => {
		const lane = document.querySelector("#row-%[1]s .lane").getBoundingClientRect();
		const bar = document.querySelector("#row-%[1]s .bar").getBoundingClientRect();
		return { Left: (bar.left - lane.left) / lane.width, Right: (bar.right - lane.left) / lane.width };
	})()`, idOf(t, "case_i", 3)))
	if want := 1.6 / 52.4; at.Left < want-0.005 || at.Left > want+0.005 {
		t.Errorf("the bar begins at %.4f of the lane; want %.4f", at.Left, want)
	}
	if want := 46.2 / 52.4; at.Right < want-0.005 || at.Right > want+0.005 {
		t.Errorf("the bar ends at %.4f of the lane; want %.4f", at.Right, want)
	}
	if got := count(p, ".bar.longest"); got != 1 {
		t.Errorf("got %d bars outlined as the longest wait; want 1", got)
	}
	if got := p.text(".bar.longest"); !strings.Contains(got, "NET") && !strings.Contains(got, "network") {
		t.Errorf("the longest wait reads %q; want redis.GET's network wait", got)
	}
}

func TestNoLabelIsClipped(t *testing.T) {
	f := serveFixtures(t)
	for _, width := range []int64{360, 700, 1000, 1568} {
		p := newTab(t, width, 800)
		for _, url := range []string{f.caseI(), f.caseII(), f.caseIISampled(), f.caseIII(), f.hostile()} {
			p.open(url, ".lane .critical-line")
			clipped := eval[[]string](p, `[...document.querySelectorAll(".lane .bar > .text, .lane .beside, .slice > .text, .slice > .plate")]
				.filter((text) => {
					const box = text.parentElement.getBoundingClientRect();
					const r = text.getBoundingClientRect();
					return r.left < box.left - 0.5 || r.right > box.right + 0.5;
				})
				.map((text) => text.innerText)`)
			if len(clipped) > 0 {
				t.Errorf("%s at %d px: clipped labels %q", url, width, clipped)
			}
		}
	}
}

func TestKeyboard(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 900)
	p.open(f.caseI(), ".waterfall .row")
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("waterfall").focus()`))
	selected := func(n int) {
		t.Helper()
		id := idOf(t, "case_i", n)
		p.awaitThat("span "+id+" is selected", fmt.Sprintf(`location.hash === "#span=%[1]s" &&
			document.querySelector("#row-%[1]s")?.ariaSelected === "true" &&
			document.getElementById("waterfall").getAttribute("aria-activedescendant") === "row-%[1]s"`, id))
	}
	press := func(keys string) { t.Helper(); p.run(chromedp.KeyEvent(keys)) }

	press(kb.ArrowDown)
	selected(0)
	press(kb.ArrowDown)
	press(kb.ArrowDown)
	selected(2)
	press(kb.ArrowLeft) // collapses cart.Load
	p.awaitThat("redis.GET is hidden", fmt.Sprintf(`!document.getElementById("row-%s")`, idOf(t, "case_i", 3)))
	if got := eval[string](p, fmt.Sprintf(`document.getElementById("row-%s").ariaExpanded`, idOf(t, "case_i", 2))); got != "false" {
		t.Errorf("got aria-expanded %q of the collapsed row; want false", got)
	}
	press(kb.ArrowDown)
	selected(4)
	press(kb.ArrowLeft) // a leaf: to its parent
	selected(0)
	press(kb.End)
	selected(5)
	press(kb.Home)
	selected(0)
	press(kb.Enter)
	p.awaitThat("the details have the focus", `document.activeElement?.id === "detail"`)
	press(kb.Escape)
	p.awaitThat("the details are closed, the waterfall has the focus", `!document.getElementById("detail") && document.activeElement?.id === "waterfall"`)
	press("?")
	p.awaitThat("the keys are explained", `document.querySelector("dialog.keys").open`)
	press(kb.Escape)
	p.awaitThat("the dialog is closed", `!document.querySelector("dialog.keys").open`)
}

func TestAddressSelectsAndRevealsASpan(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 900)
	get := idOf(t, "case_i", 3)
	p.open(f.caseI()+"#span="+get, "#detail .icicle")
	if got := p.text("#detail-title"); !strings.HasPrefix(got, "redis.GET") {
		t.Errorf("got the details of %q; want redis.GET", got)
	}
	p.click("#row-" + idOf(t, "case_i", 2) + " .toggle")
	p.awaitThat("the span's row is hidden", fmt.Sprintf(`!document.getElementById("row-%s")`, get))
	p.click("#row-" + idOf(t, "case_i", 5) + " .name a")
	p.awaitThat("another span is selected", fmt.Sprintf(`location.hash === "#span=%s"`, idOf(t, "case_i", 5)))
	p.run(chromedp.Evaluate[chromedp.Void]("history.back()"))
	p.await("#row-" + get + ".selected")

	p.open(f.caseI()+"#span=ffffffffffffffff", ".problems")
	if got := p.text(".problems"); !strings.Contains(got, "ffffffffffffffff is not in this trace") {
		t.Errorf("got %q for a span that is not there", got)
	}
}

func TestDetailsShowTheWholeSpan(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 900)
	p.open(f.caseIISampled()+"#span="+idOf(t, "case_ii_sampled", 0), "#detail .attributes")
	got := p.text("#detail")
	for _, want := range []string{
		"unknown (no evidence)", "68.9 ms", "6 samples, 50 ms to 70 ms", "exact, span times",
		"bcrypt.CompareHashAndPassword 6", "blowfish.ExpandKey 4",
		"http.route", "/login", `["reader","editor"]`, "Mozilla/5.0 <script>alert(1)</script>",
		"password checked", "7f3a0c11d2b94e6f8a5077e1b3d9c21e", "2 attributes", "service.version", "1 CPU sample",
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
}

func TestSpanDataIsOnlyText(t *testing.T) {
	f := serveFixtures(t)
	p := newTab(t, 1400, 900)
	p.open(f.hostile()+"#span="+idOf(t, "hostile", 1), "#detail .attributes")
	if got := count(p, "#app img, #app script, #app iframe"); got != 0 {
		t.Errorf("got %d elements made of span data; want none", got)
	}
	if got := p.text("h1"); !strings.Contains(got, "<img src=x onerror=alert(1)>") {
		t.Errorf("got the heading %q; want the name as text", got)
	}
	if got := p.text(".problems"); !strings.Contains(got, "another CPU profile was running") {
		t.Errorf("got the problems %q; want the hole in the CPU profile", got)
	}
}

func TestHiddenValues(t *testing.T) {
	f := serveFixtures(t)
	id := strings.Repeat("ab", 16)
	trace := fixture(t, "case_i")
	trace["trace_id"], trace["values"] = id, false
	f.add(id, trace)
	f.span = map[string]any{"attributes": []any{map[string]any{"key": "http.route", "type": "string"}}}
	p := newTab(t, 1400, 900)
	p.open(f.trace(id)+"#span="+idOf(t, "case_i", 0), "#detail .attributes")
	if got := p.text("#detail"); !strings.Contains(got, "hidden from this reader") || strings.Contains(got, "undefined") {
		t.Errorf("got %q; want it said that values are hidden", got)
	}
}

func TestPendingTraceIsAskedForAgain(t *testing.T) {
	f := serveFixtures(t)
	id := strings.Repeat("cd", 16)
	trace := fixture(t, "case_ii_sampled")
	trace["trace_id"], trace["pending"] = id, true
	whole := fixture(t, "case_ii_sampled")
	whole["trace_id"] = id
	var asked atomic.Int64
	f.addFunc(id, func() any {
		if asked.Add(1) < 3 { // the page's status, then its first question for data
			return trace
		}
		return whole
	})
	p := newTab(t, 1400, 900)
	span := idOf(t, "case_ii_sampled", 1)
	p.open(f.trace(id)+"#span="+span, ".pending")
	p.awaitThat("the trace is complete", `!document.querySelector(".pending")`)
	p.await("#row-" + span + ".selected")
}

// TestManySpans shows that the page's size does not grow with the trace's.
func TestManySpans(t *testing.T) {
	f := serveFixtures(t)
	id := strings.Repeat("10", 16)
	f.add(id, manySpans(t, id, 10_000))
	p := newTab(t, 1400, 800)
	p.open(f.trace(id), ".waterfall .row")
	if got := count(p, "*"); got > 2500 {
		t.Errorf("got %d DOM nodes for 10k spans; want at most 2500", got)
	}
	p.run(chromedp.Evaluate[chromedp.Void]("scrollTo(0, document.documentElement.scrollHeight / 2)"))
	p.awaitThat("rows in the middle are drawn", `[...document.querySelectorAll(".row")].some((r) => r.ariaRowIndex > 4000 && r.getBoundingClientRect().top > 0)`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("waterfall").focus({ preventScroll: true })`), chromedp.KeyEvent(kb.End))
	p.awaitThat("the last row is selected and in sight above the details", `(() => {
		const row = document.querySelector(".row.selected")?.getBoundingClientRect();
		const dock = document.querySelector(".detail.docked")?.getBoundingClientRect();
		return row && dock && row.bottom <= dock.top + 1 && row.top > 0;
	})()`)
	p.open(f.trace(id)+"#span=0000000000000100", "#detail .icicle")
	p.awaitThat("the row that the address names is in sight above the details", `(() => {
		const row = document.querySelector(".row.selected")?.getBoundingClientRect();
		const dock = document.querySelector(".detail.docked")?.getBoundingClientRect();
		return row && dock && row.bottom <= dock.top + 1 && row.top > 0;
	})()`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("waterfall").focus({ preventScroll: true })`), chromedp.KeyEvent(kb.Home+kb.ArrowLeft))
	p.awaitThat("only the root is left", `document.querySelectorAll(".row").length === 1`)
}

func rowText(p *tab, span string) string {
	p.t.Helper()
	return strings.Join(strings.Fields(p.text("#row-"+span)), " ")
}

func count(p *tab, selector string) int {
	p.t.Helper()
	return eval[int](p, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// manySpans makes a trace of a root with n-1 children, every tenth of them a
// parent of the nine behind it.
func manySpans(t *testing.T, id string, n int) map[string]any {
	t.Helper()
	const step = 100_000
	trace := fixture(t, "case_ii_sampled")
	wall := int64(n) * step
	row := func(i int, parent string, depth, children int, start, wall int64) map[string]any {
		return map[string]any{
			"span_id": fmt.Sprintf("%016x", i+1), "parent_id": parent, "service": fmt.Sprintf("svc%d", i%3), "name": fmt.Sprintf("work %d", i),
			"kind": "internal", "status": "unset", "depth": depth, "children": children, "awaited": true, "local_root": i == 0,
			"start_ns": start, "wall_ns": wall, "self_ns": wall, "self": [][2]int64{{start, start + wall}},
			"evidence": "sampled", "samples": 0, "cpu_high_ns": wall, "states": map[string]int64{"unknown": wall},
			"state_evidence": map[string]string{"unknown": "none"}, "critical": [][2]int64{{start, start + wall}},
		}
	}
	root := row(0, "", 0, n/10, 0, wall)
	var holes [][2]int64 // the root's self time: what its children leave open
	rows := []any{root}
	for i := 1; i < n; i++ {
		group := (i - 1) / 10
		start := int64(i) * step
		if (i-1)%10 == 0 {
			rows = append(rows, row(i, "0000000000000001", 1, 9, start, 9*step))
			holes = append(holes, [2]int64{start + 9*step, start + 10*step})
		} else {
			rows = append(rows, row(i, fmt.Sprintf("%016x", group*10+2), 2, 0, start, step/2))
		}
	}
	root["self"] = holes
	trace["trace_id"], trace["spans"], trace["wall_ns"] = id, rows, wall
	return trace
}

func fixture(t *testing.T, name string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(readFixture(t, name), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
