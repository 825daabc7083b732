package spanstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// queueSpans bounds the spans that wait between OnEnd and the columns, as
	// Options.MaxMemory does: at 50,000 spans/s about 0.3 s.
	queueSpans = 16384

	// drainAt wakes the drain early; drainEvery is its slowest pace.
	drainAt    = 512
	drainEvery = 200 * time.Millisecond

	// maxWaiting and maxWaitingBytes bound the full blocks that wait for the
	// disk, encoded, in memory.
	maxWaiting      = 4 * commitBlocks
	maxWaitingBytes = 4 << 20

	// patience is how long ExportSpans waits for a slow but working disk.
	patience = time.Second
)

// Processor returns a span processor that feeds the store. Unlike the SDK's
// batch processor it takes spans that are recorded without being sampled (see
// RecordAll), queries see a span as soon as it has ended, and what its bounded
// queue cannot hold is counted in Stats. Its OnEnd never blocks. Several
// providers may have one each; Shutdown and ForceFlush flush, only Store.Close
// closes.
func (s *Store) Processor() sdktrace.SpanProcessor { return processor{s} }

type processor struct{ s *Store }

func (p processor) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (p processor) Shutdown(ctx context.Context) error              { return p.s.Flush(ctx) }
func (p processor) ForceFlush(ctx context.Context) error            { return p.s.Flush(ctx) }

func (p processor) OnEnd(span sdktrace.ReadOnlySpan) {
	if p.s != nil {
		p.s.queue.push(span, &p.s.counts)
	}
}

// spanQueue is the bounded queue between requests and the store's background.
type spanQueue struct {
	mu     sync.Mutex // guards the rest
	spans  []sdktrace.ReadOnlySpan
	spare  []sdktrace.ReadOnlySpan
	taken  int    // spans that are on their way to the columns, and may come back
	pushed uint64 // spans that ever came in
	most   int    // spans that may wait, those taken included
	closed bool
	wake   chan struct{}

	// taking is held while spans move from the queue to the columns, so that
	// whoever takes it after has every span that ended before. Nobody waits for
	// the disk with it in hand.
	taking sync.Mutex
}

func (q *spanQueue) init() { q.wake, q.most = make(chan struct{}, 1), queueSpans }

func (q *spanQueue) push(span sdktrace.ReadOnlySpan, c *counters) {
	q.mu.Lock()
	switch {
	case q.closed:
		q.mu.Unlock()
		c.droppedClosed.Add(1)
		return
	case q.waiting() >= q.most:
		q.mu.Unlock()
		c.droppedQueue.Add(1)
		return
	}
	q.spans = append(q.spans, span)
	q.pushed++
	n := len(q.spans)
	q.mu.Unlock()
	if n%drainAt == 0 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// waiting is how many spans the queue answers for. q.mu is held.
func (q *spanQueue) waiting() int { return len(q.spans) + q.taken }

// len is waiting, for whoever does not hold q.mu.
func (q *spanQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting()
}

// ended returns how many spans ever came in, and moved how many of them are in
// the columns, or lost.
func (q *spanQueue) ended() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushed
}

func (q *spanQueue) moved() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushed - uint64(q.waiting())
}

// close lets nothing more in.
func (q *spanQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
}

// drain moves spans from the queue to the columns until the store stops.
func (s *Store) drain() {
	t := time.NewTicker(drainEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.queue.wake:
		case <-s.stop:
			return
		}
		s.takeQueued()
	}
}

// takeQueued accepts the spans that ended before the call, and reports whether
// that was all of them: what finds no room stays in the queue.
func (s *Store) takeQueued() (all bool) {
	q := &s.queue
	q.taking.Lock()
	defer q.taking.Unlock()
	q.mu.Lock()
	batch := q.spans
	q.spans, q.spare, q.taken = q.spare[:0], nil, len(batch)
	q.mu.Unlock()
	rest, err := s.fill(s.redacted(batch))
	if err != nil {
		s.counts.droppedClosed.Add(int64(len(rest)))
		rest = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken = 0
	if len(rest) > 0 {
		q.spans = append(slices.Clone(rest), q.spans...)
	}
	clear(batch) // let the spans go
	q.spare = batch
	return len(rest) == 0
}

// redacted returns the spans as they may be stored. It is called without any
// lock that the program's own code, which it runs, could need.
func (s *Store) redacted(spans []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	if s.redactor == nil {
		return spans
	}
	return s.redactor.spans(spans)
}

// ExportSpans accepts spans; they are readable when it returns and durable
// within two seconds, or at once with Flush. It fails only after Close. When
// the disk fails spans are dropped and counted; while it works but cannot keep
// up ExportSpans waits, for a second at most and no longer than ctx.
func (s *Store) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if s == nil {
		return nil
	}
	if s.opts.ReadOnly {
		s.counts.droppedClosed.Add(int64(len(spans)))
		return ErrReadOnly
	}
	spans = s.redacted(spans)
	var late <-chan time.Time
	for {
		rest, err := s.accept(spans)
		if err != nil {
			s.counts.droppedClosed.Add(int64(len(rest)))
			return err
		}
		if len(rest) == 0 {
			return nil
		}
		if late == nil {
			t := time.NewTimer(patience)
			defer t.Stop()
			late = t.C
		}
		if !s.waitForRoom(ctx, late) {
			s.counts.droppedDisk.Add(int64(len(rest)))
			return nil
		}
		spans = rest
	}
}

