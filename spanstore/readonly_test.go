package spanstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

var readOnly = &spanstore.Options{ReadOnly: true}

// fillRing writes until the store has as many segments, and returns its traces in
// the order they came.
func fillRing(tb testing.TB, s *spanstore.Store, g *spangen.Gen, segments int) (traces [][]tracetest.SpanStub) {
	tb.Helper()
	for s.Stats().Segments < segments {
		for range 100 {
			stubs := g.Request(time.Now(), 5)
			export(tb, s, stubs...)
			traces = append(traces, stubs)
		}
		flush(tb, s)
	}
	return traces
}

func traceID(stubs []tracetest.SpanStub) trace.TraceID { return stubs[0].SpanContext.TraceID() }

func check(tb testing.TB, s *spanstore.Store) {
	tb.Helper()
	if err := s.Check(ctx); err != nil {
		tb.Errorf("check: %v", err)
	}
}

// snapshotDir returns the content of all files with their times.
func snapshotDir(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		fi, err := e.Info()
		if err != nil {
			tb.Fatal(err)
		}
		files[e.Name()] = fi.ModTime().String() + fi.Mode().String() + string(b)
	}
	return files
}

// A directory left behind reads the same without a writer, and stays as it is.
func TestReadOnlyOfADirectoryLeftBehind(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	g := spangen.New(1)
	traces := fillRing(t, s, g, 3)
	want := list(t, s, spanstore.Query{Limit: 1000})
	run := s.Stats().Run
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := snapshotDir(t, dir)

	r := open(t, dir, readOnly)
	check(t, r)
	got := list(t, r, spanstore.Query{Limit: 1000})
	if len(got) != len(want) {
		t.Fatalf("got %d traces; want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("trace %d is %s; want %s", i, got[i], want[i])
		}
	}
	for i := 0; i < len(traces); i += 50 {
		wantSpans(t, r, traceID(traces[i]), traces[i])
	}
	if runs, err := r.Runs(ctx); err != nil || len(runs) != 1 || runs[0].ID != run.ID {
		t.Errorf("runs: got %+v, %v", runs, err)
	}
	if err := r.ExportSpans(ctx, tracetest.SpanStubs(traces[0]).Snapshots()); !errors.Is(err, spanstore.ErrReadOnly) {
		t.Errorf("ExportSpans: got %v; want ErrReadOnly", err)
	}
	if err := r.AddUsage(ctx, spanstore.UsageBatch{Windows: make([]spanstore.Window, 1)}); !errors.Is(err, spanstore.ErrReadOnly) {
		t.Errorf("AddUsage: got %v; want ErrReadOnly", err)
	}
	r.Processor().OnEnd(traces[0][0].Snapshot())
	if st := r.Stats(); st.DroppedClosed != 6 || st.Accepted != 0 {
		t.Errorf("%d spans refused, %d accepted; want 6 and 0", st.DroppedClosed, st.Accepted)
	}
	if err := errors.Join(r.Flush(ctx), r.Refresh()); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Traces(ctx, spanstore.Query{}); !errors.Is(err, spanstore.ErrClosed) {
		t.Errorf("after Close: got %v; want ErrClosed", err)
	}
	after := snapshotDir(t, dir)
	if len(after) != len(before) {
		t.Errorf("there are %d files; there were %d", len(after), len(before))
	}
	for name, b := range before {
		if after[name] != b {
			t.Errorf("%s was changed", name)
		}
	}
}

