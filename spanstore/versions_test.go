package spanstore

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// twoVersions returns a store whose only block is in segment 1, short, and with
// more spans in memory, and what was exported first and then.
func twoVersions(t *testing.T) (s *Store, first, then []tracetest.SpanStub) {
	s, err := Open(t.TempDir(), &Options{MaxBytes: MinMaxBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ctx, g := context.Background(), spangen.New(1)
	first, then = g.Request(time.Now(), 3), g.Request(time.Now(), 3)
	_ = s.ExportSpans(ctx, tracetest.SpanStubs(first).Snapshots())
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	betweenCommits(t, s, s.ring.rotate)
	_ = s.ExportSpans(ctx, tracetest.SpanStubs(then).Snapshots())
	return s, first, then
}

func betweenCommits(t *testing.T, s *Store, f func() error) {
	t.Helper()
	if err := s.between(context.Background(), func() {
		if err := f(); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// When the segment with a block's longer version is lost, the shorter one in the
// segment before is read again, at once and not only after the next Open.
func TestOlderVersionOfALostBlock(t *testing.T) {
	ctx := context.Background()
	s, first, then := twoVersions(t)
	s.mu.Lock()
	s.closeOpen()
	s.mu.Unlock()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segmentPath(s.dir, 2), 0); err != nil {
		t.Fatal(err)
	}
	betweenCommits(t, s, func() error { // finds out, and then sets it aside
		_, err := s.ring.active.read(1)
		if !isDamage(err) {
			t.Errorf("got %v; want that the segment is damaged", err)
		}
		s.ring.tidy(time.Now())
		return nil
	})
	if tr, err := s.Trace(ctx, first[0].SpanContext.TraceID()); err != nil || len(tr.Spans) != 3 {
		t.Errorf("what segment 1 has: got %+v, %v; want 3 spans", tr, err)
	}
	if tr, err := s.Trace(ctx, then[0].SpanContext.TraceID()); err == nil {
		t.Errorf("what segment 2 had: got %+v; want ErrNotFound", tr)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

// What is in memory still, and only its shorter version went with a segment, was
// not evicted.
func TestEvictedVersionOfABlockInMemory(t *testing.T) {
	ctx := context.Background()
	s, first, _ := twoVersions(t)
	betweenCommits(t, s, func() error { return s.ring.evict("it was time", false) })
	id := first[0].SpanContext.TraceID()
	if ev, ok := s.Evicted(id); ok {
		t.Errorf("a trace in memory is said to be evicted: %+v", ev)
	}
	if tr, err := s.Trace(ctx, id); err != nil || len(tr.Spans) != 3 || len(tr.Problems) > 0 {
		t.Errorf("got %+v, %v; want 3 spans and no problem", tr, err)
	}
	if st := s.Stats(); st.EvictedSpans != 0 || st.Spans != 6 {
		t.Errorf("%d spans are held, %d evicted; want 6, 0", st.Spans, st.EvictedSpans)
	}
}

// A segment that is salvaged late, because Open had found it damaged, may have
// what a younger segment's copy of its blocks has not: it is found there.
func TestSalvagedBehindACopy(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, _ := filled(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(segmentPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	c, err := readContents(segmentPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segmentPath(dir, 2), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	// Of the copy a block is damaged, of the original the meta page before the last:
	// all blocks can be saved, and of all but one the copy has the same.
	at := len(c.walk.blocks) / 2
	overwrite(t, segmentPath(dir, 2), c.walk.blocks[at].data.off+1000, []byte("damage"))
	other := int64(0)
	if _, page := inForce(whole); &page[0] == &whole[0] {
		other = pageSize
	}
	overwrite(t, segmentPath(dir, 1), other, make([]byte, pageSize))

	s, err = Open(dir, &Options{MaxBytes: MinMaxBytes, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sn, err := s.snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range c.infos {
		i := slices.IndexFunc(sn.infos, func(b *blockInfo) bool { return b.seq == want.seq })
		if i < 0 {
			t.Fatalf("block %d is not in the index", want.seq)
		}
		if b := sn.spans(sn.infos[i]); b == nil || b.Len() != want.count {
			t.Errorf("block %d: got %v; want %d spans", want.seq, b, want.count)
		}
	}
	// What turned out to be damaged has made way.
	if b := s.infoOf(c.walk.blocks[at].seq); b.seg.number() != 1 {
		t.Errorf("the index has the version of segment %d; want that of 1", b.seg.number())
	}
}

// A batch that fails half-way is written once more, and what was written of it
// the first time stands in two segments. Readers have the first place still, and
// no version of a block is behind itself: eviction would look for the next for
// ever.
func TestBatchThatFailsHalfWay(t *testing.T) {
	ctx := context.Background()
	s, err := Open(t.TempDir(), &Options{MaxBytes: MinMaxBytes, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g := spangen.New(1)
	export := func() {
		for range 20 {
			_ = s.ExportSpans(ctx, tracetest.SpanStubs(g.Request(time.Now(), 5)).Snapshots())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.mayWait() {
			s.closeOpen()
		}
	}
	export()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	// The next segment cannot be begun where a directory stands.
	if err := os.MkdirAll(filepath.Join(segmentPath(s.dir, 2), "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	place := map[*blockInfo]segment{}
	twice := 0
	for n := 0; n < 500 && err == nil; n++ {
		export()
		if n%8 == 0 {
			err = s.Flush(ctx)
		}
	}
	if err == nil {
		t.Fatal("what must fail did not")
	}
	s.mu.Lock()
	for _, info := range s.infos {
		place[info] = info.seg
		if slices.ContainsFunc(s.full, func(p *pendingBlock) bool { return p.seq == info.seq }) {
			twice++
		}
	}
	s.mu.Unlock()
	if err := os.RemoveAll(segmentPath(s.dir, 2)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d blocks were written twice", twice)
	if twice == 0 {
		t.Fatal("nothing was: the test is too weak")
	}
	for info, seg := range place {
		if info.seg != seg {
			t.Errorf("block %d moved under its readers' hands from segment %d to %d", info.seq, seg.number(), info.seg.number())
		}
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
	betweenCommits(t, s, s.ring.rotate)
	betweenCommits(t, s, func() error {
		for len(s.ring.sealed) > 0 {
			if err := s.ring.evict("it was time", false); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

// A block of copies that is damaged stays where it is: taken over as it is, it would
// make a segment that nothing has harmed a damaged one.
func TestDamagedCopiesAreNotMoved(t *testing.T) {
	s, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	at := time.Unix(1, 0)
	span := tracetest.SpanStub{Name: "GET /", SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}), StartTime: at, EndTime: at.Add(time.Second)}
	enc := block.NewEncoder(s.layout.limits)
	enc.Add(span.Snapshot())
	b := s.packBlock(1, enc, nil)
	for _, damaged := range []bool{false, true} {
		data := slices.Clone(b.data)
		if damaged {
			data[len(data)-1] ^= 1
		}
		seg := newMemSegment(1)
		seg.blocks[1] = data
		info := *b.info
		info.seg, info.traces = seg, nil
		k := s.ring.newKeeper(seg)
		w := s.ring.newKeptWriter(k)
		list := s.lister.list(k.read(&blockInfo{seq: 1, seg: wholeSegment(b.data)}), &info)
		if moved := w.move(&info, list); moved == damaged || k.failed != damaged || len(w.out) == 0 != damaged {
			t.Errorf("damaged %v: got moved %v, failed %v, %d blocks", damaged, moved, k.failed, len(w.out))
		}
	}
}

func wholeSegment(data []byte) segment {
	seg := newMemSegment(1)
	seg.blocks[1] = data
	return seg
}
