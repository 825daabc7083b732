package spanstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// The directory vanishes under a running service and comes back: spans are
// dropped and counted, nothing blocks, and writing goes on by itself.
func TestDirectoryRemovedAndRestored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	g := spangen.New(1)
	export(t, s, g.Request(time.Now(), 5)...)
	flush(t, s)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	export(t, s, g.Request(time.Now(), 5)...)
	if err := s.Flush(ctx); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("flush without a directory: got %v; want that it does not exist", err)
	}
	begin := time.Now()
	for range 300 {
		var batch []tracetest.SpanStub
		for range 100 {
			batch = append(batch, g.Request(time.Now(), 5)...)
		}
		export(t, s, batch...)
	}
	st := s.Stats()
	if st.DroppedDisk == 0 || st.Accepted+st.DroppedDisk != 300*100*5+10 {
		t.Errorf("%d spans accepted, %d dropped; want some dropped, %d together", st.Accepted, st.DroppedDisk, 300*100*5+10)
	}
	if !strings.Contains(st.LastError, "no such file") {
		t.Errorf("Stats.LastError is %q", st.LastError)
	}
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("exporting to a store that fails took %v", d)
	}
	// What is in memory can still be read.
	if page, err := s.Traces(ctx, spanstore.Query{}); err != nil || len(page.Traces) == 0 {
		t.Errorf("list: got %d traces, %v", len(page.Traces), err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	last := g.Request(time.Now(), 5)
	export(t, s, last...)
	flush(t, s)
	wantSpans(t, s, last[0].SpanContext.TraceID(), last)
	if st := s.Stats(); st.LastError != "" {
		t.Errorf("after the directory came back LastError is %q", st.LastError)
	}
}

// A segment that is cut off while it is mapped must not kill the process.
func TestTruncatedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &spanstore.Options{MaxBytes: spanstore.MinMaxBytes})
	g := spangen.New(2)
	for s.Stats().Segments < 3 {
		for range 100 {
			export(t, s, g.Request(time.Now(), 5)...)
		}
		flush(t, s)
	}
	for _, path := range segments(t, dir) { // the sealed ones and the one that is written
		if err := os.Truncate(path, 8192); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range list(t, s, spanstore.Query{Limit: 50}) {
		if _, err := s.Trace(ctx, id); err != nil && !errors.Is(err, spanstore.ErrNotFound) {
			t.Fatal(err)
		}
	}
	var last []tracetest.SpanStub
	for range 20 {
		last = g.Request(time.Now(), 5)
		export(t, s, last...)
		_ = s.Flush(ctx) // may fail once for each segment that turns out to be damaged
	}
	flush(t, s)
	wantSpans(t, s, last[0].SpanContext.TraceID(), last)
}
