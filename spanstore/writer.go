package spanstore

import (
	"fmt"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// So many full blocks, or bytes of them, are committed together, unless two
// seconds are over before: the two fdatasyncs of a commit and the five pages
// beside the blocks then cost next to nothing per span.
const (
	commitBlocks = 16
	commitBytes  = 1 << 20
)

// closeAt is how many spans the open block must have for the writer to close it
// when it commits what there is: a smaller one is written as it stands and
// written again when it has grown.
const closeAt = blockSpans / 2

// A failing disk is left alone for retryFirst, then less and less often.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 30 * time.Second
)

// batch is what one round of the writer makes durable.
type batch struct {
	full  []*pendingBlock
	usage []*pendingUsage

	// unfinished is a copy of the block that still takes spans, of.
	unfinished *block.Encoder
	of         *pendingBlock
	buf        []byte // to encode it into

	// lost are the numbers of blocks that turned out not to be storable.
	lost map[uint64]bool
}

func (b *batch) empty() bool { return len(b.full) == 0 && len(b.usage) == 0 && b.unfinished == nil }

// write is the one goroutine that touches the ring.
func (s *Store) write() {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	retry, next := retryFirst, time.Time{}
	for {
		var req flushRequest
		all := true
		select {
		case <-t.C:
			s.takeQueued()
			s.ring.tidy(time.Now())
			s.closeLarge()
		case <-s.wake:
			all = false
		case req = <-s.flushes:
		case f := <-s.calls:
			f()
			continue
		case <-s.stop:
			s.writeLast()
			return
		}
		if req.done == nil && time.Now().Before(next) {
			continue
		}
		err := s.writeOut(all)
		if err != nil {
			next = time.Now().Add(retry)
			retry = min(2*retry, retryMost)
		} else {
			retry, next = retryFirst, time.Time{}
		}
		if req.done != nil {
			req.done <- err
		}
	}
}

// writeLast makes durable what was accepted before Close and counts what could
// not be: nobody will try again.
func (s *Store) writeLast() {
	s.lastErr = s.writeOut(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := s.open.enc.Len() - s.open.committed
	for _, p := range s.full {
		lost += p.len() - p.committed
	}
	s.counts.droppedDisk.Add(int64(lost))
}

// writeOut commits what waits, and with all the unfinished block as it stands. It
// ends with what waited when it began: on a slow disk under load there always is
// more, and whoever waits for the writer has his turn in between.
func (s *Store) writeOut(all bool) error {
	broken := s.tellUnreported()
	s.mu.Lock()
	left := len(s.full) + 1 // the open block may be full by the time
	s.mu.Unlock()
	for {
		b := s.nextBatch(all)
		if b.empty() {
			return s.ring.commitLog()
		}
		err := guard(func() error { return s.ring.commit(s.encode(b), b.lost) })
		s.settle(b, err)
		if err != nil {
			s.report("write", fmt.Errorf("spans stay in memory and are dropped when they are too many: %w", err))
			return err
		}
		s.passed("write")
		if !broken && len(b.lost) == 0 && (len(b.full) > 0 || b.unfinished != nil) {
			s.passed("encode")
			s.passed("block")
		}
		if len(b.full) < commitBlocks {
			return nil
		}
		if left -= len(b.full); left <= 0 {
			s.wakeWriter()
			return nil
		}
	}
}

// closeLarge closes the open block when it is large enough to stay as it is.
func (s *Store) closeLarge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open.enc.Len() >= closeAt && s.mayWait() {
		s.closeOpen()
	}
}

// tellUnreported reports what went wrong under s.mu, where no code of others may
// run, if anything did.
func (s *Store) tellUnreported() (did bool) {
	s.mu.Lock()
	err := s.unreported
	s.unreported = nil
	s.mu.Unlock()
	if err != nil {
		s.report("encode", err)
	}
	return err != nil
}

func (s *Store) nextBatch(all bool) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &batch{full: slices.Clone(s.full[:min(len(s.full), commitBlocks)]), lost: map[uint64]bool{}}
	if !all && !s.groupWaits() {
		return &batch{}
	}
	b.usage = slices.Clone(s.usage)
	if n := s.open.enc.Len(); all && len(b.full) < commitBlocks && n > s.open.committed {
		b.of, b.unfinished, b.buf = s.open, s.open.read(s.codec).enc, s.buffer()
	}
	return b
}

// encode turns a batch into blocks for the ring. An unfinished one that cannot be
// encoded is lost; it must not stop all others.
func (s *Store) encode(b *batch) []encodedBlock {
	var out []encodedBlock
	for _, p := range b.full {
		out = append(out, p.ready)
	}
	for _, u := range b.usage {
		out = append(out, encodedBlock{info: u.info, summary: u.info.encode(), data: u.data})
	}
	if b.unfinished == nil {
		return out
	}
	err := guard(func() error {
		out = append(out, s.encodeBlock(b.of.seq, b.unfinished, b.buf))
		b.buf = out[len(out)-1].data
		return nil
	})
	if err != nil {
		b.lost[b.of.seq] = true
		s.report("encode", fmt.Errorf("a block of %d spans is dropped: %w", b.unfinished.Len(), err))
	}
	return out
}

// settle records what became of a batch. What was committed got its place in
// the index by ring.commit; here it leaves the waiting lists.
func (s *Store) settle(b *batch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	if err != nil {
		return
	}
	s.counts.commits.Add(1)
	count := func(p *pendingBlock, spans int) {
		if b.lost[p.seq] {
			s.counts.droppedBroken.Add(int64(spans - p.committed))
		} else {
			s.counts.durable.Add(int64(spans - p.committed))
		}
	}
	for _, p := range b.full {
		count(p, p.len())
		s.fullBytes -= int64(len(p.ready.data))
		s.recycle(p)
	}
	s.full = slices.Delete(s.full, 0, len(b.full))
	s.usage = slices.Delete(s.usage, 0, len(b.usage))
	if b.unfinished != nil {
		if cap(b.buf) <= largeBuffer && len(s.buffers) < maxBuffers {
			s.buffers = append(s.buffers, b.buf[:0])
		}
		count(b.of, b.unfinished.Len())
		b.of.committed = b.unfinished.Len()
		if b.lost[b.of.seq] && s.open == b.of {
			s.counts.droppedBroken.Add(int64(b.of.enc.Len() - b.of.committed))
			s.open = s.newPending(block.NewEncoder(s.layout.limits))
		}
	}
	if s.mayWait() {
		s.passed("slow")
	}
	close(s.room)
	s.room = make(chan struct{})
}
