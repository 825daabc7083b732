package spanstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxFindings bounds what Check tells: where much is wrong, the first of it will
// do.
const maxFindings = 50

// Check reads the whole store and returns, joined, what speaks against the
// numbered invariants of the package documentation, naming each by its number;
// nil when nothing does. What is evicted meanwhile is passed over.
//
// Cost: about a second for a million spans, for which every block is decoded.
// Spans can be stored and queried meanwhile; the writer stands still while the
// files' pages are walked, a few milliseconds for a million spans.
func (s *Store) Check(ctx context.Context) error {
	if s == nil {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	c := &checker{s: s, seen: map[uint64]segment{}}
	if err := s.between(ctx, func() { c.files() }); err != nil {
		return err
	}
	for _, info := range c.infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(c.found) >= maxFindings {
			break
		}
		c.block(info)
	}
	return errors.Join(c.found...)
}

// between runs f while the writer stands between two commits.
func (s *Store) between(ctx context.Context, f func()) error {
	if s.opts.ReadOnly {
		s.refreshMu.Lock()
		defer s.refreshMu.Unlock()
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return ErrClosed
		}
		f()
		return nil
	}
	done := make(chan struct{})
	call := func() {
		defer close(done)
		f()
	}
	select {
	case s.calls <- call:
	case <-s.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done // f does not wait for anything
	return nil
}

// checker gathers what is wrong.
type checker struct {
	s     *Store
	infos []*blockInfo
	found []error

	seen map[uint64]segment // the blocks so far, and where they are
}

func (c *checker) fail(invariant int, format string, args ...any) {
	if len(c.found) < maxFindings {
		c.found = append(c.found, fmt.Errorf("invariant %d: %w", invariant, fmt.Errorf(format, args...)))
	}
}

// files checks what can be said of the directory, the segments' structure and
// the index. It is called between two commits.
func (c *checker) files() {
	s := c.s
	s.mu.Lock()
	c.infos = slices.Clone(s.infos)
	covered := s.index.covers(s.infos)
	s.mu.Unlock()
	if !covered {
		c.fail(14, "the index of traces has other blocks than the index")
	}
	if !slices.IsSortedFunc(c.infos, func(a, b *blockInfo) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	}) {
		c.fail(14, "the index is not in the order of the blocks' numbers")
	}
	bySegment := map[segment][]*blockInfo{}
	for _, info := range c.infos {
		for b := info; b.older != nil; b = b.older {
			if b.older.seq != info.seq || b.older.seg.number() >= b.seg.number() {
				c.fail(14, "behind block %d of segment %d is block %d of segment %d", b.seq, b.seg.number(), b.older.seq, b.older.seg.number())
				break // they may go round
			}
		}
		bySegment[info.seg] = append(bySegment[info.seg], info)
	}
	segs := make([]segment, 0, len(s.ring.sealed)+1)
	for _, seg := range s.ring.sealed {
		segs = append(segs, seg.segment)
	}
	if s.ring.active != nil {
		segs = append(segs, s.ring.active)
	}
	for i, seg := range segs {
		if i > 0 && seg.number() <= segs[i-1].number() {
			c.fail(14, "segment %d comes after segment %d", seg.number(), segs[i-1].number())
		}
		c.segment(seg, bySegment[seg])
		delete(bySegment, seg)
	}
	for seg, infos := range bySegment {
		if _, ok := seg.(*memSegment); ok && infos[0].kept {
			continue // copies that wait for room
		}
		c.fail(14, "the index has %d blocks of segment %d, which is not in the ring", len(infos), seg.number())
	}
	if s.dir != "" && !s.opts.ReadOnly {
		c.directory()
	}
}

// directory checks the files' names and sizes.
func (c *checker) directory() {
	entries, err := os.ReadDir(c.s.dir)
	if err != nil {
		c.fail(7, "%w", err)
		return
	}
	sum, limit := int64(0), c.s.opts.MaxBytes
	if limit == 0 {
		limit = DefaultMaxBytes
	}
	for _, e := range entries {
		switch suffix := filepath.Ext(e.Name()); {
		case e.Name() == lockName, suffix == segmentSuffix, suffix == damagedSuffix:
			if fi, err := e.Info(); err == nil {
				sum += fi.Size()
			}
		case suffix == salvageSuffix:
			c.fail(7, "%s was left behind", e.Name())
		}
	}
	if sum > limit {
		c.fail(1, "the files have %d bytes, more than the budget of %d", sum, limit)
	}
}

// segment compares a segment's file with the index.
func (c *checker) segment(seg segment, infos []*blockInfo) {
	var path string
	switch seg := seg.(type) {
	case *boltSegment:
		path = seg.path
	case *fileSegment:
		if path = seg.path; !seg.unchanged() {
			return // evicted, or written on, by its owner
		}
	default: // in memory there is no structure
		return
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		c.fail(14, "segment %s is gone", path)
		return
	}
	if err != nil {
		c.fail(8, "%w", err)
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		c.fail(8, "%w", err)
		return
	}
	res, err := walkSegment(f, fi.Size())
	switch {
	case errors.Is(err, errNotWhole):
		c.fail(13, "segment %s: %w", path, err)
		return
	case err != nil:
		c.fail(8, "segment %s: %w", path, err)
		return
	}
	c.logs(f, path, res)
	c.runs(f, path, res)
	stored, err := res.summaries(f)
	if err != nil {
		c.fail(10, "segment %s: %w", path, err)
		return
	}
	c.versionsIn(seg, stored)
	c.compare(seg, stored, infos)
}

