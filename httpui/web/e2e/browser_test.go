package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds whatever a test waits for in the browser. It is long because
// machines that run tests are slow; nothing waits for it when all is well.
const patience = 15 * time.Second

// chromium is the browser that all tests share, each with tabs of its own.
var chromium struct {
	once  sync.Once
	ctx   context.Context
	close func()
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.close != nil {
		chromium.close()
	}
	os.Exit(code)
}

// browser starts Chromium, or skips the test where there is none; with CI=true
// it fails instead.
func browser(t testing.TB) context.Context {
	t.Helper()
	path := findChromium()
	if path == "" {
		const missing = "no Chromium found: install the package chromium, or set CHROMIUM to its path"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	chromium.once.Do(func() { startChromium(path) })
	if chromium.err != nil {
		t.Fatalf("start %s: %v", path, chromium.err)
	}
	return chromium.ctx
}

func findChromium() string {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func startChromium(path string) {
	profile, err := os.MkdirTemp("", "spanclock-chromium-")
	if err != nil {
		chromium.err = err
		return
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.Headless,
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.UserDataDir(profile),
		chromedp.WSURLReadTimeout(patience),
	)
	ctx, cancel := chromedp.NewContext(alloc)
	chromium.ctx = ctx
	chromium.err = chromedp.Do(ctx)
	chromium.close = func() {
		cancel()
		stop()
		os.RemoveAll(profile)
	}
}

// tab is one page of the browser, watched for everything that should not happen.
type tab struct {
	t     testing.TB
	ctx   context.Context
	close func()

	mu       sync.Mutex
	troubles []string
	expected []string // texts of console errors that the test provokes
}

// watchCSP collects violations of the Content-Security-Policy in the page.
const watchCSP = `
	globalThis.cspViolations = [];
	document.addEventListener("securitypolicyviolation", (e) =>
		globalThis.cspViolations.push(e.effectiveDirective + " " + e.blockedURI + " " + e.sample + " " + e.sourceFile + ":" + e.lineNumber));
`

// newTab opens a tab of the given size. When the test ends, console errors,
// exceptions and policy violations that it did not expect fail it.
func newTab(t testing.TB, width, height int64) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser(t))
	p := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	p.close = sync.OnceFunc(func() {
		p.verify()
		cancel()
	})
	t.Cleanup(p.close)
	send(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1.3,
	})
	addScript(p, watchCSP)
	return p
}

// addScript runs a script before those of each page that the tab opens.
func addScript(p *tab, source string) {
	p.t.Helper()
	send(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
}

func (p *tab) listen(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.trouble("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		p.trouble("exception: %s", exceptionText(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, arg := range e.Args {
				words = append(words, string(arg.Value)+arg.Description)
			}
			p.trouble("console.%s: %s", e.Type, strings.Join(words, " "))
		}
	}
}

func exceptionText(e *runtime.ExceptionDetails) string {
	if e.Exception != nil && e.Exception.Description != "" {
		return e.Exception.Description
	}
	return e.Text
}

func (p *tab) trouble(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.troubles = append(p.troubles, fmt.Sprintf(format, args...))
}

// expect names a console error that the test provokes, such as the browser's
// own line about a fetch that was answered with 404.
func (p *tab) expect(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, text)
}

func (p *tab) verify() {
	p.t.Helper()
	p.noViolations()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, trouble := range p.troubles {
		if !slices.ContainsFunc(p.expected, func(s string) bool { return strings.Contains(trouble, s) }) {
			p.t.Errorf("the browser reported: %s", trouble)
		}
	}
}

// noViolations checks the page that is shown now; leaving a page forgets its
// violations, therefore open calls it too.
func (p *tab) noViolations() {
	p.t.Helper()
	violations, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](`globalThis.cspViolations ?? []`))
	if err != nil {
		p.t.Errorf("read the policy violations: %v", err)
	}
	for _, v := range violations {
		p.t.Errorf("Content-Security-Policy violated: %s", v)
	}
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// send gives the tab a command of the DevTools protocol.
func send[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	return value(p, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, command, params)
	})
}

// value runs an action that gives a value.
func value[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// open loads a URL and waits until selector is there.
func (p *tab) open(url, selector string) {
	p.t.Helper()
	p.noViolations()
	p.run(chromedp.Navigate(url))
	p.await(selector)
}

// await waits until an element matches selector.
func (p *tab) await(selector string) {
	p.t.Helper()
	p.awaitThat(fmt.Sprintf("an element matches %q", selector), fmt.Sprintf("document.querySelector(%q) !== null", selector))
}

// awaitThat waits until a JavaScript condition holds. One that throws does not
// hold yet: what it asks about may still come.
func (p *tab) awaitThat(what, condition string) {
	p.t.Helper()
	p.awaitFor(patience, what, condition)
}

// tell evaluates an expression whose page may go away meanwhile.
func (p *tab) tell(expression string) (string, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](expression))
}

// leftPage reports whether the browser went to another page before it could answer.
func leftPage(err error) bool {
	return strings.Contains(err.Error(), "navigated or closed") || strings.Contains(err.Error(), "context was destroyed") ||
		strings.Contains(err.Error(), "Cannot find context")
}

// awaitFor is awaitThat with another patience.
func (p *tab) awaitFor(most time.Duration, what, condition string) {
	p.t.Helper()
	check := fmt.Sprintf(`(() => { try { return (%s) ? "" : "it does not hold"; } catch (e) { return String(e); } })()`, condition)
	for end := time.Now().Add(most); ; time.Sleep(20 * time.Millisecond) {
		why, err := p.tell(check)
		switch {
		case err != nil && !leftPage(err):
			p.t.Fatal(err)
		case err != nil:
			why = err.Error()
		case why == "":
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("waited %v in vain until %s: %s; the page reads:\n%s", most, what, why, p.text("body"))
		}
	}
}

// eval evaluates JavaScript into a value of type T.
func eval[T any](p *tab, js string) T {
	p.t.Helper()
	return value(p, chromedp.Evaluate[T](js))
}

// text is the visible text of the first element that matches selector.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "").replaceAll("\u00a0", " ")`, selector))
}

// click presses the left button in the middle of the first element that matches,
// when that has stood still for a frame: what arrives late above it moves it.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.await(selector)
	p.awaitThat(fmt.Sprintf("%q stands still", selector), fmt.Sprintf(`(() => {
		const el = document.querySelector(%q);
		el?.scrollIntoViewIfNeeded();
		const now = el ? JSON.stringify(el.getBoundingClientRect()) : "";
		const still = globalThis.stoodAt === now;
		globalThis.stoodAt = now;
		return el && still;
	})()`, selector))
	p.run(chromedp.Click(chromedp.CSS(selector)))
}

// dark and light emulate the system's colour scheme.
func (p *tab) dark()  { p.t.Helper(); p.scheme("dark") }
func (p *tab) light() { p.t.Helper(); p.scheme("light") }

func (p *tab) scheme(value string) {
	p.t.Helper()
	send(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
}

// shot saves a picture of the window when SPANCLOCK_SCREENSHOTS names a directory.
func (p *tab) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("SPANCLOCK_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	png := value(p, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
