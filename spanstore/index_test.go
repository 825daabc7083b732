package spanstore

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// indexModel is of each number the versions that segments of the ring have, the
// newest first.
type indexModel map[uint64][]*blockInfo

func (m indexModel) add(info blockInfo) {
	versions := slices.DeleteFunc(m[info.seq], func(b *blockInfo) bool { return b.seg.number() == info.seg.number() })
	m[info.seq] = append(versions, &info)
	slices.SortFunc(m[info.seq], func(a, b *blockInfo) int { return cmp.Compare(b.seg.number(), a.seg.number()) })
}

func (m indexModel) drop(gone func(*blockInfo) bool) {
	for seq, versions := range m {
		if m[seq] = slices.DeleteFunc(versions, gone); len(m[seq]) == 0 {
			delete(m, seq)
		}
	}
}

// sameVersions compares a chain with what it should be, but for what is of
// segments that the ring does not have.
func (m indexModel) sameVersions(b *blockInfo, ring []segment) bool {
	want := m[b.seq]
	for above := uint64(1 << 32); b != nil; b = b.older {
		if b.seg.number() >= above {
			return false // it may not end
		}
		if above = b.seg.number(); !slices.Contains(ring, b.seg) {
			continue
		}
		if len(want) == 0 || b.seg != want[0].seg || b.seq != want[0].seq || b.kind != want[0].kind || !slices.Equal(b.traces, want[0].traces) {
			return false
		}
		want = want[1:]
	}
	return len(want) == 0
}

// The index against a plain map: blocks come, are replaced by longer and by older
// versions, and go with their segments, in any order.
func TestTraceIndex(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := &Store{cache: newBlockCache(1 << 10)}
	var segs []segment
	for num := range 4 {
		segs = append(segs, newMemSegment(uint64(num+1)))
		s.ring.sealed = append(s.ring.sealed, sealedSegment{segment: segs[num]})
	}
	model := indexModel{}
	few := func() uint32 { return uint32(r.IntN(200)) * 0x01234567 }
	for step := range 5000 {
		switch op := r.IntN(40); {
		case op < 33:
			info := &blockInfo{seq: uint64(r.IntN(300)), kind: block.KindSpans, seg: segs[r.IntN(len(segs))]}
			if r.IntN(4) == 0 {
				info.kind = block.KindUsage
			}
			for range r.IntN(20) {
				info.traces = append(info.traces, few())
			}
			slices.Sort(info.traces)
			info.traces = slices.Compact(info.traces)
			model.add(*info)
			s.addInfo(info)
		case op < 38 && len(s.infos) > 0: // as demote does
			i := r.IntN(len(s.infos))
			if older := s.infos[i].older; older != nil && slices.Contains(segs, older.seg) {
				s.replaceInfo(i, older)
				model[older.seq] = model[older.seq][1:]
			}
		case op == 39: // its number is used again, as that of a segment that was salvaged
			i := r.IntN(len(segs))
			gone := segs[i]
			s.forgetLocked(gone)
			segs[i] = newMemSegment(gone.number())
			s.ring.sealed[i].segment = segs[i]
			model.drop(func(b *blockInfo) bool { return b.seg == gone })
		}
		fp := few()
		var want, spans []uint64
		for _, seq := range slices.Sorted(maps.Keys(model)) {
			if b := model[seq][0]; b.kind == block.KindSpans {
				spans = append(spans, seq)
				if b.mayHold(fp) {
					want = append(want, seq)
				}
			}
		}
		if got := numbersOf(s.index.find(fp)); !slices.Equal(got, want) {
			t.Fatalf("step %d: fingerprint %x: got blocks %d; want %d", step, fp, got, want)
		}
		if got := numbersOf(s.lists().spans); !slices.Equal(got, spans) {
			t.Fatalf("step %d: the list of blocks is not the index", step)
		}
		if !s.index.covers(s.infos) {
			t.Fatalf("step %d: the index of traces is not that of the blocks", step)
		}
		if len(s.infos) != len(model) || len(model) == 0 && len(s.index.groups) > 0 {
			t.Fatalf("step %d: got %d blocks, %d groups; want %d", step, len(s.infos), len(s.index.groups), len(model))
		}
		for _, info := range s.infos {
			if !model.sameVersions(info, segs) {
				t.Fatalf("step %d: the versions of block %d are not those of the segments", step, info.seq)
			}
		}
	}
}

func numbersOf(infos []*blockInfo) (seqs []uint64) {
	for _, b := range infos {
		seqs = append(seqs, b.seq)
	}
	return seqs
}

// What readers have of a block stays as it is when a version of it turns up in
// an older segment: they read it without a lock.
func TestLateOlderVersion(t *testing.T) {
	s := &Store{cache: newBlockCache(1 << 10)}
	of := func(num uint64) *blockInfo { return &blockInfo{seq: 7, kind: block.KindSpans, seg: newMemSegment(num)} }
	top, low, between := of(5), of(1), of(3)
	s.addInfo(top)
	before := *top
	for _, info := range []*blockInfo{low, between} {
		s.addInfo(info)
	}
	if top.older != before.older {
		t.Error("a block that readers may have was changed")
	}
	var got []uint64
	for b := s.infoOf(7); b != nil && len(got) < 4; b = b.older {
		got = append(got, b.seg.number())
	}
	if !slices.Equal(got, []uint64{5, 3, 1}) {
		t.Errorf("got versions of segments %d; want 5, 3, 1", got)
	}
	if low.older != nil {
		t.Error("the oldest version has an older one")
	}
}
