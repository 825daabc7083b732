package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

// looked is a state of a page: an address, what is there when it is ready, and
// what to do before it is looked at.
type looked struct {
	name, url, ready string
	then             func(*tab)
	expect           string // a line that the browser prints of an answer that is an error
}

// TestAccessible has axe-core look at every page, in both colour schemes, at a
// desktop's and a phone's width.
func TestAccessible(t *testing.T) {
	axe := readAxe(t)
	states := everyState(t)
	for _, size := range []struct{ width, height int64 }{{1280, 900}, {390, 844}} {
		t.Run(fmt.Sprint(size.width), func(t *testing.T) {
			for _, s := range states {
				t.Run(s.name, func(t *testing.T) {
					p := newTab(t, size.width, size.height)
					defer p.close()
					if s.expect != "" {
						p.expect(s.expect)
					}
					p.light()
					p.open(s.url, s.ready)
					if s.then != nil {
						s.then(p)
					}
					p.run(chromedp.Evaluate[chromedp.Void](axe))
					p.violates("light")
					p.dark()
					p.violates("dark")
				})
			}
		})
	}
}

// TestAxeFinds shows that what TestAccessible asks is answered.
func TestAxeFinds(t *testing.T) {
	p := newTab(t, 1280, 900)
	p.open(serveEmpty(t).URL+mount, ".notice")
	p.run(chromedp.Evaluate[chromedp.Void](readAxe(t)))
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".notice").append(document.createElement("button"))`))
	if got := p.violations(); len(got) != 1 || !strings.HasPrefix(got[0], "button-name") {
		t.Errorf("got %q of a button without a name; want one violation", got)
	}
}

// violates reports what axe-core finds wrong with the page that is shown.
func (p *tab) violates(scheme string) {
	p.t.Helper()
	for _, f := range p.violations() {
		p.t.Errorf("%s: %s", scheme, f)
	}
}

func (p *tab) violations() []string {
	p.t.Helper()
	// Style sheets are not fetched anew: what they do is in the page.
	return value(p, chromedp.Evaluate[[]string](`axe.run(document, { preload: false, resultTypes: ["violations"] }).then(({ violations }) =>
		violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary.replace(/\s+/g, " ") + " " + n.html.slice(0, 200))))`,
		chromedp.EvalAwaitPromise))
}

// readAxe reads axe-core, and checks that it is what SHA256SUMS says. The
// DevTools protocol hands it to the page, beside the policy for scripts.
func readAxe(t *testing.T) string {
	t.Helper()
	sums, err := os.ReadFile("testdata/axe/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	var axe string
	for line := range strings.Lines(string(sums)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		b, err := os.ReadFile(filepath.Join("testdata", "axe", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != want {
			t.Fatalf("%s has the SHA-256 %s; want %s", name, got, want)
		}
		if name == "axe.min.js" {
			axe = string(b)
		}
	}
	return axe
}

// everyState are all pages: with data and without, and with errors.
func everyState(t *testing.T) []looked {
	t.Helper()
	s, bare := serveRunning(t, hostileSamples()[:2]...), serveEmpty(t)
	at, order := s.URL+mount, s.trace(sampletrace.Order())
	file := filepath.Join(t.TempDir(), "trace.html")
	if out, err := exec.Command(buildCommand(t), "export", writeTrace(t), "-format", "html", "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("spanclock export: %v\n%s", err, out)
	}
	press := func(keys string) func(*tab) {
		return func(p *tab) {
			p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: %q, bubbles: true, cancelable: true }))`, keys)))
		}
	}
	return []looked{
		{name: "list", url: at, ready: ".list tbody tr"},
		{name: "list with choices", url: at, ready: ".list tbody tr", then: func(p *tab) {
			p.click(`input[name="q"]`)
			p.await(".choices li")
		}},
		{name: "list with a point of the plot", url: at, ready: ".plot canvas", then: func(p *tab) {
			press("s")(p)
			p.awaitThat("the plot has the focus", `document.activeElement.classList.contains("plot")`)
			p.key(kb.ArrowLeft)
		}},
		{name: "list that asks badly", url: at + "?q=name%3Dx+orders", ready: ".query-error", expect: "400 (Bad Request)"},
		{name: "list without a match", url: at + "?service=nobody", ready: ".notice"},
		{name: "keys", url: at, ready: ".list tbody tr", then: func(p *tab) {
			press("?")(p)
			p.await("dialog[open]")
		}},
		{name: "trace", url: order, ready: ".waterfall .row .bar"},
		{name: "trace with signals", url: s.span(sampletrace.Login(), 4), ready: "#detail .waits"},
		{name: "trace with samples", url: s.span(sampletrace.LoginSampled(), 1), ready: "#detail .icicle"},
		{name: "trace with an error", url: s.span(sampletrace.Order(), 6), ready: "#detail .event"},
		{name: "trace zoomed", url: order + "#from=16000000&to=30000000&critical=1", ready: ".waterfall.zoomed .bar"},
		{name: "operations of a trace", url: order + "#operations=1", ready: ".by-operation td"},
		{name: "trace of hostile spans", url: s.span(sampletrace.Hostile(), 2), ready: "#detail .attributes"},
		{name: "live", url: at + "live", ready: ".live .stack-button", then: func(p *tab) {
			p.key("p")
			p.click(".live .stack-button")
			p.await(".live-stack li")
		}},
		{name: "overview", url: at + "overview?last=all", ready: ".operations tbody tr", then: func(p *tab) {
			p.awaitThat("the charts are drawn", `document.querySelectorAll(".chart canvas").length === 2`)
			p.click(".charts + button")
			p.await(".steps tbody tr")
		}},
		{name: "graph", url: at + "graph?last=all", ready: ".calls tbody tr"},
		{name: "flame", url: at + "flame?last=all", ready: ".flame canvas", then: func(p *tab) {
			p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".flame").focus()`))
			p.key(kb.ArrowDown)
		}},
		{name: "health", url: at + "health", ready: ".card"},
		{name: "no such view", url: at + "nowhere", ready: ".notice", expect: "404 (Not Found)"},
		{name: "no such trace", url: at + "trace/" + strings.Repeat("e", 32), ready: ".notice", expect: "404 (Not Found)"},
		{name: "list without traces", url: bare.URL + mount, ready: ".notice"},
		{name: "live without a profiler", url: bare.URL + mount + "live", ready: ".notice"},
		{name: "overview without spans", url: bare.URL + mount + "overview", ready: "main section, main .notice"},
		{name: "graph without calls", url: bare.URL + mount + "graph", ready: "main p.dim"},
		{name: "flame without samples", url: bare.URL + mount + "flame", ready: "main section, main .notice"},
		{name: "health without a profiler", url: bare.URL + mount + "health", ready: ".card"},
		{name: "page in a file", url: "file://" + filepath.ToSlash(file), ready: ".waterfall .row"},
		{name: "page in a file, with a span", url: "file://" + filepath.ToSlash(file) + "#span=0000000000000002", ready: "#detail .attributes"},
	}
}
