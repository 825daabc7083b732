package spanstore

import (
	"context"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

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

// A meta page that a damage makes look like transaction 0's, with a good
// checksum, is no reason to take the segment for empty and remove it.
func TestDamagedMetaIsNotTakenForABeginning(t *testing.T) {
	for page := range 2 {
		dir := t.TempDir()
		s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
		if err != nil {
			t.Fatal(err)
		}
		g := spangen.New(1)
		var ids []trace.TraceID
		for range 5 {
			stubs := g.Request(time.Now(), 3)
			_ = s.ExportSpans(context.Background(), tracetest.SpanStubs(stubs).Snapshots())
			if err := s.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, stubs[0].SpanContext.TraceID())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		path := segmentPath(dir, 1)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := b[page*pageSize+pageHeaderLen:][:metaLen]
		order.PutUint64(m[48:], 0)
		sum := fnv.New64a()
		sum.Write(m[:56])
		order.PutUint64(m[56:], sum.Sum64())
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(dir, &Options{MaxBytes: MinMaxBytes}); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if tr, err := s.Trace(context.Background(), id); err != nil || len(tr.Spans) != 3 {
				t.Errorf("meta page %d: trace %s: %v", page, id, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
