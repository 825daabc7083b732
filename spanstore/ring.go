package spanstore

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// ring is the segments, oldest first. It belongs to the writer: only Stats, the
// blocks' own seg fields and what s.mu guards are seen by others.
type ring struct {
	s   *Store
	run Run

	sealed  []segment
	active  segment // nil until something is written
	begun   bool    // the run record is in the active segment
	next    uint64  // number of the next segment
	damaged []damagedFile

	// stamp is the log of evictions that the active segment has yet to get.
	stamp bool
}

// damagedFile is a segment set aside. It counts towards the budget and is the
// first to go.
type damagedFile struct {
	path  string
	bytes int64
}

// commit makes blocks durable and indexes them. A block whose number is in the
// index already replaces what stood there.
func (r *ring) commit(blocks []encodedBlock) error {
	for len(blocks) > 0 {
		n, err := r.commitSome(blocks)
		if err != nil {
			return err
		}
		blocks = blocks[n:]
	}
	r.publish()
	return nil
}

// commitSome commits as many blocks as the active segment has room for, in a new
// one when it has room for none.
func (r *ring) commitSome(blocks []encodedBlock) (int, error) {
	if r.active == nil {
		if err := r.rotate(); err != nil {
			return 0, err
		}
	}
	for fresh := false; ; fresh = true {
		for n := len(blocks); n > 0; n-- {
			c := r.fill(blocks[:n])
			if !r.active.room(c) {
				continue
			}
			if err := r.active.commit(c); err != nil {
				return 0, r.after(err)
			}
			r.s.counts.written.Add(c.bytes())
			r.begun, r.stamp = true, false
			r.index(c.blocks)
			return n, nil
		}
		if fresh {
			// A block's bound is an eighth of a segment, so this does not happen;
			// if it did, the block must not stop all that come after it.
			r.s.dropBlock(blocks[0], "it does not fit into a segment")
			return 1, nil
		}
		if err := r.rotate(); err != nil {
			return 0, err
		}
	}
}

// fill makes the commit of blocks, with the run record and the log of evictions
// where the segment does not have them yet.
func (r *ring) fill(blocks []encodedBlock) *commit {
	c := &commit{blocks: blocks}
	if !r.begun {
		run := r.run
		run.FirstBlock = blocks[0].info.seq
		c.run = &run
	}
	if r.stamp {
		r.s.mu.Lock()
		c.log = r.s.gone.encode()
		r.s.mu.Unlock()
	}
	return c
}

// after deals with a failed commit: a segment that broke, or whose file somebody
// removed, is given up, so that the next attempt begins another.
func (r *ring) after(err error) error {
	switch {
	case isBroken(err), errors.Is(err, errGone): // gone: a reader met the damage first
		r.giveUpActive()
	case errors.Is(err, os.ErrNotExist):
		r.s.forget(r.active)
		err = errors.Join(err, r.active.close())
		r.active = nil
	}
	return err
}

func (r *ring) giveUpActive() {
	seg, ok := r.active.(*boltSegment)
	if !ok {
		return
	}
	seg.giveUp()
	r.active, r.begun = nil, false
	r.s.forget(seg)
	r.setAside(seg.path, errors.New("it broke while it was written"))
}

// index puts committed blocks where readers find them.
func (r *ring) index(blocks []encodedBlock) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range blocks {
		b.info.seg = r.active
		s.addInfo(b.info)
	}
}

// addInfo keeps s.infos ordered by number, the newest of each. s.mu is held.
func (s *Store) addInfo(info *blockInfo) {
	i, found := slices.BinarySearchFunc(s.infos, info.seq, func(b *blockInfo, seq uint64) int { return cmp.Compare(b.seq, seq) })
	if found {
		s.cache.drop(s.infos[i])
		s.infos[i] = info
		return
	}
	s.infos = slices.Insert(s.infos, i, info)
}

