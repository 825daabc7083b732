package spantest_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	. "github.com/spanclock/spanclock/spanstore/spantest"
)

func TestGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { record(t, checkout).Golden("checkout", "rows") })
}

// TestGoldenDifference changes the shape of a request: one call more, one less, and
// another attribute.
func TestGoldenDifference(t *testing.T) {
	if Updating() {
		t.Skip("golden files are being written")
	}
	synctest.Test(t, func(t *testing.T) {
		changed := checkout
		changed.steps = append(append([]step{}, checkout.steps[1:4]...), checkout.steps[3], step{name: "render", fails: "no template"}, checkout.steps[5])
		tb := &recordingTB{TB: t}
		Of(tb, record(t, changed).Trace).Golden("checkout")
		contains(t, tb.said(), "the trace's shape is not that of testdata", "(- want, + got; go test -update accepts it):",
			`      POST /checkout (server)
    -   redis.GET (client)
    -   SELECT orders (client) rows=3
    -   SELECT items (client) ×2
    -   render
    +   SELECT orders (client)
    +   SELECT items (client) ×3
        audit (not awaited)
    +   render failed
`, "spanclock view ")
	})
}

func TestGoldenMissing(t *testing.T) {
	if Updating() {
		t.Skip("golden files are being written")
	}
	tb := &recordingTB{TB: t}
	Of(tb, record(t, step{name: "root"}).Trace).Golden("missing")
	contains(t, tb.said(), "missing.outline", "go test -update writes it")
}

func TestGoldenWithLineEndsOfWindows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.outline")
	if err := os.WriteFile(file, []byte("root\r\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := record(t, step{name: "root"}).CompareGolden(file); err != nil {
		t.Error(err)
	}
}

// TestGoldenOrder: which of two goroutines comes first is chance in real time, and part of
// the shape under fake time.
func TestGoldenOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.outline")
	if err := os.WriteFile(file, []byte("root\n  a\n    c ×2\n  b\n  a\n    c ×2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	a, b := step{name: "a", takes: ms, steps: []step{{name: "c"}, {name: "c"}}}, step{name: "b", takes: ms}
	if err := record(t, step{name: "root", steps: []step{b, a, a}}).CompareGolden(file); err != nil {
		t.Errorf("another order in real time: got %v", err)
	}
	for _, other := range [][]step{{a, b}, {a, a, a, b}, {a, a, b, b}, {a, b, step{name: "a"}}} {
		if record(t, step{name: "root", steps: other}).CompareGolden(file) == nil {
			t.Errorf("got no difference of %v; want one", other)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if record(t, step{name: "root", steps: []step{b, a, a}}).CompareGolden(file) == nil {
			t.Error("another order in fake time: got no difference; want one")
		}
		if err := record(t, step{name: "root", steps: []step{a, b, a}}).CompareGolden(file); err != nil {
			t.Error(err)
		}
	})
}

// TestOutlineIsSafe: a name has one line, and moves no cursor.
func TestOutlineIsSafe(t *testing.T) {
	tr := record(t, step{name: "a\n\tb\x1b[31mé\u202e"})
	if got, want := tr.Outline(), `a\n\tb\x1b[31mé\u202e`+"\n"; got != want {
		t.Errorf("got outline %q; want %q", got, want)
	}
	tb := &recordingTB{TB: t}
	Of(tb, record(t, step{name: "root", fails: "no:\n\twhy"}).Trace).Expect(Root().Succeeds())
	contains(t, tb.said(), "    > root failed", `<- failed: no:\n\twhy`+"\n")
}

// TestOutlineOfParallel has siblings that run side by side: their order is chance,
// and not in the outline.
func TestOutlineOfParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := New(t)
		tracer := rec.Provider().Tracer("test")
		ctx, root := tracer.Start(t.Context(), "root")
		_, b := tracer.Start(ctx, "b")
		_, a := tracer.Start(ctx, "a")
		_, a2 := tracer.Start(ctx, "a")
		b.End()
		a.End()
		a2.End()
		root.End()
		if got, want := rec.Trace("root").Outline(), "root\n  a ×2\n  b\n"; got != want {
			t.Errorf("got outline %q; want %q", got, want)
		}
	})
}
