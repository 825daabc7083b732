package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

// What a key may change.
const (
	address = `location.href`
	focused = `document.activeElement.id + document.activeElement.className + (document.activeElement.name ?? "")`
	atLink  = `document.activeElement.href ?? ""`
	rows    = `document.querySelectorAll(".row").length`
	details = `document.getElementById("detail") !== null`
	handles = `[...document.querySelectorAll(".handle")].map((h) => h.ariaValueNow).join()`
	said    = `document.querySelector(".said")?.innerText`
	asked   = `performance.getEntriesByType("resource").filter((e) => e.name.includes("format=json")).length`
	dot     = `document.querySelector(".plot-line strong")?.innerText`
	box     = `document.querySelector(".flame-line")?.innerText`
	title   = `document.querySelector("h1")?.innerText`
)

// stroke is a key as the help writes it, and what it changes.
type stroke struct{ key, changes string }

// strokes are sequences of keys, by the view of keys.ts; each begins on a new page.
var strokes = map[string][][]stroke{
	"": {
		{{"g l", title}, {"g o", title}, {"g f", title}, {"g h", title}, {"g t", title}, {"?", `document.querySelector("dialog").open`}},
	},
	"list": {
		{{"j", atLink}, {"j", atLink}, {"k", atLink}, {"r", asked}, {"s", focused}, {"←", dot}, {"←", dot}, {"→", dot}, {"Esc", focused}, {"/", focused}},
		{{"j", atLink}, {"Enter", address}},
		{{"s", focused}, {"←", dot}, {"Enter", address}},
	},
	"trace": {
		{{"↓", address}, {"↓", address}, {"↑", address}, {"←", rows}, {"→", rows}, {"→", address}, {"←", address},
			{"End", address}, {"Home", address}, {"PageDown", address}, {"PageUp", address}, {"Enter", focused}, {"Esc", details}},
		{{"n", said}, {"n", said}, {"N", said}, {"c", rows}, {"c", rows}, {"E", rows}, {"e", rows},
			{"+", handles}, {"]", handles}, {"[", handles}, {"−", handles}, {"+", handles}, {"0", handles}, {"End", address}, {"z", handles},
			{"o", `document.querySelector(".by-operation") !== null`}, {"o", rows}, {"/", focused}},
	},
	"live":     {{{"p", `document.querySelector(".status-line button").innerText`}, {"p", `document.querySelector(".status-line button").innerText`}}},
	"overview": {{{"r", asked}}},
	"flame": {
		{{"↓", box}, {"→", box}, {"←", box}, {"↓", box}, {"↑", box}, {"Enter", `document.querySelector(".flame-line button")?.innerText`}, {"Esc", `document.querySelector(".flame-line button")?.innerText`}, {"/", focused}},
	},
}

// TestEveryKeyDoesSomething presses every key that keys.ts lists, where it lists it,
// and looks whether that which it is for has changed.
func TestEveryKeyDoesSomething(t *testing.T) {
	s := serveRunning(t, hostileSamples()...)
	at := s.URL + mount
	start := map[string]struct{ url, ready, focus string }{
		"":         {at, ".list tbody tr", ""},
		"list":     {at, ".plot canvas", ""},
		"trace":    {s.trace(sampletrace.Order()), ".waterfall .row .bar", "waterfall"},
		"live":     {at + "live", ".live tbody tr", ""},
		"overview": {at + "overview?last=all", ".operations tbody tr", ""},
		"flame":    {at + "flame?last=all", ".flame canvas", "flame"},
	}
	pressed := map[string]bool{}
	for view, sequences := range strokes {
		for i, sequence := range sequences {
			t.Run(fmt.Sprintf("%s %d", view, i), func(t *testing.T) {
				from := start[view]
				p := newTab(t, 1280, 900)
				p.open(from.url, from.ready)
				if from.focus != "" {
					p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector("#%[1]s, .%[1]s[tabindex]").focus({ preventScroll: true })`, from.focus)))
				}
				for _, k := range sequence {
					p.changes(k)
					pressed[view+" "+k.key] = true
				}
				p.harmless(view)
			})
		}
	}
	for _, listed := range listedKeys(t) {
		if !pressed[listed] {
			t.Errorf("keys.ts lists %q, which this test does not press", listed)
		}
	}
}

// changes presses a key and waits until what it is for is another.
func (p *tab) changes(k stroke) {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("globalThis.before = String(%s)", k.changes)))
	names := map[string]string{"↑": "ArrowUp", "↓": "ArrowDown", "←": "ArrowLeft", "→": "ArrowRight", "Esc": "Escape", "−": "-"}
	for key := range strings.FieldsSeq(k.key) {
		if name, ok := names[key]; ok {
			key = name
		}
		// As an event of the page: the protocol would type the character besides. A link is
		// then left to be followed.
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
			const at = document.activeElement;
			if (at.dispatchEvent(new KeyboardEvent("keydown", { key: %[1]q, bubbles: true, cancelable: true })) && %[1]q === "Enter" && at.href) at.click();
		})()`, key)))
	}
	p.awaitThat(fmt.Sprintf("the key %q has changed %s", k.key, k.changes), fmt.Sprintf("String(%s) !== globalThis.before", k.changes))
}

// listedKeys are the keys of keys.ts, each with its view.
func listedKeys(t *testing.T) (all []string) {
	t.Helper()
	source, err := os.ReadFile("../src/keys.ts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`\{ view: "(\w*)", key: "([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		if line[1] == "" { // "g t" is one key after the other
			all = append(all, " "+line[2])
			continue
		}
		for key := range strings.FieldsSeq(line[2]) {
			all = append(all, line[1]+" "+key)
		}
	}
	if len(all) < 40 {
		t.Fatalf("got %d keys of keys.ts; want at least 40", len(all))
	}
	return all
}