// rotate seals the active segment, makes room in the budget, and begins another.
func (r *ring) rotate() error {
	if r.active != nil {
		if err := r.active.seal(); err != nil {
			r.giveUpActive()
			r.s.report("seal", err)
		} else {
			r.sealed = append(r.sealed, r.active)
			r.active = nil
		}
	}
	if err := r.makeRoom(); err != nil {
		return err
	}
	seg, err := r.create(r.next)
	if err != nil {
		return err
	}
	r.next++
	r.active, r.begun, r.stamp = seg, false, true
	return nil
}

func (r *ring) create(num uint64) (segment, error) {
	if r.s.dir == "" {
		return newMemSegment(num, r.s.layout.segmentMax), nil
	}
	path := segmentPath(r.s.dir, num)
	seg, err := openSegment(path, num, r.s.layout.segmentMax, true)
	if err != nil {
		// Half a file must not stand in the way of the next attempt.
		_ = os.Remove(path)
		return nil, fmt.Errorf("begin segment %s: %w", path, err)
	}
	return seg, nil
}

// budget is what all segments together may take.
func (r *ring) budget() int64 { return r.s.layout.segmentMax * int64(r.s.layout.segments) }

// makeRoom evicts until a whole segment fits into the budget.
func (r *ring) makeRoom() error {
	for r.bytes()+r.s.layout.segmentMax > r.budget() {
		switch {
		case len(r.damaged) > 0:
			if err := os.Remove(r.damaged[0].path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			r.damaged = r.damaged[1:]
		case len(r.sealed) > 0:
			if err := r.evict(fmt.Sprintf("the ring's budget of %s was full", formatBytes(r.budget()+reserveBytes))); err != nil {
				return err
			}
		default:
			return fmt.Errorf("nothing is left to evict below a budget of %d bytes", r.budget())
		}
	}
	return nil
}

func (r *ring) bytes() (n int64) {
	for _, seg := range r.sealed {
		n += seg.size()
	}
	for _, d := range r.damaged {
		n += d.bytes
	}
	return n
}

// evict removes the oldest segment.
func (r *ring) evict(why string) error {
	seg := r.sealed[0]
	spans, traces := r.s.forget(seg)
	if err := seg.remove(); err != nil {
		return fmt.Errorf("evict segment %d: %w", seg.number(), err)
	}
	r.sealed = r.sealed[1:]
	r.s.mu.Lock()
	r.s.gone.add(evictedSegment{when: time.Now(), why: why, traces: traces})
	r.s.mu.Unlock()
	r.stamp = true
	r.s.counts.evictedSpans.Add(int64(spans))
	r.s.counts.evictedSegments.Add(1)
	return nil
}

// forget takes a segment's blocks out of the index, and returns the spans and
// the traces' fingerprints that went with them.
func (s *Store) forget(seg segment) (spans int, traces []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.infos = slices.DeleteFunc(s.infos, func(b *blockInfo) bool {
		if b.seg != seg {
			return false
		}
		s.cache.drop(b)
		if b.kind == block.KindSpans {
			spans += b.count
			traces = append(traces, b.traces...)
		}
		return true
	})
	slices.Sort(traces)
	return spans, slices.Compact(traces)
}

// expire evicts segments whose spans are all older than MaxAge.
func (r *ring) expire(now time.Time) {
	age := r.s.opts.MaxAge
	if age <= 0 {
		return
	}
	for len(r.sealed) > 0 && r.s.newest(r.sealed[0]) < now.Add(-age).UnixNano() {
		if err := r.evict(fmt.Sprintf("it was older than %v", age)); err != nil {
			r.s.report("evict", err)
			return
		}
		r.publish()
	}
}

// newest returns the latest end of a segment's blocks.
func (s *Store) newest(seg segment) (ns int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.infos {
		if b.seg == seg {
			ns = max(ns, b.max)
		}
	}
	return ns
}

// dropBlock gives up a block that cannot be stored.
func (s *Store) dropBlock(b encodedBlock, why string) {
	s.counts.droppedBroken.Add(int64(b.info.count))
	s.report("block", fmt.Errorf("a block of %d spans is dropped: %s", b.info.count, why))
}

// load finds the segments that a former process left.
func (r *ring) load() error {
	entries, err := os.ReadDir(r.s.dir)
	if err != nil {
		return err
	}
	r.next = 1
	var nums []uint64
	for _, e := range entries {
		suffix := filepath.Ext(e.Name())
		num, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), suffix), 10, 64)
		if err != nil || suffix != segmentSuffix && suffix != damagedSuffix {
			continue // not ours
		}
		r.next = max(r.next, num+1)
		if suffix == segmentSuffix {
			nums = append(nums, num)
		} else if fi, err := e.Info(); err == nil {
			r.damaged = append(r.damaged, damagedFile{filepath.Join(r.s.dir, e.Name()), fi.Size()})
		}
	}
	slices.Sort(nums)
	for i, num := range nums {
		if err := r.loadSegment(num, i == len(nums)-1); err != nil {
			return errors.Join(err, r.close())
		}
	}
	r.publish()
	return nil
}

