package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
	"github.com/spanclock/spanclock/spanstore"
)

// hostile is what spans may carry into a page or a file. A script of theirs that
// runs sets owned.
var hostile = []string{
	`</script><script>owned=1</script>`,
	`"><img src=x onerror="owned=1">`,
	`javascript:owned=1//'"<svg onload=owned=1>`,
	"<!--<script>{{base}}${owned=1}",
	"\u202eright to left\u2066 and \u200fon",
	"control \x00\x1b[2J\x07\u2028 characters",
	"broken \xff\xfe UTF-8 \xc3",
	strings.Repeat("<b>long</b> ", 1<<20/12),
}

// shown is how a page has a text: each byte that is no UTF-8 is replaced.
func shown(s string) string { return string([]rune(s)) }

// hostileSamples are traces of a minute ago in which every text is one of hostile: a
// request that another service sent, which fails, with a child.
func hostileSamples() (all []*sampletrace.Sample) {
	for i, text := range hostile {
		id := trace.TraceID{0xba, byte(i + 1)}
		start := time.Now().Add(-time.Minute + time.Duration(i)*time.Second).UTC()
		attributes := []attribute.KeyValue{attribute.String(text, text), attribute.String("db.query.text", text), attribute.StringSlice("list", []string{text, text})}
		context := func(n int, remote bool) trace.SpanContext {
			return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: sampletrace.SpanID(100*(i+1) + n), TraceFlags: trace.FlagsSampled, Remote: remote})
		}
		span := func(n, parent int, kind trace.SpanKind, service string) tracetest.SpanStub {
			s := tracetest.SpanStub{
				Name: text, SpanContext: context(n, false), SpanKind: kind, StartTime: start.Add(time.Duration(n) * time.Millisecond), EndTime: start.Add(time.Duration(90-n) * time.Millisecond),
				Attributes: attributes, Status: sdktrace.Status{Code: codes.Error, Description: text},
				Events:               []sdktrace.Event{{Name: text, Time: start.Add(10 * time.Millisecond), Attributes: attributes}},
				Links:                []sdktrace.Link{{SpanContext: context(1, false), Attributes: attributes}},
				Resource:             resource.NewSchemaless(attribute.String("service.name", service), attribute.String(text, text)),
				InstrumentationScope: instrumentation.Scope{Name: text, Version: text},
			}
			if parent > 0 {
				s.Parent = context(parent, kind == trace.SpanKindServer)
			}
			return s
		}
		frames := []spanstore.Frame{{Func: text, File: text, Line: 1}}
		segments := []spanstore.StateSegment{{To: 20 * time.Millisecond, State: "cpu", Wait: -1}, {From: 20 * time.Millisecond, To: 80 * time.Millisecond, State: "lock", Wait: 0}}
		m := &sampletrace.Sample{
			ID:    id,
			Spans: tracetest.SpanStubs{span(1, 0, trace.SpanKindServer, "gateway"), span(2, 1, trace.SpanKindClient, "gateway"), span(3, 2, trace.SpanKindServer, text)},
		}
		m.Usage.Windows = []spanstore.Window{
			{Start: start.Add(-time.Second), End: start.Add(500 * time.Millisecond), Period: 10 * time.Millisecond},
			{Start: start.Add(500 * time.Millisecond), End: start.Add(time.Second), Hole: text},
		}
		m.Usage.Spans = []spanstore.Usage{
			{TraceID: id, SpanID: sampletrace.SpanID(100*(i+1) + 1), Samples: 5, CPU: 50 * time.Millisecond, Stacks: []spanstore.Stack{{Samples: 5, Frames: frames}}},
			{TraceID: id, SpanID: sampletrace.SpanID(100*(i+1) + 3), Exact: &spanstore.Exact{
				Start: start.Add(3 * time.Millisecond), End: start.Add(83 * time.Millisecond), Goroutines: 1, Running: 20 * time.Millisecond, Segments: segments,
				Waits: []spanstore.Wait{{State: "lock", Stack: frames, Waker: frames}}}},
		}
		all = append(all, m)
	}
	return all
}