// accept is fill for what comes from outside, which ends when Close begins: else
// Close would wait for more and more.
func (s *Store) accept(spans []sdktrace.ReadOnlySpan) (rest []sdktrace.ReadOnlySpan, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return spans, ErrClosed
	}
	return s.fillLocked(spans)
}

// fill adds spans to the open block, and to the next, until as many blocks wait
// for the disk as may. It returns those that found no room.
func (s *Store) fill(spans []sdktrace.ReadOnlySpan) (rest []sdktrace.ReadOnlySpan, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fillLocked(spans)
}

func (s *Store) fillLocked(spans []sdktrace.ReadOnlySpan) (rest []sdktrace.ReadOnlySpan, err error) {
	if s.closed {
		return spans, ErrClosed
	}
	warm := 0
	for i, span := range spans {
		if i >= warm {
			warm = i + s.open.enc.Warm(spans[i:])
		}
		if s.openIsFull() && !s.handOver() {
			return spans[i:], nil
		}
		if span == nil {
			continue
		}
		clipped := s.open.enc.Clipped()
		if s.open.enc.Add(span) {
			s.counts.accepted.Add(1)
		} else {
			s.counts.droppedBroken.Add(1)
		}
		s.counts.clipped.Add(int64(s.open.enc.Clipped() - clipped))
	}
	if s.openIsFull() {
		s.handOver()
	}
	return nil, nil
}

// handOver closes the open block, unless too many wait already, and wakes the
// writer when a group of them does. s.mu is held.
func (s *Store) handOver() bool {
	room := s.mayWait()
	if room {
		s.closeOpen()
	}
	if !room || s.groupWaits() || s.unreported != nil {
		s.wakeWriter()
	}
	return room
}

// mayWait reports whether one more block may wait for the disk. s.mu is held.
func (s *Store) mayWait() bool {
	return len(s.full) < maxWaiting && s.fullBytes < min(maxWaitingBytes, s.maxMemory/8)
}

// groupWaits reports whether as many blocks wait as one transaction should have.
// s.mu is held.
func (s *Store) groupWaits() bool {
	return len(s.full) >= commitBlocks || s.fullBytes >= min(commitBytes, s.layout.segmentMax/8)
}

// waitForRoom waits until the writer has taken a block. It gives up when the
// disk is failing, the store closes, or it is late.
func (s *Store) waitForRoom(ctx context.Context, late <-chan time.Time) bool {
	s.mu.Lock()
	room, free, bad := s.room, s.mayWait(), s.failed != nil || s.closed
	s.mu.Unlock()
	if free || bad {
		return free
	}
	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	select {
	case <-room:
		return true
	case <-done:
	case <-s.stop:
	case <-late:
		s.report("slow", errors.New("the disk cannot keep up: spans are dropped and counted"))
	}
	return false
}

// Shutdown is Flush: several providers may share a store, so only Close closes.
func (s *Store) Shutdown(ctx context.Context) error { return s.Flush(ctx) }

// ForceFlush is Flush.
func (s *Store) ForceFlush(ctx context.Context) error { return s.Flush(ctx) }

// Flush makes durable every span that ended before the call, and returns why it
// could not. What a context that ends too soon leaves behind is not lost: it
// becomes durable later. On a store in memory durable means in the ring.
func (s *Store) Flush(ctx context.Context) error {
	if s == nil || s.opts.ReadOnly {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	for ended := s.queue.ended(); ; {
		s.takeQueued()
		all := s.queue.moved() >= ended // whatever has come since
		if err := s.flushOnce(ctx); err != nil || all {
			return err
		}
	}
}

func (s *Store) flushOnce(ctx context.Context) error {
	req := flushRequest{done: make(chan error, 1)}
	select {
	case s.flushes <- req:
	case <-s.stop:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("flush span store: %w", ctx.Err())
	}
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("flush span store: %w", ctx.Err())
	}
}

type flushRequest struct{ done chan error }

func (s *Store) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
