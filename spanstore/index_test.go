package spanstore

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// The index against a plain map: blocks come, are replaced by longer and by older
// versions, and go with their segments, in any order.
func TestTraceIndex(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := &Store{cache: newBlockCache(1 << 10)}
	segs := []segment{newMemSegment(1, 0), newMemSegment(2, 0), newMemSegment(3, 0)}
	model := map[uint64]*blockInfo{} // by number
	few := func() uint32 { return uint32(r.IntN(200)) * 0x01234567 }
	for step := range 5000 {
		switch op := r.IntN(20); {
		case op < 15:
			info := &blockInfo{seq: uint64(r.IntN(300)), kind: block.KindSpans, seg: segs[r.IntN(len(segs))]}
			if r.IntN(4) == 0 {
				info.kind = block.KindUsage
			}
			for range r.IntN(20) {
				info.traces = append(info.traces, few())
			}
			slices.Sort(info.traces)
			info.traces = slices.Compact(info.traces)
			s.addInfo(info)
			if old := model[info.seq]; old == nil || old.seg.number() <= info.seg.number() {
				model[info.seq] = info
			}
		case op < 18 && len(s.infos) > 0: // as demote does
			i := r.IntN(len(s.infos))
			if older := s.infos[i].older; older != nil {
				s.replaceInfo(i, older)
				model[older.seq] = older
			}
		case op == 19:
			seg := segs[r.IntN(len(segs))]
			s.forgetLocked(seg)
			maps.DeleteFunc(model, func(_ uint64, b *blockInfo) bool { return b.seg == seg })
		}
		fp := few()
		var want, spans []*blockInfo
		for _, seq := range slices.Sorted(maps.Keys(model)) {
			if b := model[seq]; b.kind == block.KindSpans {
				spans = append(spans, b)
				if b.mayHold(fp) {
					want = append(want, b)
				}
			}
		}
		if got := s.index.find(fp); !slices.Equal(got, want) {
			t.Fatalf("step %d: fingerprint %x: got %d blocks; want %d", step, fp, len(got), len(want))
		}
		if !slices.Equal(s.lists().spans, spans) {
			t.Fatalf("step %d: the list of blocks is not the index", step)
		}
		if !s.index.covers(s.infos) {
			t.Fatalf("step %d: the index of traces is not that of the blocks", step)
		}
		if len(model) == 0 && len(s.index.groups) > 0 {
			t.Fatalf("step %d: %d groups are left of nothing", step, len(s.index.groups))
		}
	}
}