// loadSegment opens one segment and indexes its blocks; the newest goes on being
// written. A damaged one is set aside. A file of a newer format is an error: to
// set it aside would lose it.
func (r *ring) loadSegment(num uint64, newest bool) error {
	path := segmentPath(r.s.dir, num)
	limit := r.s.layout.segmentMax
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	write := newest && fi.Size() <= limit
	if err := checkFile(path); err != nil {
		r.setAside(path, err)
		return nil
	}
	seg, err := openSegment(path, num, limit, write)
	if err != nil {
		if isLocked(err) {
			return fmt.Errorf("another process holds %s: stop it, or give each process a directory of its own", path)
		}
		r.setAside(path, err)
		return nil
	}
	infos, log, err := seg.load()
	if err != nil {
		if errors.Is(err, errFormat) {
			seg.close()
			return fmt.Errorf("%w: open it with a newer version, or give this one a directory of its own", err)
		}
		seg.close()
		r.setAside(path, err)
		return nil
	}
	for _, info := range infos {
		r.s.addInfo(info)
		r.s.seq = max(r.s.seq, info.seq)
	}
	r.s.gone.decode(log, time.Now())
	if write {
		r.active = seg
	} else {
		r.sealed = append(r.sealed, seg)
	}
	return nil
}

// setAside renames a damaged file, so that it is neither used nor lost before
// its room is needed.
func (r *ring) setAside(path string, why error) {
	r.s.counts.damaged.Add(1)
	aside := strings.TrimSuffix(path, segmentSuffix) + damagedSuffix
	r.s.report("damaged "+path, fmt.Errorf("segment %s cannot be read and is set aside as %s: %w", path, filepath.Base(aside), why))
	if err := os.Rename(path, aside); err != nil {
		r.s.report("aside "+path, err)
		aside = path
	}
	if fi, err := os.Stat(aside); err == nil {
		r.damaged = append(r.damaged, damagedFile{aside, fi.Size()})
	}
}

// ringSizes is what Stats tells of the ring.
type ringSizes struct {
	segments               int
	bytes, damaged, active int64
}

// publish lets others see the ring's sizes.
func (r *ring) publish() {
	z := ringSizes{segments: len(r.sealed), bytes: r.bytes()}
	for _, d := range r.damaged {
		z.damaged += d.bytes
	}
	if r.active != nil {
		z.segments++
		z.active = r.active.size()
		z.bytes += z.active
	}
	r.s.mu.Lock()
	r.s.sizes = z
	r.s.mu.Unlock()
}

func (r *ring) close() (err error) {
	for _, seg := range append(r.sealed, r.active) {
		if seg != nil {
			err = errors.Join(err, seg.close())
		}
	}
	return err
}

func formatBytes(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
	}
	return fmt.Sprintf("%d KiB", (n+512)>>10)
}
