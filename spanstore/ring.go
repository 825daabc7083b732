package spanstore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// ring is the segments, oldest first. It belongs to the writer; others see what
// publish shows, the blocks' own seg fields and what Store.mu guards.
type ring struct {
	s   *Store
	run Run

	sealed  []sealedSegment
	active  segment   // nil until something is written
	since   time.Time // when the active segment began to be written
	begun   bool      // the run record is in the active segment
	next    uint64    // number of the next segment
	damaged []damagedFile
	wrecks  []wreckFile // damaged segments that have yet to be salvaged
	loaded  bool        // what a former process left is in the ring

	// logged says that the active segment has the log of evictions as it is.
	logged bool

	// kept are copies of kept traces that wait for room in the active segment;
	// until then readers find them in memory. pinsSaved is the version of the
	// pins that the active segment has.
	kept      []encodedBlock
	keptTimes intervals // when the traces ran that were kept last
	pinsSaved uint64
	indexed   int64             // what the active segment's part of the index takes
	copiers   [2]*block.Encoder // for kept traces; made when first needed
	lender    block.Finder      // what they copy from
}

// sealedSegment is a segment that is no longer written, and since when.
type sealedSegment struct {
	segment
	at time.Time
}

// damagedFile is a segment set aside. It counts towards the budget and is the
// first to go.
type damagedFile struct {
	path  string
	bytes int64
}

// commit makes blocks durable and indexes them. A block whose number is in the
// index already replaces what stood there. The numbers of blocks that cannot be
// stored at all are added to lost.
func (r *ring) commit(blocks []encodedBlock, lost map[uint64]bool) error {
	defer r.publish()
	for len(blocks) > 0 {
		n, err := r.commitSome(blocks, lost)
		if err != nil {
			return err
		}
		blocks = blocks[n:]
	}
	return nil
}

// commitSome commits as many blocks as the active segment has room for, in a new
// one when it has room for none.
func (r *ring) commitSome(blocks []encodedBlock, lost map[uint64]bool) (int, error) {
	if r.active == nil || r.crowded() {
		if err := r.rotate(); err != nil {
			return 0, err
		}
	}
	if err := r.fitMemory(); err != nil {
		return 0, err
	}
	if err := r.commitKept(); err != nil {
		return 0, err
	}
	for n := len(blocks); n > 0; n-- {
		if c := r.fill(blocks[:n]); r.active.room(c, r.limit()) {
			return n, r.commitOne(c)
		}
	}
	if c := r.fill(blocks[:1]); !r.active.fitsEmpty(c, r.s.layout.segmentMax) {
		// Limits keep blocks far below a segment. Should one be larger all the
		// same, it must not cost the ring a segment, nor stop what comes after.
		lost[blocks[0].info.seq] = true
		r.s.report("block", fmt.Errorf("a block of %d spans and %d bytes is dropped: it does not fit into a segment", blocks[0].info.count, c.bytes()))
		return 1, nil
	}
	return 0, r.rotate()
}

func (r *ring) commitOne(c *commit) error {
	if err := r.active.commit(c); err != nil {
		return r.after(err)
	}
	r.s.counts.written.Add(c.bytes())
	r.begun, r.logged = true, r.logged || c.log != nil
	if c.pins != nil {
		r.pinsSaved = c.pinsVersion
	}
	r.index(c.blocks)
	return nil
}

// fill makes the commit of blocks, with the run record and the log of evictions
// where the segment does not have them yet.
func (r *ring) fill(blocks []encodedBlock) *commit {
	c := &commit{blocks: blocks}
	if !r.begun && len(blocks) > 0 {
		run := r.run
		run.FirstBlock = blocks[0].info.seq
		c.run = &run
	}
	if !r.logged {
		c.log = r.log()
	}
	r.fillPins(c)
	return c
}

// log returns the log of evictions as it is stored.
func (r *ring) log() []byte {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.gone.encode()
}

// commitLog stores the log of evictions, pins and kept traces when they have
// changed and nothing else is to be written.
func (r *ring) commitLog() error {
	if r.active == nil && (r.unsavedPins() || len(r.kept) > 0) {
		if err := r.rotate(); err != nil {
			return err
		}
	}
	if r.active == nil {
		return nil
	}
	if err := r.commitKept(); err != nil {
		return err
	}
	if r.logged && !r.unsavedPins() {
		return nil
	}
	if c := r.fill(nil); r.active.room(c, r.limit()) {
		return r.commitOne(c)
	}
	return r.rotate()
}

// after deals with a failed commit: a segment that broke, or whose file somebody
// removed, is given up, so that the next attempt begins another.
func (r *ring) after(err error) error {
	switch {
	case isDamage(err):
		r.setAside(r.active, err)
		r.active = nil
	case errors.Is(err, os.ErrNotExist):
		spans, _ := r.s.forget(r.active)
		r.s.counts.lost.Add(int64(spans))
		err = errors.Join(err, r.active.close())
		r.active = nil
	}
	return err
}

