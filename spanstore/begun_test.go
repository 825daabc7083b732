package spanstore

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// A kill at any moment of a segment's first commit, in which bbolt makes the file
// longer before it writes, leaves no damage.
func TestKillWhileASegmentIsBegun(t *testing.T) {
	begun := filepath.Join(t.TempDir(), "begun")
	db, err := bbolt.Open(begun, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, PageSize: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(begun)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": {}, "as bbolt begins": b, "made longer": append(b[:len(b):len(b)], make([]byte, 20*pageSize)...),
		"pages written": append(b[:len(b):len(b)], b...),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
			if err != nil {
				t.Fatal(err)
			}
			stubs := spangen.New(1).Request(time.Now(), 3)
			_ = s.ExportSpans(context.Background(), tracetest.SpanStubs(stubs).Snapshots())
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(segmentPath(dir, 2), content, 0o600); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(dir, &Options{MaxBytes: MinMaxBytes}); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if n := s.Stats().DamagedSegments; n > 0 {
				t.Errorf("%d segments are said to be damaged", n)
			}
			if tr, err := s.Trace(context.Background(), stubs[0].SpanContext.TraceID()); err != nil || len(tr.Spans) != 3 {
				t.Errorf("what was there before: %v", err)
			}
			if err := s.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
