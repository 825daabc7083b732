package spanstore

import (
	"fmt"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// commitBlocks is how many full blocks go into one transaction, at most: with
// eight the two fdatasyncs of a commit cost next to nothing per span.
const commitBlocks = 8

// retryAfter bounds how long the writer stays away from a failing disk.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 30 * time.Second
)

// batch is what one round of the writer makes durable.
type batch struct {
	full  []*pendingBlock
	usage []*pendingUsage
	tail  *block.Encoder // copy of the unfinished block
	open  *pendingBlock  // the block that tail is a copy of
}

func (b *batch) empty() bool { return len(b.full) == 0 && len(b.usage) == 0 && b.tail == nil }

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
			s.ring.expire(time.Now())
		case <-s.wake:
			all = false
		case req = <-s.flushes:
		case <-s.stop:
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

// writeOut commits what waits, and with all the unfinished block as it stands.
func (s *Store) writeOut(all bool) error {
	for {
		b := s.nextBatch(all)
		if b.empty() {
			return nil
		}
		err := guard(func() error { return s.ring.commit(s.encode(b)) })
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
	b := &batch{full: slices.Clone(s.full[:min(len(s.full), commitBlocks)])}
	if !all && len(b.full) == 0 {
		return b
	}
	b.usage = slices.Clone(s.usage)
	if n := s.open.enc.Len(); all && len(b.full) < commitBlocks && n > s.open.tail {
		b.open, b.tail = s.open, s.open.read().enc
	}
	return b
}

func (s *Store) encode(b *batch) []encodedBlock {
	var out []encodedBlock
	for _, p := range b.full {
		out = append(out, s.encodeBlock(p.seq, p.enc))
	}
	for _, u := range b.usage {
		out = append(out, encodedBlock{info: u.info, summary: u.info.encode(), data: u.data})
	}
	if b.tail != nil {
		out = append(out, s.encodeBlock(b.open.seq, b.tail))
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
	for _, p := range b.full {
		s.counts.durable.Add(int64(p.enc.Len() - p.tail))
	}
	s.full = slices.Delete(s.full, 0, len(b.full))
	s.usage = slices.Delete(s.usage, 0, len(b.usage))
	if b.tail != nil {
		s.counts.durable.Add(int64(b.tail.Len() - b.open.tail))
		b.open.tail = b.tail.Len()
	}
	close(s.room)
	s.room = make(chan struct{})
}