// index puts committed blocks where readers find them.
func (r *ring) index(blocks []encodedBlock) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range blocks {
		info := b.info
		if info.seg != nil {
			// It is committed once more, as something went wrong after the last
			// time. Readers have the info that names the place of then.
			again := *info
			again.older = nil
			info = &again
		}
		info.seg = r.active
		r.indexed += info.memory()
		if was := s.infoOf(info.seq); was != nil && was.seg == r.active {
			r.indexed -= was.memory() // its shorter self, which makes way for it
		}
		s.addInfo(info)
	}
}

// rotate seals the active segment, makes room in the budget, and begins another.
func (r *ring) rotate() error {
	if r.active != nil {
		// A segment that could not be opened again stays in the ring: tidy tries
		// once more.
		r.s.tell("seal", r.active.seal())
		r.sealed = append(r.sealed, sealedSegment{r.active, time.Now()})
		r.active = nil
	}
	if err := r.salvageAll(); err != nil {
		return err
	}
	if err := r.makeRoom(r.s.layout.segmentMax, fmt.Sprintf("the ring's budget of %s was full", formatBytes(r.budget()+reserveBytes))); err != nil {
		return err
	}
	if err := r.fitCount(1); err != nil {
		return err
	}
	seg, err := r.create(r.next)
	if err != nil {
		return err
	}
	r.next++
	r.active, r.since, r.begun, r.logged, r.pinsSaved, r.indexed = seg, time.Now(), false, true, 0, 0
	return r.commitKept()
}

func (r *ring) create(num uint64) (segment, error) {
	if r.s.dir == "" {
		return newMemSegment(num), nil
	}
	path := segmentPath(r.s.dir, num)
	seg, err := createSegment(path, num, r.s.layout.segmentMost(), r.log())
	if err != nil {
		return nil, fmt.Errorf("begin segment %s: %w", path, err)
	}
	return seg, nil
}

// limit is what the active segment may take: all that the others leave of the
// budget, but no more than segmentMost.
func (r *ring) limit() int64 { return min(r.s.layout.segmentMost(), r.budget()-r.sealedBytes()) }

// budget is what all segments together may take.
func (r *ring) budget() int64 { return r.s.layout.segmentMax * int64(r.s.layout.segments) }

// makeRoom evicts until need fits into the budget beside the sealed segments.
func (r *ring) makeRoom(need int64, why string) error {
	for r.sealedBytes()+need > r.budget() {
		if r.removeDamaged() {
			continue
		}
		if len(r.sealed) == 0 {
			return fmt.Errorf("nothing is left to evict below a budget of %d bytes", r.budget())
		}
		if err := r.evict(why, true); err != nil {
			return err
		}
	}
	return nil
}

// countFactor is how many times as many segments as the budget is divided into
// there may be: each takes a descriptor and a memory map, however little
// is in it.
const countFactor = 4

// fitCount evicts until there are not too many segments, with more that begin.
func (r *ring) fitCount(more int) error {
	for most := countFactor * r.s.layout.segments; len(r.sealed) > 0 && len(r.sealed)+more > most; {
		if err := r.evict(fmt.Sprintf("there were more than %d segments", most), true); err != nil {
			return err
		}
	}
	return nil
}

// removeDamaged removes one file that was set aside, if that can be done.
func (r *ring) removeDamaged() bool {
	for i, d := range r.damaged {
		err := os.Remove(d.path)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			r.damaged = slices.Delete(r.damaged, i, i+1)
			return true
		}
		r.s.report("remove "+d.path, err)
	}
	return false
}

// sealedBytes is what all files but the active segment take.
func (r *ring) sealedBytes() (n int64) {
	for _, seg := range r.sealed {
		n += seg.size()
	}
	for _, d := range r.damaged {
		n += d.bytes
	}
	for _, w := range r.wrecks {
		n += w.bytes
	}
	return n
}

// evict removes the oldest segment, and remembers what went with it. With keep
// the traces that are to be kept move on first.
func (r *ring) evict(why string, keep bool) error {
	seg := r.sealed[0].segment
	var saved rescue
	if keep {
		saved = r.rescue(seg)
	}
	spans := r.exchange(seg, saved, why)
	r.s.counts.evictedSpans.Add(int64(spans))
	if err := seg.remove(); err != nil {
		return fmt.Errorf("evict segment %d: %w", seg.number(), err)
	}
	r.sealed = r.sealed[1:]
	r.s.counts.evictedSegments.Add(1)
	return nil
}

// forget takes a segment's blocks out of the index, and returns the spans and
// the traces' fingerprints that went with them.
func (s *Store) forget(seg segment) (spans int, traces []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forgetLocked(seg)
}

