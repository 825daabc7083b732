package e2e

import (
	"testing"

	"github.com/spanclock/spanclock/httpui/internal/sampletrace"
)

// TestPictures takes the pictures by which the look is judged; as a test it
// shows that every state of the trace page draws without trouble in both colour
// schemes and at both widths.
func TestPictures(t *testing.T) {
	s := serveStore(t)
	views := []struct{ name, url, ready string }{
		{"cart", s.span(sampletrace.Cart(), 4), "#detail .waits"},
		{"login", s.span(sampletrace.Login(), 1), "#detail .icicle"},
		{"login_sampled", s.span(sampletrace.LoginSampled(), 1), "#detail .icicle"},
		{"order", s.span(sampletrace.Order(), 7), "#detail .waits"},
		{"order_error", s.span(sampletrace.Order(), 6), "#detail .event"},
		{"order_zoomed", s.trace(sampletrace.Order()) + "#from=16000000&to=30000000&critical=1", ".waterfall.zoomed .bar"},
		{"order_operations", s.trace(sampletrace.Order()) + "#operations=1", ".by-operation td"},
		{"report", s.span(sampletrace.Report(), 1), "#detail .icicle"},
		{"hostile", s.span(sampletrace.Hostile(), 2), "#detail .attributes"},
	}
	sizes := []struct {
		name          string
		width, height int64
	}{{"wide", 1280, 800}, {"phone", 390, 844}}
	for _, size := range sizes {
		p := newTab(t, size.width, size.height)
		for _, v := range views {
			p.light()
			p.open("about:blank", "body")
			p.open(v.url, v.ready)
			p.shot(v.name + "_" + size.name + "_light")
			p.dark()
			p.shot(v.name + "_" + size.name + "_dark")
			if overflow := eval[float64](p, "document.documentElement.scrollWidth - innerWidth"); overflow > 0 {
				t.Errorf("%s at %d px is %v px wider than the window", v.name, size.width, overflow)
			}
		}
	}
}
