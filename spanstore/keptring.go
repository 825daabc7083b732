package spanstore

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// exchange takes an evicted segment out of the index and puts what was saved of
// it in, at one moment: no reader misses it or has it twice. It returns how many
// spans are gone.
func (r *ring) exchange(seg segment, saved rescue, why string) (gone int) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	spans, traces := s.forgetLocked(seg)
	hold := newMemSegment(0)
	for _, b := range saved.blocks {
		s.seq++
		b.number(s.seq)
		b.info.seg = hold
		hold.blocks[b.info.seq] = b.data
		s.addInfo(b.info)
		r.kept = append(r.kept, b)
	}
	traces = slices.Clone(slices.DeleteFunc(traces, func(fp uint32) bool { return has(saved.traces, fp) }))
	if len(traces) > 0 {
		s.gone.add(evictedSegment{when: time.Now(), why: why, traces: traces})
		r.logged = false
	}
	return spans - saved.spans
}

// commitKept commits copies that wait, as many as the active segment has room
// for. The next segment takes the others.
func (r *ring) commitKept() error {
	for len(r.kept) > 0 && r.active != nil {
		n := min(len(r.kept), commitBlocks)
		var c *commit
		for ; n > 0; n-- {
			// Readers have the infos: those that name the new place are others.
			blocks := slices.Clone(r.kept[:n])
			for i := range blocks {
				info := *blocks[i].info
				blocks[i].info = &info
			}
			c = r.fill(blocks)
			c.run = nil // copies are not this run's
			if r.active.room(c, r.limit()) {
				break
			}
		}
		if n == 0 {
			return nil
		}
		begun := r.begun
		err := r.commitOne(c)
		if r.begun = begun; err != nil {
			return err
		}
		r.kept = r.kept[n:]
	}
	return nil
}

// expireKept takes copies out of the index that ended before a time. Their bytes
// go with the segment.
func (r *ring) expireKept(before time.Time, why string) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	var traces []uint32
	spans := 0
	old := func(b *blockInfo) bool {
		return b.kept && b.kind == block.KindSpans && b.max < before.UnixNano()
	}
	s.dropInfos(func(b *blockInfo) bool {
		if !old(b) {
			return false
		}
		spans += b.count
		traces = append(traces, b.traces...)
		return true
	})
	r.kept = slices.DeleteFunc(r.kept, func(b encodedBlock) bool { return old(b.info) })
	if len(traces) == 0 {
		return
	}
	slices.Sort(traces)
	s.gone.add(evictedSegment{when: time.Now(), why: why, traces: slices.Compact(traces)})
	s.counts.evictedSpans.Add(int64(spans))
	r.logged = false
}

// countKept counts the kept traces, when they have changed.
func (s *Store) countKept() {
	s.mu.Lock()
	var lists [][]uint32
	sum := uint64(0)
	for _, b := range s.infos {
		if b.kept && b.kind == block.KindSpans {
			lists = append(lists, b.traces)
			sum += b.seq
		}
	}
	same := s.keptSum == sum
	s.mu.Unlock()
	if same {
		return
	}
	all := slices.Concat(lists...)
	slices.Sort(all)
	n := len(slices.Compact(all))
	s.mu.Lock()
	s.keptTraces, s.keptSum = n, sum
	s.mu.Unlock()
}

// keeps reports whether a kept block has a part of the trace. s.mu is held.
func (s *Store) keeps(fp uint32) bool {
	return slices.ContainsFunc(s.index.find(fp), func(b *blockInfo) bool { return b.kept })
}

// kept names why a trace is kept.
func (sn *snapshot) kept(id trace.TraceID, why byte) string {
	_, pinned := sn.pins[id]
	switch {
	case pinned:
		return "pinned"
	case why&keptError != 0:
		return "error"
	case why&keptSlow != 0:
		return "slow"
	}
	return ""
}