func (s *Store) forgetLocked(seg segment) (spans int, traces []uint32) {
	inMemory := map[uint64]bool{}
	for _, p := range s.pending() {
		inMemory[p.seq] = true
	}
	var again []*blockInfo
	s.dropInfos(func(b *blockInfo) bool {
		if b.seg != seg {
			return false
		}
		older := s.olderThan(b)
		if older != nil {
			again = append(again, older)
		}
		if b.kind != block.KindSpans || inMemory[b.seq] { // whose longer self comes again
			return true
		}
		spans += b.count
		if older != nil {
			spans -= older.count
		}
		traces = append(traces, b.traces...)
		return true
	})
	for _, older := range again {
		s.addInfo(older)
	}
	slices.Sort(traces)
	return spans, slices.Compact(traces)
}

// olderThan returns the version of a block in a sealed segment before its own,
// nil when there is none any more. It is the writer's, as the ring is, or
// Refresh's.
func (s *Store) olderThan(b *blockInfo) *blockInfo {
	for o := b.older; o != nil; o = o.older {
		if slices.ContainsFunc(s.ring.sealed, func(seg sealedSegment) bool { return seg.segment == o.seg && o.seg != b.seg }) {
			return o
		}
	}
	return nil
}

// tidy does what is due from time to time: segments that turned out to be
// damaged are salvaged, those that could not be opened again are tried once
// more, and those that are too old are evicted.
func (r *ring) tidy(now time.Time) {
	defer r.publish()
	var closed error
	r.sealed = slices.DeleteFunc(r.sealed, func(seg sealedSegment) bool {
		b, ok := seg.segment.(*boltSegment)
		switch {
		case !ok:
			return false
		case b.broken.Load():
			r.setAside(b, errDamaged)
			return true
		}
		closed = errors.Join(closed, b.reopen())
		return false
	})
	r.s.tell("reopen", closed)
	if b, ok := r.active.(*boltSegment); ok && b.broken.Load() {
		r.setAside(b, errDamaged)
		r.active = nil
	}
	r.s.tell("salvage", r.salvageAll())
	begun := 0
	if r.active != nil {
		begun = 1
	}
	r.s.tell("evict", errors.Join(r.fitCount(begun), r.expire(now)))
}

// share is how long one segment, and the block that is open, may gather spans
// so that MaxAge is kept for a quiet service too.
func (r *ring) share() time.Duration { return r.s.opts.MaxAge / time.Duration(r.s.layout.segments) }

// expire evicts segments whose spans are all older than MaxAge.
func (r *ring) expire(now time.Time) error {
	age := r.s.opts.MaxAge
	if age <= 0 {
		return nil
	}
	r.s.mu.Lock()
	if r.s.open.enc.Len() > 0 && now.Sub(r.s.open.since) > r.share() && r.s.mayWait() {
		r.s.closeOpen()
	}
	r.s.mu.Unlock()
	if r.active != nil && r.begun && now.Sub(r.since) > r.share() {
		if err := r.rotate(); err != nil {
			return err
		}
	}
	r.expireKept(now.Add(-age), fmt.Sprintf("it was older than %v", age))
	for len(r.sealed) > 0 && r.endOf(r.sealed[0]).Before(now.Add(-age)) {
		if err := r.evict(fmt.Sprintf("it was older than %v", age), false); err != nil {
			return err
		}
	}
	return nil
}

// endOf returns when the newest span of a sealed segment ended. A span cannot
// have ended after the segment was sealed, whatever its clock said.
func (r *ring) endOf(seg sealedSegment) time.Time {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	ns := int64(block.ZeroTime)
	for _, b := range r.s.infos {
		if b.seg == seg.segment {
			ns = max(ns, b.max)
		}
	}
	if end := block.FromUnixNano(ns); end.Before(seg.at) {
		return end
	}
	return seg.at
}

// setAside takes a damaged segment out of the ring, to be salvaged. Until then
// readers are told that it is damaged.
func (r *ring) setAside(seg segment, why error) {
	if b, ok := seg.(*boltSegment); ok {
		b.broken.Store(true)
		r.wreckAt(b.path, b.num, b, why)
	}
}

// ringSizes is what Stats tells of the ring.
type ringSizes struct {
	segments       int
	bytes, damaged int64
}

// publish lets others see the ring's sizes.
func (r *ring) publish() {
	z := ringSizes{segments: len(r.sealed), bytes: r.sealedBytes()}
	for _, d := range r.damaged {
		z.damaged += d.bytes
	}
	if r.active != nil {
		z.segments++
		z.bytes += r.active.size()
	}
	r.s.mu.Lock()
	r.s.sizes = z
	r.s.copyBytes = r.copiesWaiting()
	r.s.mu.Unlock()
	r.s.shareMemory()
	r.s.countKept()
}

func (r *ring) close() (err error) {
	for _, seg := range r.sealed {
		err = errors.Join(err, seg.close())
	}
	if r.active != nil {
		err = errors.Join(err, r.active.close())
	}
	return err
}

func formatBytes(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
	}
	return fmt.Sprintf("%d KiB", (n+512)>>10)
}
