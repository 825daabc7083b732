package spanstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// filled is a store with a few segments, flushed.
func filled(t *testing.T, dir string) (*Store, [][]tracetest.SpanStub) {
	t.Helper()
	s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	g := spangen.New(1)
	var traces [][]tracetest.SpanStub
	for s.Stats().Segments < 3 {
		for range 100 {
			stubs := g.Request(time.Now(), 5)
			_ = s.ExportSpans(context.Background(), tracetest.SpanStubs(stubs).Snapshots())
			traces = append(traces, stubs)
		}
		if err := s.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return s, traces
}

// Check finds nothing in a sound store, and names the invariant that is broken.
func TestCheck(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		harm func(s *Store)
		want string
	}{
		"nothing": {func(*Store) {}, ""},
		"a file of our own that is left over": {func(s *Store) {
			_ = os.WriteFile(filepath.Join(s.dir, "00000009.salvage"), nil, 0o600)
		}, "invariant 7"},
		"too many bytes": {func(s *Store) {
			_ = os.WriteFile(filepath.Join(s.dir, "00000099.damaged"), make([]byte, MinMaxBytes), 0o600)
		}, "invariant 1"},
		"a page": {func(s *Store) {
			b, err := os.ReadFile(segmentPath(s.dir, 1))
			if err != nil {
				t.Fatal(err)
			}
			m, _ := inForce(b)
			overwrite(t, segmentPath(s.dir, 1), int64(m.root)*pageSize, make([]byte, 8))
		}, "invariant 8"},
		"a block": {func(s *Store) {
			c, err := readContents(segmentPath(s.dir, 1))
			if err != nil {
				t.Fatal(err)
			}
			res := c.walk
			overwrite(t, segmentPath(s.dir, 1), res.blocks[0].data.off+1000, []byte("damage"))
		}, "invariant 10"},
		"a summary": {func(s *Store) {
			c, err := readContents(segmentPath(s.dir, 1))
			if err != nil {
				t.Fatal(err)
			}
			res := c.walk
			overwrite(t, segmentPath(s.dir, 1), res.blocks[0].summary.off+10, []byte("damage"))
		}, "invariant 10"},
		"half a block": {func(s *Store) {
			rewrite(t, segmentPath(s.dir, 1), func(tx *bbolt.Tx) error {
				blocks := tx.Bucket(bucketBlocks)
				number, _ := blocks.Cursor().First()
				return blocks.Bucket(number).Delete(keySummary)
			})
		}, "invariant 13"},
		"the log of evictions": {func(s *Store) {
			rewrite(t, segmentPath(s.dir, 1), func(tx *bbolt.Tx) error {
				log := (&evictions{}).encode()
				log[len(log)-1]++
				return tx.Bucket(bucketMeta).Put(keyEvictions, log)
			})
		}, "invariant 15: evictions"},
		"the pins": {func(s *Store) {
			rewrite(t, segmentPath(s.dir, 1), func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketMeta).Put(keyPins, []byte{pinsVersion, 9, 0, 0, 0, 0})
			})
		}, "invariant 15: pins"},
		"a run": {func(s *Store) {
			rewrite(t, segmentPath(s.dir, 1), func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketRuns).Put(seqKey(1), []byte(`{"id":`))
			})
		}, "invariant 16"},
		"the index": {func(s *Store) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.infos = slices.Delete(s.infos, 1, 2)
		}, "invariant 14"},
		"versions that go round": {func(s *Store) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.infos[1].older = s.infos[1]
		}, "invariant 14: behind block"},
		"an entry of the index": {func(s *Store) {
			s.mu.Lock()
			defer s.mu.Unlock()
			other := *s.infos[1]
			other.longest++
			s.infos[1] = &other
		}, "invariant 11"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := filled(t, t.TempDir())
			tc.harm(s)
			err := s.Check(ctx)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v; want %q", err, tc.want)
			}
		})
	}
	mem, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = mem.ExportSpans(ctx, tracetest.SpanStubs(spangen.New(1).Request(time.Now(), 5)).Snapshots())
	if err := mem.Flush(ctx); err != nil {
		t.Error(err)
	}
	if err := mem.Check(ctx); err != nil {
		t.Errorf("in memory: %v", err)
	}
	if err := mem.Close(); err != nil {
		t.Error(err)
	}
	if err := mem.Check(ctx); err == nil {
		t.Error("Check of a closed store finds nothing; want ErrClosed")
	}
	var none *Store
	if err := none.Check(ctx); err != nil {
		t.Errorf("a nil store: %v", err)
	}
}

// rewrite changes a segment behind the store's back: a sound bbolt file, with the
// transaction's number in it.
func rewrite(t *testing.T, path string, change func(*bbolt.Tx) error) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(elsewhere, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(elsewhere, 0o600, &bbolt.Options{PageSize: pageSize, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	db.AllocSize = pageSize
	err = db.Update(func(tx *bbolt.Tx) error { return errors.Join(change(tx), putTx(tx)) })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(elsewhere); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, 0, b)
}

func overwrite(t *testing.T, path string, off int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// A segment that breaks under a running store is salvaged by its writer, and
// reads go on meanwhile.
func TestSalvageWhileRunning(t *testing.T) {
	ctx := context.Background()
	s, traces := filled(t, t.TempDir())
	before := s.Stats().Spans
	path := segmentPath(s.dir, 1)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, fi.Size()/2&^(pageSize-1)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // reads see either state
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				id := traces[i%len(traces)][0].SpanContext.TraceID()
				if tr, err := s.Trace(ctx, id); err == nil && len(tr.Spans) > 5 {
					t.Errorf("%d spans of a trace of 5", len(tr.Spans))
					return
				}
				whole := traces[len(traces)-1][0].SpanContext.TraceID() // in another segment
				if tr, err := s.Trace(ctx, whole); err != nil || len(tr.Spans) != 5 {
					t.Errorf("a trace of an undamaged segment: %v", err)
					return
				}
			}
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); s.Stats().DamagedSegments == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the damaged segment is not salvaged")
		}
	}
	close(stop)
	<-done
	st := s.Stats()
	if st.DamagedBytes != 0 || st.Lost == 0 || st.Spans+st.Lost != before || st.Lost > before/2 {
		t.Errorf("of %d spans %d are there, %d lost, %d bytes set aside; want all accounted for, and half a segment lost", before, st.Spans, st.Lost, st.DamagedBytes)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
	there := 0
	for _, stubs := range traces {
		if tr, err := s.Trace(ctx, stubs[0].SpanContext.TraceID()); err == nil {
			there += len(tr.Spans)
		}
	}
	if int64(there) != st.Spans {
		t.Errorf("%d spans can be read; want %d", there, st.Spans)
	}
}
