package spanstore

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// traceIndex tells which committed blocks may hold a trace without asking each of
// them: a lookup among a million spans would ask a thousand. It holds the newest
// version of every block. Store.mu guards it.
type traceIndex struct {
	groups []*indexGroup // ascending
}

// indexGroup is the blocks of groupBlocks consecutive numbers. For each value
// that the upper bits of a fingerprint may have, a word has a bit for each of
// the blocks that hold such a one: whatever was once in the group, and so a few
// too many. Those that are left are asked themselves.
type indexGroup struct {
	number uint64 // of the first block, divided by groupBlocks
	held   int    // how many blocks are there
	blocks [groupBlocks]*blockInfo
	slots  [indexSlots]uint32
}

const (
	groupBlocks = 32 // as many as a word has bits

	// indexSlots makes a group 16 KiB, half a KiB a block: less than the
	// fingerprints take. Of blocks with 200 traces one in 20 is asked in vain.
	indexSlots = 1 << 12
)

func slotOf(fp uint32) uint32 { return fp / (1 << 32 / indexSlots) }

// group returns the position of the group that the number of a block belongs to.
func (x *traceIndex) group(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(x.groups, seq/groupBlocks, func(g *indexGroup, n uint64) int { return cmp.Compare(g.number, n) })
}

// put adds a block, in the place of the one with its number.
func (x *traceIndex) put(info *blockInfo) {
	i, ok := x.group(info.seq)
	if !ok {
		x.groups = slices.Insert(x.groups, i, &indexGroup{number: info.seq / groupBlocks})
	}
	g, at := x.groups[i], info.seq%groupBlocks
	if g.blocks[at] == nil {
		g.held++
	}
	g.blocks[at] = info
	for _, fp := range info.traces {
		g.slots[slotOf(fp)] |= 1 << at
	}
}

// drop removes a block, if it is there.
func (x *traceIndex) drop(info *blockInfo) {
	i, ok := x.group(info.seq)
	if !ok || x.groups[i].blocks[info.seq%groupBlocks] != info {
		return
	}
	g := x.groups[i]
	g.blocks[info.seq%groupBlocks] = nil
	if g.held--; g.held == 0 {
		x.groups = slices.Delete(x.groups, i, i+1)
	}
}

// find returns the blocks of spans that have the fingerprint, in the order of
// their numbers.
func (x *traceIndex) find(fp uint32) (infos []*blockInfo) {
	for _, g := range x.groups {
		for word := g.slots[slotOf(fp)]; word != 0; word &= word - 1 {
			info := g.blocks[bits.TrailingZeros32(word)]
			if info != nil && info.kind == block.KindSpans && info.mayHold(fp) {
				infos = append(infos, info)
			}
		}
	}
	return infos
}

// covers reports whether x has these blocks, which are in the order of their
// numbers, no others, and finds them by each of their traces.
func (x *traceIndex) covers(infos []*blockInfo) bool {
	held := 0
	for _, g := range x.groups {
		held += g.held
	}
	for _, info := range infos {
		i, ok := x.group(info.seq)
		at := info.seq % groupBlocks
		if !ok || x.groups[i].blocks[at] != info {
			return false
		}
		for _, fp := range info.traces {
			if x.groups[i].slots[slotOf(fp)]>>at&1 == 0 {
				return false
			}
		}
	}
	return held == len(infos)
}

// blockLists are the committed blocks by their kind. They are never changed, so
// that a reader need not copy them: another takes their place.
type blockLists struct{ spans, usage []*blockInfo }

// lists returns the blocks as they are now. s.mu is held.
func (s *Store) lists() *blockLists {
	if s.listed == nil {
		l := &blockLists{}
		for _, info := range s.infos {
			if info.kind == block.KindUsage {
				l.usage = append(l.usage, info)
			} else {
				l.spans = append(l.spans, info)
			}
		}
		l.spans, l.usage = slices.Clip(l.spans), slices.Clip(l.usage)
		s.listed = l
	}
	return s.listed
}

// infoOf returns the block of a number, nil when it is not in the index. s.mu is
// held.
func (s *Store) infoOf(seq uint64) *blockInfo {
	if i, ok := s.position(seq); ok {
		return s.infos[i]
	}
	return nil
}

// position is where in s.infos the block of a number is, or would be.
func (s *Store) position(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(s.infos, seq, func(b *blockInfo, seq uint64) int { return cmp.Compare(b.seq, seq) })
}

// addInfo keeps s.infos ordered by number. Of each it has the version in the
// highest segment, and below that the others that are known, see
// blockInfo.older, in whatever order they come. info is in no chain yet, or its
// number is not in the index. s.mu is held.
func (s *Store) addInfo(info *blockInfo) {
	i, found := s.position(info.seq)
	if !found {
		s.infos = slices.Insert(s.infos, i, info)
		s.index.put(info)
		s.accountLocked(1, info)
		s.listed = nil
		return
	}
	s.cache.drop(s.infos[i])
	s.replaceInfo(i, s.infos[i].with(info))
}

// with returns the versions from b down with info in its place among them, where
// it takes that of another in the same segment. Of those above it makes copies,
// as readers have b without a lock.
func (b *blockInfo) with(info *blockInfo) *blockInfo {
	switch {
	case b == nil:
		return info
	case b.seg.number() > info.seg.number():
		above := *b
		above.older = b.older.with(info)
		return &above
	case info.kept: // it was in memory, whole
		info.older = nil
	case b.seg.number() == info.seg.number():
		info.older = b.older
	default:
		info.older = b
	}
	return info
}

// replaceInfo puts another version in the place of the block at i. s.mu is held.
func (s *Store) replaceInfo(i int, info *blockInfo) {
	s.accountLocked(-1, s.infos[i])
	s.accountLocked(1, info)
	s.infos[i] = info
	s.index.put(info)
	s.listed = nil
}

// dropInfos takes the blocks that gone says out of the index. s.mu is held.
func (s *Store) dropInfos(gone func(*blockInfo) bool) {
	s.infos = slices.DeleteFunc(s.infos, func(b *blockInfo) bool {
		if !gone(b) {
			return false
		}
		s.cache.drop(b)
		s.index.drop(b)
		s.accountLocked(-1, b)
		return true
	})
	s.listed = nil
}