// harmless checks that a page has span data only as text: nothing of it has run or
// become an element, it turns no text around it, and makes the page no wider.
func (p *tab) harmless(what string) {
	p.t.Helper()
	p.noViolations()
	if !eval[bool](p, `globalThis.owned === undefined && document.title !== "owned"`) {
		p.t.Errorf("%s: a script of a span has run", what)
	}
	made := eval[[]string](p, `[...document.querySelectorAll("main :is(script, img, iframe, object, embed, b, form[action], base, meta, link), main [onerror], main [onload], main [href^='javascript:' i]")].map((e) => e.outerHTML.slice(0, 200))`)
	for _, m := range made {
		p.t.Errorf("%s: an element is made of span data: %s", what, m)
	}
	if overflow := eval[float64](p, "document.documentElement.scrollWidth - innerWidth"); overflow > 0 {
		p.t.Errorf("%s is %v px wider than the window", what, overflow)
	}
	for _, m := range eval[[]string](p, turned) {
		p.t.Errorf("%s: a text may turn what is around it: %s", what, m)
	}
}

// turned finds texts with characters that change the direction, which something
// else follows in the same paragraph: such a text must be isolated.
const turned = `(() => {
	const found = [];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		if (!/[\u202a-\u202e\u2066-\u2069\u200e\u200f]/.test(texts.currentNode.data)) continue;
		let el = texts.currentNode.parentElement;
		if (!el.checkVisibility()) continue;
		const alone = el.textContent.trim() === texts.currentNode.data.trim();
		const style = getComputedStyle(el);
		if (alone && (/isolate|plaintext/.test(style.unicodeBidi) || !/^inline$|contents/.test(style.display))) continue;
		found.push(el.outerHTML.slice(0, 300));
	}
	return found;
})()`

// has checks that the page has each of these texts.
func (p *tab) has(what string, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		want, err := json.Marshal(shown(text))
		if err != nil {
			p.t.Fatal(err)
		}
		if !eval[bool](p, fmt.Sprintf(`document.body.textContent.includes(%s)`, want)) {
			p.t.Errorf("%s lacks the text %.80q", what, text)
		}
	}
}

// short are those that need not be cut.
func short() []string { return hostile[:len(hostile)-1] }

// TestHostileOnEveryPage looks at every page of a store and a process in which all
// texts are hostile.
func TestHostileOnEveryPage(t *testing.T) {
	s := serveRunning(t, hostileSamples()...)
	for _, text := range hostile {
		s.inFlight(t, text, text, text)
	}
	at := s.URL + mount
	for _, v := range []struct {
		name, path, ready string
		has               []string
	}{
		{"list", "?last=5m", ".list tbody tr", short()},
		{"list of entry spans", "?on=entry&last=5m", ".list tbody tr", short()},
		{"live", "live", ".live tbody tr", short()},
		{"overview", "overview", ".operations tbody tr", nil},
		{"graph", "graph", ".calls tbody tr", short()},
		{"flame", "flame?last=5m", ".flame-table tbody tr", nil},
		{"health", "health", ".card", nil},
		{"not found", "%3Cscript%3Eowned=1%3C%2Fscript%3E/%E2%80%AEx", ".notice", nil},
		{"a bad query", "?q=name%3Dx+%3Cscript%3Eowned=1%3C%2Fscript%3E", ".query-error", nil},
	} {
		t.Run(v.name, func(t *testing.T) {
			for _, width := range []int64{1280, 390} {
				p := newTab(t, width, 900)
				p.expect("404 (Not Found)")
				p.expect("400 (Bad Request)")
				p.open(at+v.path, v.ready)
				p.has(v.name, v.has...)
				p.harmless(v.name)
				p.shot(fmt.Sprintf("hostile_%s_%d", strings.ReplaceAll(v.name, " ", "_"), width))
				p.close()
			}
		})
	}
	t.Run("completion", func(t *testing.T) { hostileCompletion(newTab(t, 1280, 900), at) })
	t.Run("plot", func(t *testing.T) { hostilePlot(newTab(t, 1280, 900), at) })
	t.Run("live stacks", func(t *testing.T) {
		p := newTab(t, 1280, 900)
		p.open(at+"live", ".live .stack-button")
		p.key("p")
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".live .stack-button").forEach((b) => b.click())`))
		p.await(".live-stack li")
		p.harmless("live stacks")
	})
	for i, text := range hostile {
		t.Run(fmt.Sprintf("trace %d", i), func(t *testing.T) { hostileTrace(newTab(t, 1280, 900), s, i, text) })
	}
}

func hostileCompletion(p *tab, list string) {
	p.open(list+"?last=5m", ".list tbody tr")
	for _, typed := range []string{"service=", "name=", "has:"} {
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
			const q = document.querySelector('input[name="q"]');
			q.focus();
			q.value = %q;
			q.setSelectionRange(q.value.length, q.value.length);
			q.dispatchEvent(new InputEvent("input", { bubbles: true }));
		})()`, typed)))
		p.awaitThat("there is something to choose from", `document.querySelector(".choices li")`)
		p.harmless("completion of " + typed)
	}
}

