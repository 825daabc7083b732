package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

func press(p *tab, keys string) { p.t.Helper(); p.run(chromedp.KeyEvent(keys)) }

// reload loads the page anew, and waits until the old one is gone.
func reload(p *tab) {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void]("globalThis.old = true; location.reload()"))
	p.awaitThat("the page is a new one", "!globalThis.old")
}

func focusTree(p *tab) {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("waterfall").focus({ preventScroll: true })`))
}

func TestKeyboard(t *testing.T) {
	s, m := serveStore(t), sampletrace.Cart()
	p := newTab(t, 1400, 900)
	p.open(s.trace(m), ".waterfall .row")
	focusTree(p)
	selected := func(n int) {
		t.Helper()
		id := spanID(n)
		p.awaitThat("span "+id+" is selected", fmt.Sprintf(`location.hash === "#span=%[1]s" &&
			document.querySelector("#row-%[1]s")?.ariaSelected === "true" &&
			document.getElementById("waterfall").getAttribute("aria-activedescendant") === "row-%[1]s"`, id))
	}

	press(p, kb.ArrowDown)
	selected(1)
	press(p, kb.ArrowDown)
	press(p, kb.ArrowDown)
	selected(3)
	press(p, kb.ArrowLeft) // collapses cart.Load
	p.awaitThat("redis.GET is hidden", fmt.Sprintf(`!document.getElementById("row-%s")`, spanID(4)))
	if got := eval[string](p, fmt.Sprintf(`document.getElementById("row-%s").ariaExpanded`, spanID(3))); got != "false" {
		t.Errorf("got aria-expanded %q of the collapsed row; want false", got)
	}
	press(p, kb.ArrowDown)
	selected(5)
	press(p, kb.ArrowLeft) // a leaf: to its parent
	selected(1)
	press(p, kb.End)
	selected(6)
	press(p, kb.Home)
	selected(1)
	press(p, kb.PageDown)
	selected(6)
	press(p, kb.PageUp)
	selected(1)
	press(p, kb.Enter)
	p.awaitThat("the details have the focus", `document.activeElement?.id === "detail"`)
	press(p, kb.Escape)
	p.awaitThat("the details are closed, the waterfall has the focus", `!document.getElementById("detail") && document.activeElement?.id === "waterfall"`)
	press(p, "E")
	p.awaitThat("all but the top rows are collapsed", fmt.Sprintf(`!document.getElementById("row-%s") && document.getElementById("row-%s")`, spanID(4), spanID(3)))
	press(p, "e")
	p.await("#row-" + spanID(4))
	press(p, "?")
	p.awaitThat("the keys are explained", `document.querySelector("dialog.keys").open`)
	press(p, "o") // belongs to nobody while the dialog is open
	press(p, kb.Escape)
	p.awaitThat("the dialog is closed", `!document.querySelector("dialog.keys").open && !document.querySelector(".by-operation")`)
}

func TestFilterKeepsWhatLeadsToMatches(t *testing.T) {
	s, m := serveStore(t), sampletrace.Order()
	p := newTab(t, 1400, 900)
	p.open(s.trace(m), ".waterfall .row")
	shown := func(what string, rows ...int) {
		t.Helper()
		ids := make([]string, len(rows))
		for i, n := range rows {
			ids[i] = "row-" + spanID(n)
		}
		p.awaitThat(what, fmt.Sprintf(`[...document.querySelectorAll(".row")].map((r) => r.id).sort().join() === %q`, strings.Join(ids, ",")))
	}
	// The protocol sends the character besides the key, whatever becomes of the key.
	p.run(chromedp.Evaluate[chromedp.Void](`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true, cancelable: true }))`))
	p.awaitThat("the filter has the focus", `document.activeElement?.id === "find"`)
	press(p, "commit")
	shown("COMMIT and what leads to it are shown", 1, 3, 5)
	if got := count(p, ".row.leads"); got != 2 {
		t.Errorf("got %d rows that only lead to a match; want 2", got)
	}
	if got := p.text(".matches"); got != "1 of 7 spans" {
		t.Errorf("the toolbar says %q; want 1 of 7 spans", got)
	}
	press(p, kb.Enter)
	p.awaitThat("the tree has the focus", `document.activeElement?.id === "waterfall"`)
	p.awaitThat("the filter is in the address", `location.hash.includes("find=commit")`)
	reload(p)
	shown("the filter has come back with the address", 1, 3, 5)

	press(p, kb.Escape)
	shown("all are shown", 1, 2, 3, 4, 5, 6, 7)
	press(p, "c")
	shown("only the critical path is shown", 1, 2, 3, 4, 5, 7)
	press(p, "c")
	p.click(".toolbar .check:nth-of-type(4) input")
	shown("only the error is shown", 1, 6)
	p.click(".toolbar .check:nth-of-type(4) input")
	p.click(".least input")
	press(p, "20ms")
	shown("only what took 20 ms is shown", 1, 6, 7)
	press(p, "x")
	p.awaitThat("what is no duration is marked", `document.querySelector(".least input").ariaInvalid === "true"`)
	press(p, kb.Backspace+kb.Backspace+kb.Backspace+kb.Backspace+kb.Backspace)
	shown("all are shown again", 1, 2, 3, 4, 5, 6, 7)
	press(p, kb.Tab)
}

func TestNextStall(t *testing.T) {
	s, m := serveStore(t), sampletrace.Order()
	p := newTab(t, 1400, 900)
	p.open(s.trace(m), ".waterfall .row")
	for _, want := range []struct {
		key  string
		span int
		says string
	}{
		{"n", 1, "stall 1 of 5: POST /orders, blocked on a lock 2.2 ms"}, {"n", 4, "stall 2 of 5: pg.query, network wait 4.7 ms"},
		{"n", 5, "stall 3"}, {"n", 7, "stall 4 of 5: redis.SET, blocked on a lock 6.6 ms"}, {"n", 7, "stall 5 of 5: redis.SET, network wait 17.5 ms"},
		{"n", 1, "stall 1 of 5"}, {"N", 7, "stall 5 of 5"}, {"N", 7, "stall 4 of 5"},
	} {
		press(p, want.key)
		p.awaitThat(fmt.Sprintf("%s shows %s", want.key, want.says), fmt.Sprintf(`document.querySelector(".said").innerText.replaceAll("\u00a0", " ").startsWith(%q)`, want.says))
		p.await("#row-" + spanID(want.span) + ".selected")
	}
	p.click(`button[aria-label^="Next stall"]`)
	p.awaitThat("the button goes on", `document.querySelector(".said").innerText.startsWith("stall 5 of 5")`)
}

// domain reads what the time line shows, in milliseconds.
func domain(p *tab) (from, to float64) {
	p.t.Helper()
	d := eval[[2]float64](p, `[...document.querySelectorAll(".handle")].map((h) => h.ariaValueNow / 1000)`)
	return d[0], d[1]
}

func shows(p *tab, what string, from, to float64) {
	p.t.Helper()
	p.awaitThat(fmt.Sprintf("%s: %v to %v ms are shown", what, from, to), fmt.Sprintf(`(() => {
		const [from, to] = [...document.querySelectorAll(".handle")].map((h) => h.ariaValueNow / 1000);
		return Math.abs(from - %v) < 0.6 && Math.abs(to - %v) < 0.6;
	})()`, from, to))
}

// TestZoom goes through the ways to choose what is shown. The trace has 44.2 ms.
func TestZoom(t *testing.T) {
	s, m := serveStore(t), sampletrace.Order()
	p := newTab(t, 1400, 900)
	p.open(s.trace(m), ".waterfall .row .bar")
	shows(p, "at first", 0, 44.2)
	press(p, "+")
	shows(p, "+", 11.05, 33.15)
	press(p, "]")
	shows(p, "]", 16.57, 38.67)
	press(p, "[[")
	shows(p, "[ twice", 5.52, 27.62)
	p.awaitThat("the view is in the address", `location.hash.includes("from=")`)
	reload(p)
	p.await(".waterfall.zoomed")
	shows(p, "after a reload", 5.52, 27.62)
	press(p, "-")
	shows(p, "−", 0, 44.2)
	press(p, "0")
	if got := count(p, ".waterfall.zoomed"); got != 0 {
		t.Error("the waterfall is still zoomed after 0")
	}
	p.click("#row-" + spanID(3) + " .name a")
	press(p, "z")
	shows(p, "z on pg.tx", 4.71, 18.49)
	if got := count(p, "#row-"+spanID(7)+" .bar"); got == 0 {
		t.Error("redis.SET, which begins in the shown time, has no bar")
	}
	press(p, "0")

	lane := eval[struct{ X, Y, Width float64 }](p, fmt.Sprintf(`(() => {
		const r = document.querySelector("#row-%s .lane").getBoundingClientRect();
		return { X: r.left, Y: r.top + r.height / 2, Width: r.width };
	})()`, spanID(2)))
	mouse := func(kind input.DispatchMouseEventType, x, y float64, change func(*input.DispatchMouseEventParams)) {
		t.Helper()
		e := input.DispatchMouseEventParams{Type: kind, X: x, Y: y}
		if change != nil {
			change(&e)
		}
		send(p, input.DispatchMouseEvent, e)
	}
	drag := func(x0, x1, y float64) {
		t.Helper()
		held := func(e *input.DispatchMouseEventParams) {
			e.Button, e.Buttons, e.ClickCount = input.MouseButtonLeft, 1, 1
		}
		mouse(input.DispatchMouseEventTypeMousePressed, x0, y, held)
		mouse(input.DispatchMouseEventTypeMouseMoved, (x0+x1)/2, y, held)
		mouse(input.DispatchMouseEventTypeMouseMoved, x1, y, held)
		mouse(input.DispatchMouseEventTypeMouseReleased, x1, y, held)
	}
	mouse(input.DispatchMouseEventTypeMouseWheel, lane.X+lane.Width/2, lane.Y, func(e *input.DispatchMouseEventParams) {
		e.DeltaX, e.DeltaY, e.Modifiers = 1e-9, -69.3147/2, 2 // Ctrl; e^-0.3466 is 1/√2
	})
	p.await(".waterfall.zoomed")
	from, to := domain(p)
	if middle, length := (from+to)/2, to-from; middle < 21.5 || middle > 22.7 || length > 40 {
		t.Errorf("Ctrl and the wheel show %v to %v; want less, around 22.1", from, to)
	}
	drag(lane.X+lane.Width/2, lane.X+lane.Width/2+80, lane.Y)
	p.awaitThat("dragging has moved what is shown", fmt.Sprintf(`document.querySelector(".handle").ariaValueNow / 1000 < %v`, from-1))
	if got := eval[string](p, `document.querySelector(".row.selected")?.id ?? ""`); got != "row-"+spanID(3) {
		t.Errorf("dragging has selected %q", got)
	}
	press(p, "0")

	mini := eval[struct{ X, Y, Width float64 }](p, `(() => {
		const r = document.querySelector(".minimap").getBoundingClientRect();
		return { X: r.left, Y: r.top + r.height / 2, Width: r.width };
	})()`)
	drag(mini.X+mini.Width/4, mini.X+mini.Width/2, mini.Y)
	shows(p, "a stretch chosen in the strip", 11.05, 22.1)
	drag(mini.X+mini.Width*3/8, mini.X+mini.Width*5/8, mini.Y)
	shows(p, "its window moved", 22.1, 33.15)
	drag(mini.X+mini.Width*3/4, mini.X+mini.Width, mini.Y)
	shows(p, "its end moved", 22.1, 44.2)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".handle").focus()`))
	press(p, kb.ArrowRight)
	shows(p, "its start moved by a key", 23.2, 44.2)
	press(p, kb.Home)
	shows(p, "its start at the beginning", 0, 44.2)
}