// logs checks what else a segment says of the traces.
func (c *checker) logs(f *os.File, path string, res *walkResult) {
	for name, whole := range map[string]func([]byte) bool{
		string(keyEvictions): func(b []byte) bool { return new(evictions).parse(b) },
		string(keyPins):      func(b []byte) bool { _, ok := parsePins(b); return ok },
	} {
		b, err := res.value(f, []byte(name))
		switch {
		case err != nil:
			c.fail(15, "%s of segment %s: %w", name, path, err)
		case b != nil && !whole(b):
			c.fail(15, "%s of segment %s: the checksum does not hold, or it does not decode", name, path)
		}
	}
}

// runs checks that a segment's runs can be read.
func (c *checker) runs(f *os.File, path string, res *walkResult) {
	for i, at := range res.runs {
		b, err := readExtent(f, at)
		if err == nil {
			_, err = decodeRun(b)
		}
		if err != nil {
			c.fail(16, "run %d of segment %s: %w", i+1, path, err)
		}
	}
}

// versionsIn looks for blocks that older segments have too.
func (c *checker) versionsIn(seg segment, stored []*blockInfo) {
	for _, b := range stored {
		if older, ok := c.seen[b.seq]; ok {
			c.versions(b.seq, older, seg)
		}
		c.seen[b.seq] = seg
	}
}

// versions checks that of a block in two segments the later is the longer.
func (c *checker) versions(seq uint64, older, newer segment) {
	a, err := older.read(seq)
	b, berr := newer.read(seq)
	if err != nil || berr != nil {
		return // told elsewhere
	}
	x, err := block.OpenSpans(a, c.s.codec)
	y, berr := block.OpenSpans(b, c.s.codec)
	if err == nil && berr == nil && !x.Prefix(y) {
		c.fail(12, "block %d in segment %d is not an earlier version of the one in segment %d", seq, older.number(), newer.number())
	}
}

// compare checks that the index has what is stored, and nothing else.
func (c *checker) compare(seg segment, stored, infos []*blockInfo) {
	indexed := map[uint64]*blockInfo{}
	for _, info := range infos {
		indexed[info.seq] = info
	}
	for _, b := range stored {
		info, ok := indexed[b.seq]
		switch {
		case ok && !bytes.Equal(info.encode(), b.encode()):
			c.fail(14, "block %d of segment %d is indexed otherwise than it is stored", b.seq, seg.number())
		case !ok && b.kept && c.s.opts.MaxAge > 0: // too old
		case !ok && !slices.ContainsFunc(c.infos, func(o *blockInfo) bool { return o.seq == b.seq && o.seg.number() > seg.number() }):
			c.fail(14, "block %d of segment %d is not in the index", b.seq, seg.number())
		}
		delete(indexed, b.seq)
	}
	for seq := range indexed {
		c.fail(14, "block %d is in the index but not in segment %d", seq, seg.number())
	}
}

// block decodes one block whole and compares it with its summary.
func (c *checker) block(info *blockInfo) {
	data, err := info.seg.read(info.seq)
	switch {
	case errors.Is(err, errGone), !c.s.indexed(info): // evicted, or replaced by its longer self, meanwhile
		return
	case err != nil:
		c.fail(9, "block %d of segment %d: %w", info.seq, info.seg.number(), err)
		return
	}
	var made *blockInfo
	err = guard(func() (err error) {
		made, err = c.decode(info, data)
		return err
	})
	if err != nil {
		c.fail(10, "block %d of segment %d: %w", info.seq, info.seg.number(), err)
		return
	}
	if made.kind == block.KindUsage {
		made.kept = info.kept // which usage does not tell
	}
	if !bytes.Equal(made.comparable().encode(), info.comparable().encode()) {
		c.fail(11, "the summary of block %d of segment %d is not that of the block: it says %+v, the block %+v",
			info.seq, info.seg.number(), *info.comparable(), *made)
	}
}

// indexed reports whether the index has a block still, and no newer version of
// it.
func (s *Store) indexed(info *blockInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := slices.BinarySearchFunc(s.infos, info.seq, func(b *blockInfo, seq uint64) int { return cmp.Compare(b.seq, seq) })
	return ok && s.infos[i] == info
}

// decode reads all of a block, and makes its summary from it.
func (c *checker) decode(info *blockInfo, data []byte) (*blockInfo, error) {
	if info.kind == block.KindUsage {
		u, err := block.DecodeUsage(data, c.s.codec, true)
		if err != nil {
			return nil, err
		}
		return infoOfUsage(info.seq, len(data), u), nil
	}
	b, err := block.OpenSpans(data, c.s.codec)
	if err != nil {
		return nil, err
	}
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	for i := range b.Len() {
		r.Seek(i)
		r.Attributes()
		r.Events()
		r.Links()
	}
	return infoOfSpans(info.seq, len(data), b), nil
}

// comparable returns b without what is not told apart: a service without a name
// and none.
func (b *blockInfo) comparable() *blockInfo {
	c := *b
	c.services = slices.DeleteFunc(slices.Clone(b.services), func(s string) bool { return s == "" })
	return &c
}