// hostilePlot goes through the dots of the plot: each names its trace.
func hostilePlot(p *tab, list string) {
	p.open(list+"?last=5m", ".plot canvas")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".plot").focus()`))
	named := map[string]bool{}
	for range 2 * len(hostile) { // each is in a trace that is over, and in one in flight
		p.run(chromedp.Evaluate[chromedp.Void](`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true, cancelable: true }))`))
		p.awaitThat("a trace is named", `document.querySelector(".plot-line strong")`)
		p.harmless("plot")
		named[eval[string](p, `document.querySelector(".plot-line strong").textContent`)] = true
	}
	for _, text := range short() {
		if !named[shown(text)] {
			p.t.Errorf("of %d names in the plot none is %q", len(named), text)
		}
	}
}

// hostileTrace looks at a trace, at all that it shows of its spans, and at its files.
func hostileTrace(p *tab, s *site, i int, text string) {
	m := hostileSamples()[i]
	cut := i == len(hostile)-1
	for n := 1; n <= 3; n++ {
		p.open("about:blank", "body")
		p.open(s.span(m, 100*(i+1)+n), "#detail .attributes")
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#detail details:not([open]) > summary").forEach((d) => d.click())`))
		p.await("#detail .raw pre")
		if !cut {
			p.has("the trace", text)
		}
		p.harmless(fmt.Sprintf("span %d", n))
	}
	p.shot(fmt.Sprintf("hostile_trace_%d", i))
	p.open("about:blank", "body")
	p.open(s.trace(m)+"#operations=1", ".by-operation td")
	p.harmless("operations")
	hostileDownloads(p, s, m, 100*(i+1)+3, text)
}

// hostileDownloads asks for every file in the browser, reads each as what it is, and opens the
// page from the disk.
func hostileDownloads(p *tab, s *site, m *sampletrace.Sample, n int, text string) {
	p.open("about:blank", "body")
	p.open(s.trace(m), ".formats a[download]")
	// What is no UTF-8 is replaced byte by byte, or, by some libraries, run by run.
	want, err := json.Marshal([]string{shown(text), strings.ToValidUTF8(text, "\uFFFD")})
	if err != nil {
		p.t.Fatal(err)
	}
	// A string of the file is one of the span, whole or, of what is long, its beginning.
	answers := value(p, chromedp.Evaluate[map[string]string](fmt.Sprintf(`(async () => {
		const wants = %s.map((w) => w.slice(0, 200)), said = {};
		const is = (s) => wants.some((w) => s.includes(w));
		const has = (v) => typeof v === "string" ? is(v) : v !== null && typeof v === "object" && Object.entries(v).some(([k, v]) => is(k) || has(v));
		for (const a of document.querySelectorAll(".formats a[download]")) {
			const as = new URL(a.href).searchParams.get("as");
			const answer = await fetch(a.href);
			try {
				if (as === "html") said[as] = await answer.text();
				else if (as === "pprof") said[as] = is(await new Response(answer.body.pipeThrough(new DecompressionStream("gzip"))).text()) ? "" : "the text is not there";
				else {
					const body = await answer.text();
					said[as] = /[<>\u2028]/.test(body) ? "there is markup" : has(JSON.parse(body)) ? "" : "the text is not there";
				}
			} catch (e) { said[as] = String(e); }
		}
		return said;
	})()`, want), chromedp.EvalAwaitPromise))
	if len(answers) != 5 {
		p.t.Errorf("got %d downloads; want 5", len(answers))
	}
	file := filepath.Join(p.t.(*testing.T).TempDir(), "trace.html")
	for as, said := range answers {
		if as == "html" {
			if err := os.WriteFile(file, []byte(said), 0o600); err != nil {
				p.t.Fatal(err)
			}
		} else if said != "" {
			p.t.Errorf("download as %s: %s", as, said)
		}
	}
	p.open("about:blank", "body")
	p.open("file://"+filepath.ToSlash(file)+"#span="+spanID(n), "#detail .attributes")
	if len(text) < 1000 {
		p.has("the page in a file", text)
	}
	p.harmless("the page in a file")
}