func ptr[T any](v T) *T { return &v }

// TestPinch zooms with two fingers and moves with one.
func TestPinch(t *testing.T) {
	s, m := serveStore(t), sampletrace.Order()
	p := newTab(t, 390, 844)
	p.open(s.trace(m), ".waterfall .row .bar")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".waterfall").scrollIntoView()`))
	lane := eval[struct{ X, Y, Width float64 }](p, fmt.Sprintf(`(() => {
		const r = document.querySelector("#row-%s .lane").getBoundingClientRect();
		return { X: r.left, Y: r.top + r.height / 2, Width: r.width };
	})()`, spanID(2)))
	touch := func(kind input.DispatchTouchEventType, xs ...float64) {
		t.Helper()
		points := []*input.TouchPoint{}
		for i, x := range xs {
			points = append(points, &input.TouchPoint{X: x, Y: lane.Y, ID: ptr(float64(i))})
		}
		send(p, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: points})
	}
	middle := lane.X + lane.Width/2
	touch(input.DispatchTouchEventTypeTouchStart, middle-30, middle+30)
	touch(input.DispatchTouchEventTypeTouchMove, middle-45, middle+45)
	touch(input.DispatchTouchEventTypeTouchMove, middle-60, middle+60)
	touch(input.DispatchTouchEventTypeTouchEnd)
	p.await(".waterfall.zoomed")
	from, to := domain(p)
	if length, center := to-from, (from+to)/2; length < 18 || length > 28 || center < 19 || center > 25 {
		t.Errorf("two fingers twice as far apart show %v to %v; want half of it, around 22.1", from, to)
	}
	touch(input.DispatchTouchEventTypeTouchStart, middle)
	touch(input.DispatchTouchEventTypeTouchMove, middle+20)
	touch(input.DispatchTouchEventTypeTouchMove, middle+60)
	touch(input.DispatchTouchEventTypeTouchEnd)
	p.awaitThat("one finger has moved what is shown", fmt.Sprintf(`document.querySelector(".handle").ariaValueNow / 1000 < %v`, from-1))
}

func TestOperations(t *testing.T) {
	m := sampletrace.Large(largeID(1000), 1000)
	s := serveStore(t, m)
	p := newTab(t, 1400, 900)
	p.open(s.trace(m), ".waterfall .row")
	press(p, "o")
	p.await(".by-operation td")
	p.awaitThat("the percentiles are there", `/ µs$| ms$/.test(document.querySelector(".by-operation tbody tr td:last-child").innerText.replaceAll("\u00a0", " "))`)
	first := strings.Fields(p.text(".by-operation tbody tr th"))
	p.click(`.by-operation thead th:nth-of-type(2) button`)
	p.awaitThat("it is sorted by count", `document.querySelector(".by-operation th[aria-sort]").innerText.startsWith("Count")`)
	if got := strings.Fields(p.text(".by-operation tbody tr th")); len(first) == 0 || len(got) == 0 {
		t.Errorf("got the first operations %q and %q", first, got)
	}
	p.click(`.by-operation tbody button`)
	p.awaitThat("the waterfall has the operation's spans", `document.querySelector(".waterfall .row") && document.getElementById("find").value !== ""`)
}
