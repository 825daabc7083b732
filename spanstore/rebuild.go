package spanstore

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// salvageCommit is how many bytes of blocks are written at once, in memory until
// then. Nothing is lost when it stops half-way.
const salvageCommit = 1 << 20

// number gives every find a number of its own: what was reached keeps its, a
// guess is taken when nothing else has it, the rest gets what is free between
// the segments before and after.
func (w *wreck) number(wrecks []wreckFile) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	below, above, taken := w.s.around(w.num, wrecks)
	var loose []*find
	mine := map[uint64]bool{}
	for _, f := range w.finds { // those that are sure come first
		if seq := f.info.seq; !mine[seq] && (f.sure || seq > 0 && seq < maxSeq && !taken(seq)) {
			mine[seq] = true
		} else {
			loose = append(loose, f)
		}
	}
	// From the top, and with a distance where there is none: what is older and
	// still to be salvaged needs numbers too.
	slices.SortFunc(loose, func(a, b *find) int { return cmp.Compare(b.info.min, a.info.min) })
	if above == math.MaxUint64 {
		above = max(below, w.s.seq) + uint64(len(wrecks))<<20
	}
	for _, f := range loose {
		for above--; above > below && (mine[above] || taken(above)); above-- {
		}
		if f.info.seq = above; above <= below {
			above = below + 1 // there are no more: any number is better than none
			for w.s.seq++; mine[w.s.seq]; w.s.seq++ {
			}
			f.info.seq = w.s.seq
		}
		mine[f.info.seq] = true
	}
	slices.SortFunc(w.finds, func(a, b *find) int { return cmp.Compare(a.info.seq, b.info.seq) })
}

// maxSeq bounds the numbers that are believed where nothing vouches for them.
const maxSeq = 1 << 48

// around returns between which numbers, both exclusive, there may be some that
// no other segment's blocks have, and what tells which are taken. s.mu is held.
func (s *Store) around(num uint64, wrecks []wreckFile) (below, above uint64, taken func(uint64) bool) {
	above = math.MaxUint64
	others := map[uint64]bool{}
	has := func(n, seq uint64) {
		if n == num {
			return
		}
		others[seq] = true
		if n < num {
			below = max(below, seq)
		} else {
			above = min(above, seq)
		}
	}
	for _, o := range s.infos {
		has(o.seg.number(), o.seq)
	}
	for _, p := range s.pending() {
		has(math.MaxUint64, p.seq)
	}
	for _, u := range s.usage {
		has(math.MaxUint64, u.info.seq)
	}
	for _, w := range wrecks {
		if w.first > 0 {
			has(w.num, w.first)
			has(w.num, w.last)
		}
	}
	return below, above, func(seq uint64) bool {
		return others[seq] || slices.ContainsFunc(wrecks, func(w wreckFile) bool { return w.num != num && seq >= w.first && seq <= w.last && w.first > 0 })
	}
}

// need is about how large a segment with the finds becomes.
func (w *wreck) need() int64 {
	n := 16*pageSize + int64(len(w.log)) + growthStep(w.s.layout.segmentMax)
	for _, f := range w.finds {
		n += w.needOf(f)
	}
	return n
}

// needOf is what one find takes: a small block lies inside the page of its bucket,
// which bbolt leaves half empty, others take pages of their own.
func (w *wreck) needOf(f *find) int64 {
	n := f.at.len + int64(len(f.info.encode())) + 64
	if n < pageSize/4 {
		return 2 * (n + 64)
	}
	return n/pageSize*pageSize + pageSize + 128
}

// build writes the finds into a new segment file, which must not become larger
// than there is room.
func (w *wreck) build(path string, limit, room int64) (err error) {
	seg, err := createSegment(path, w.num, limit, w.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, seg.close()) }()
	if w.pins != nil {
		if err := seg.commit(&commit{pins: w.pins}); err != nil {
			return err
		}
	}
	for _, r := range w.runs {
		if err := seg.commit(&commit{run: &r}); err != nil {
			return err
		}
	}
	for rest := w.finds; len(rest) > 0; {
		c := &commit{}
		for len(rest) > 0 && c.bytes() < salvageCommit {
			data, err := w.bytes(rest[0].at)
			if err != nil {
				return err
			}
			c.blocks = append(c.blocks, encodedBlock{info: rest[0].info, summary: rest[0].info.encode(), data: data})
			rest = rest[1:]
		}
		if err := seg.commit(c); err != nil {
			return err
		}
		if seg.size() > room {
			return fmt.Errorf("what is whole of it takes more than %d bytes, for which there is room", room)
		}
	}
	return nil
}