// Beside a writer its sealed segments can be read, and neither notices the other.
func TestReadOnlyBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	g := spangen.New(2)
	traces := fillRing(t, w, g, 3)
	r := open(t, dir, readOnly)
	wantSpans(t, r, traceID(traces[0]), traces[0])
	if _, err := r.Trace(ctx, traceID(traces[len(traces)-1])); !errors.Is(err, spanstore.ErrNotFound) {
		t.Errorf("a trace of the segment that is written: got %v; want ErrNotFound", err)
	}
	held := r.Stats().Segments
	if held != 2 {
		t.Errorf("%d segments are seen; want the 2 that are sealed", held)
	}
	check(t, r)

	// The ring turns until what the reader saw is gone.
	for w.Stats().EvictedSegments < 4 {
		fillRing(t, w, g, 8)
		traces = append(traces, fillOnce(t, w, g)...)
	}
	if _, err := r.Trace(ctx, traceID(traces[len(traces)/50])); err != nil && !errors.Is(err, spanstore.ErrNotFound) {
		t.Errorf("an evicted trace: got %v; want it from the cache, or ErrNotFound", err)
	}
	page, err := r.Traces(ctx, spanstore.Query{})
	if err != nil || len(page.Problems) != 0 {
		t.Errorf("after all was evicted: got problems %q, %v", page.Problems, err)
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	if got, want := r.Stats().Segments, w.Stats().Segments-1; got != want {
		t.Errorf("after Refresh %d segments are seen; want %d", got, want)
	}
	if st := r.Stats(); st.DamagedSegments != 0 {
		t.Errorf("%d segments are damaged", st.DamagedSegments)
	}
	// Some of the first are kept.
	gone := slices.IndexFunc(traces, func(spans []tracetest.SpanStub) bool {
		_, err := r.Trace(ctx, traceID(spans))
		return errors.Is(err, spanstore.ErrNotFound)
	})
	if gone < 0 || gone > 20 {
		t.Fatalf("after Refresh the first trace that is not found is number %d; want one of the first", gone)
	}
	if e, ok := r.Evicted(traceID(traces[gone])); !ok || e.Why == "" {
		t.Errorf("the log of evictions: got %+v, %v", e, ok)
	}
	check(t, r)
	check(t, w)
}

func fillOnce(tb testing.TB, s *spanstore.Store, g *spangen.Gen) (traces [][]tracetest.SpanStub) {
	tb.Helper()
	for range 100 {
		stubs := g.Request(time.Now(), 5)
		export(tb, s, stubs...)
		traces = append(traces, stubs)
	}
	flush(tb, s)
	return traces
}

// A writer may come while a reader looks.
func TestReaderDoesNotStopAWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	g := spangen.New(3)
	first := fillOnce(t, s, g)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, readOnly)
	wantSpans(t, r, traceID(first[0]), first[0])
	w := open(t, dir, nil)
	second := fillOnce(t, w, g)
	wantSpans(t, w, traceID(first[0]), first[0])
	wantSpans(t, w, traceID(second[0]), second[0])
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantSpans(t, r, traceID(second[0]), second[0])
}

// What is damaged is left out, named, and left alone.
func TestReadOnlyNamesDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	traces := fillRing(t, s, spangen.New(4), 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	victim := segments(t, dir)[0]
	if err := os.Truncate(victim, 10000); err != nil {
		t.Fatal(err)
	}
	before := snapshotDir(t, dir)
	var log bytes.Buffer
	r := open(t, dir, &spanstore.Options{ReadOnly: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	page, err := r.Traces(ctx, spanstore.Query{})
	if err != nil || len(page.Traces) == 0 {
		t.Fatalf("got %d traces, %v; want those of the other segments", len(page.Traces), err)
	}
	if len(page.Problems) != 1 || !strings.Contains(page.Problems[0], filepath.Base(victim)) || !strings.Contains(log.String(), filepath.Base(victim)) {
		t.Errorf("problems %q, log %s; want both to name %s", page.Problems, log.String(), victim)
	}
	last := traces[len(traces)-1]
	if _, err := r.Trace(ctx, traceID(last)); err != nil {
		t.Error(err)
	}
	if after := snapshotDir(t, dir); len(after) != len(before) || after[filepath.Base(victim)] != before[filepath.Base(victim)] {
		t.Error("the directory was changed")
	}
}

func TestReadOnlyOpenErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if s, err := spanstore.Open(missing, readOnly); s != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is missing: got %v, %v; want fs.ErrNotExist", s, err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the directory was made")
	}
	if s, err := spanstore.Open("", readOnly); s != nil || err == nil {
		t.Errorf("in memory: got %v, %v; want an error", s, err)
	}
	empty := open(t, t.TempDir(), readOnly)
	if page, err := empty.Traces(ctx, spanstore.Query{}); err != nil || len(page.Traces) != 0 {
		t.Errorf("an empty directory: got %v, %v", page, err)
	}
}

