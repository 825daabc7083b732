package spanstore

import (
	"fmt"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// commitBlocks is how many full blocks go into one transaction, at most: with
// that many the two fdatasyncs of a commit cost next to nothing per span.
const commitBlocks = 16

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
		lost += p.enc.Len() - p.committed
	}
	s.counts.droppedDisk.Add(int64(lost))
}

// writeOut commits what waits, and with all the unfinished block as it stands.
func (s *Store) writeOut(all bool) error {
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
		if len(b.full) < commitBlocks {
			return nil
		}
	}
}

func (s *Store) nextBatch(all bool) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &batch{full: slices.Clone(s.full[:min(len(s.full), commitBlocks)]), lost: map[uint64]bool{}}
	if !all && len(b.full) == 0 {
		return b
	}
	b.usage = slices.Clone(s.usage)
	if n := s.open.enc.Len(); all && len(b.full) < commitBlocks && n > s.open.committed {
		b.of, b.unfinished = s.open, s.open.read(true).enc
	}
	return b
}

// encode turns a batch into blocks for the ring. One that cannot be encoded is
// lost; it must not stop all others.
func (s *Store) encode(b *batch) []encodedBlock {
	var out []encodedBlock
	add := func(seq uint64, enc *block.Encoder) {
		err := guard(func() error {
			out = append(out, s.encodeBlock(seq, enc))
			return nil
		})
		if err != nil {
			b.lost[seq] = true
			s.report("encode", fmt.Errorf("a block of %d spans is dropped: %w", enc.Len(), err))
		}
	}
	for _, p := range b.full {
		add(p.seq, p.enc)
	}
	for _, u := range b.usage {
		out = append(out, encodedBlock{info: u.info, summary: u.info.encode(), data: u.data})
	}
	if b.unfinished != nil {
		add(b.of.seq, b.unfinished)
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
		count(p, p.enc.Len())
		s.recycle(p)
	}
	s.full = slices.Delete(s.full, 0, len(b.full))
	s.usage = slices.Delete(s.usage, 0, len(b.usage))
	if b.unfinished != nil {
		count(b.of, b.unfinished.Len())
		b.of.committed = b.unfinished.Len()
		if b.lost[b.of.seq] && s.open == b.of {
			s.counts.droppedBroken.Add(int64(b.of.enc.Len() - b.of.committed))
			s.open = s.newPending()
		}
	}
	close(s.room)
	s.room = make(chan struct{})
}
