package spanstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// salvageSuffix ends the name of a segment that is being rebuilt. One that a
// kill left behind is removed by the next Open.
const salvageSuffix = ".salvage"

// wreckFile is a damaged segment that has yet to be salvaged.
type wreckFile struct {
	num    uint64
	path   string
	bytes  int64
	was    segment // as which it is in the index, nil when it never was
	newest bool    // nothing was written after it
	why    error

	// The numbers of the blocks that can be reached in it, so that no other
	// segment's get the same. Both are 0 when there are none.
	first, last uint64
}

// wreckAt notes that the segment file at path is damaged.
func (r *ring) wreckAt(path string, num uint64, was segment, why error) {
	w := wreckFile{num: num, path: path, was: was, newest: num+1 == r.next, why: why}
	if f, err := os.Open(path); err == nil {
		defer f.Close()
		if fi, err := f.Stat(); err == nil {
			w.bytes = fi.Size()
		}
		if res, _ := walkLeniently(f, w.bytes); len(res.blocks) > 0 {
			w.first, w.last = res.blocks[0].seq, res.blocks[len(res.blocks)-1].seq
		}
	}
	r.wrecks = append(r.wrecks, w)
}

// salvageAll saves what is whole of the damaged segments, and puts what it made
// of them into the ring. What cannot be saved is set aside. The newest comes
// first: of a block in two segments the later version counts.
func (r *ring) salvageAll() error {
	slices.SortFunc(r.wrecks, func(a, b wreckFile) int { return cmp.Compare(a.num, b.num) })
	for len(r.wrecks) > 0 {
		wf := r.wrecks[len(r.wrecks)-1]
		var w *wreck
		err := guard(func() (err error) {
			w, err = r.salvage(wf)
			return err
		})
		if errors.Is(err, errFormat) {
			return fmt.Errorf("%s is damaged, and was written by another version: %w", wf.path, err)
		}
		r.wrecks = r.wrecks[:len(r.wrecks)-1]
		left, held := len(r.wrecks), r.s.held(wf.was)
		if err == nil {
			err = r.loadSegment(wf.num, wf.newest && !r.loaded, wf.was)
		}
		if err == nil && len(r.wrecks) > left {
			r.wrecks = r.wrecks[:left]
			err = errors.New("what was made of it is damaged too")
		}
		if err != nil {
			if wf.was != nil {
				r.s.forget(wf.was)
			}
			r.s.counts.lost.Add(int64(held))
			r.setFileAside(wf.path, fmt.Errorf("%w; nothing could be saved of it: %w", wf.why, err))
			continue
		}
		r.s.counts.damaged.Add(1)
		r.s.counts.lost.Add(int64(max(w.lostSpans, held-w.spans())))
		r.s.report("damaged "+wf.path, fmt.Errorf("segment %s was damaged and is replaced by what could be saved of it: %s: %w", wf.path, w.tell(), wf.why))
	}
	return nil
}

// held returns how many spans of a segment are in the index.
func (s *Store) held(seg segment) (spans int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.infos {
		if seg != nil && b.seg == seg && b.kind == block.KindSpans {
			spans += b.count
		}
	}
	return spans
}

// salvage replaces a damaged segment by one with every block in it whose
// checksum holds. On an error the file is as it was.
func (r *ring) salvage(wf wreckFile) (*wreck, error) {
	f, err := os.Open(wf.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := &wreck{s: r.s, f: f, size: wf.bytes, num: wf.num}
	if err := w.explore(); err != nil {
		return nil, err
	}
	if len(w.finds) == 0 {
		return nil, errors.New("no block in it is whole")
	}
	w.number(r.wrecks)
	room, err := r.roomFor(w)
	if err != nil {
		return nil, err
	}
	if r.loaded || !w.logWhole() {
		// In a running store it is in memory; else what left the ring before this
		// segment was begun is not known any more.
		if !r.loaded && wf.newest {
			r.s.gone.since = time.Now()
		}
		w.log = r.log()
	}
	tmp := strings.TrimSuffix(wf.path, segmentSuffix) + salvageSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	defer os.Remove(tmp) // nothing is there any more after the rename
	if err := w.build(tmp, r.s.layout.segmentMax, room); err != nil {
		return nil, err
	}
	f.Close() // Windows does not replace a file that is open
	if err := os.Rename(tmp, wf.path); err != nil {
		return nil, err
	}
	return w, syncDir(r.s.dir)
}

// logWhole reports whether the log of evictions could be read.
func (w *wreck) logWhole() bool {
	n := len(w.log) - 4
	return n > 0 && binary.LittleEndian.Uint32(w.log[n:]) == block.Checksum(w.log[:n])
}

func (w *wreck) tell() string {
	saved := fmt.Sprintf("%d spans in %d blocks", w.spans(), len(w.finds))
	switch {
	case w.lostSpans > 0 && w.lostBlocks > 0:
		return fmt.Sprintf("%s; %d spans are lost, and %d blocks of unknown size", saved, w.lostSpans, w.lostBlocks)
	case w.lostSpans > 0:
		return fmt.Sprintf("%s; %d spans are lost", saved, w.lostSpans)
	case w.lostBlocks > 0:
		return fmt.Sprintf("%s; %d blocks of unknown size are lost", saved, w.lostBlocks)
	}
	return saved + "; nothing is known to be lost"
}

// roomFor makes room in the budget for the segment that is rebuilt beside the
// damaged one: damaged files go first, then older segments, at last the wreck's
// own oldest blocks. It returns the room there is.
func (r *ring) roomFor(w *wreck) (room int64, err error) {
	free := func() int64 {
		taken := r.sealedBytes()
		if r.active != nil {
			taken += r.active.size()
		}
		return r.budget() - taken
	}
	need := w.need()
	for free() < need && r.removeDamaged() {
	}
	for free() < need && len(r.sealed) > 0 && r.sealed[0].number() < w.num {
		if err := r.evict("room was needed to save what is whole of a damaged segment", true); err != nil {
			return 0, err
		}
	}
	for room = free(); need > room; w.finds = w.finds[1:] {
		if len(w.finds) == 0 {
			return 0, errors.New("the budget has no room to save what is whole of it")
		}
		f := w.finds[0]
		need -= w.needOf(f)
		if f.info.kind == block.KindSpans {
			w.lostSpans += f.info.count
		}
	}
	return room, nil
}