// A reader that is held open through ten turns of the ring costs the writer
// nothing: the files stay within the budget, none that was removed is held, and
// what the reader gives is what was stored, or nothing.
func TestReaderHeldThroughTenWraps(t *testing.T) {
	dir := t.TempDir()
	s, g := open(t, dir, smallRing), newTraffic()
	first := failed(g.request("GET /first"))
	export(t, s, first...)
	g.wrap(t, s, 1)
	r := open(t, dir, readOnly)
	old := list(t, r, spanstore.Query{Limit: 1000})
	half, err := r.Traces(ctx, spanstore.Query{Limit: 100}) // and a page whose next one is asked for when it is gone
	if err != nil || half.Cursor == "" {
		t.Fatal(half, err)
	}
	begun := s.Stats().EvictedSegments
	for turn := range 10 {
		g.wrap(t, s, 1)
		if n := dirBytes(t, dir); n > smallRing.MaxBytes {
			t.Fatalf("turn %d: the files have %d bytes; the budget is %d", turn, n, smallRing.MaxBytes)
		}
		for _, id := range old[:100] { // which it may still have in its cache
			if tr, err := r.Trace(ctx, id); !errors.Is(err, spanstore.ErrNotFound) && (err != nil || len(tr.Spans) != 4) {
				t.Fatalf("turn %d: a trace of an evicted segment: got %+v, %v; want it whole or not at all", turn, tr, err)
			}
		}
		if p, err := r.Traces(ctx, spanstore.Query{Cursor: half.Cursor}); err != nil || len(p.Problems) > 0 {
			t.Fatalf("turn %d: the next page: %v, %q", turn, err, p.Problems)
		}
	}
	if n := s.Stats().EvictedSegments - begun; n < 80 {
		t.Errorf("only %d segments were evicted; want 80", n)
	}
	if names := removedButOpen(t, dir); len(names) > 0 {
		t.Errorf("these files are removed and still open: %q", names)
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantSpans(t, r, idOf(first), first) // which is kept
	young := list(t, r, spanstore.Query{Limit: 1000})
	if len(young) < 500 {
		t.Fatalf("after Refresh the reader has %d traces", len(young))
	}
	for _, id := range young[:100] {
		want, err := s.Trace(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Trace(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := spangen.Diff(got.Spans, want.Spans); diff != "" {
			t.Fatalf("trace %s: %s", id, diff)
		}
	}
}

// removedButOpen returns the files of a directory that this process has open
// although they are gone, where the system tells.
func removedButOpen(t *testing.T, dir string) (names []string) {
	const list = "/proc/self/fd"
	entries, _ := os.ReadDir(list)
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(list, e.Name())); err == nil && strings.HasPrefix(name, dir) && strings.HasSuffix(name, "(deleted)") {
			names = append(names, name)
		}
	}
	return names
}

// Pins are seen by a store that was opened for reading, as by the one that set
// them, and a later Refresh sees later ones.
func TestReadOnlySeesPins(t *testing.T) {
	dir := t.TempDir()
	s, g := open(t, dir, nil), spangen.New(1)
	one, two := g.Request(time.Now(), 3), g.Request(time.Now(), 3)
	export(t, s, append(one, two...)...)
	pin := func(s *spanstore.Store, stubs []tracetest.SpanStub) {
		t.Helper()
		if err := s.Pin(ctx, traceID(stubs)); err != nil {
			t.Fatal(err)
		}
	}
	pin(s, one)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, readOnly)
	want := func(stubs []tracetest.SpanStub, kept string) {
		t.Helper()
		tr, err := r.Trace(ctx, traceID(stubs))
		if err != nil {
			t.Fatal(err)
		}
		if tr.Kept != kept {
			t.Errorf("Trace.Kept is %q; want %q", tr.Kept, kept)
		}
	}
	want(one, "pinned")
	want(two, "")
	s = open(t, dir, nil)
	pin(s, two)
	if err := s.Unpin(ctx, traceID(one)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	want(one, "")
	want(two, "pinned")
}
