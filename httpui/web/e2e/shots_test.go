package e2e

import "testing"

// TestPictures takes the pictures by which the look is judged; as a test it
// shows that every view draws without trouble in both colour schemes and at
// both widths.
func TestPictures(t *testing.T) {
	f := serveFixtures(t)
	views := []struct{ name, url, ready string }{
		{"list", f.list(), ".list tbody tr"},
		{"case_i", f.caseI() + "#span=" + idOf(t, "case_i", 3), ".icicle"},
		{"case_ii", f.caseII() + "#span=" + idOf(t, "case_ii", 0), ".icicle"},
		{"case_ii_sampled", f.caseIISampled() + "#span=" + idOf(t, "case_ii_sampled", 0), ".icicle"},
		{"case_iii", f.caseIII() + "#span=" + idOf(t, "case_iii", 6), ".icicle"},
		{"hostile", f.hostile() + "#span=" + idOf(t, "hostile", 1), ".icicle"},
	}
	sizes := []struct {
		name          string
		width, height int64
	}{{"wide", 1568, 784}, {"phone", 390, 844}}
	for _, size := range sizes {
		p := newTab(t, size.width, size.height)
		for _, v := range views {
			p.light()
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
