package spanstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// queueSpans bounds the spans that wait between OnEnd and the columns: at
	// 50,000 spans/s about 0.3 s.
	queueSpans = 16384

	// drainAt wakes the drain early; drainEvery is its slowest pace.
	drainAt    = 512
	drainEvery = 200 * time.Millisecond

	// maxWaiting bounds the full blocks that wait for the disk, in memory.
	maxWaiting = 8

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
	closed bool
	wake   chan struct{}

	// taking is held while a batch moves from the queue to the columns, so that
	// whoever takes it after has every span that ended before.
	taking sync.Mutex
}

func (q *spanQueue) init() { q.wake = make(chan struct{}, 1) }

func (q *spanQueue) push(span sdktrace.ReadOnlySpan, c *counters) {
	q.mu.Lock()
	switch {
	case q.closed:
		q.mu.Unlock()
		c.droppedClosed.Add(1)
		return
	case len(q.spans) >= queueSpans:
		q.mu.Unlock()
		c.droppedQueue.Add(1)
		return
	}
	q.spans = append(q.spans, span)
	n := len(q.spans)
	q.mu.Unlock()
	if n%drainAt == 0 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
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
		s.takeQueued(context.Background(), true)
	}
}

// takeQueued accepts every span that ended before the call. With wait it waits
// for a slow disk and drops what that cannot take; without, such spans stay in
// the queue.
func (s *Store) takeQueued(ctx context.Context, wait bool) {
	q := &s.queue
	q.taking.Lock()
	defer q.taking.Unlock()
	q.mu.Lock()
	batch := q.spans
	q.spans, q.spare = q.spare[:0], nil
	q.mu.Unlock()
	rest := s.accept(ctx, batch, wait)
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(rest) > 0 {
		q.spans = append(slices.Clone(rest), q.spans...)
	}
	clear(batch) // let the spans go
	q.spare = batch
}

// ExportSpans accepts spans; they are readable when it returns and durable
// within two seconds, or at once with Flush. It fails only after Close. When
// the disk fails spans are dropped and counted; while it works but cannot keep
// up ExportSpans waits, for a second at most.
func (s *Store) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		s.counts.droppedClosed.Add(int64(len(spans)))
		return ErrClosed
	}
	s.accept(ctx, spans, true)
	return nil
}

// accept puts spans into the open block. Those that find no room are dropped
// after a wait, or returned at once.
func (s *Store) accept(ctx context.Context, spans []sdktrace.ReadOnlySpan, wait bool) (rest []sdktrace.ReadOnlySpan) {
	// A span that makes the codec panic would leave columns of unequal length:
	// its block is given up, the host runs on.
	defer func() {
		if p := recover(); p != nil {
			s.abandonOpen(fmt.Errorf("span could not be encoded: %v", p))
		}
	}()
	for len(spans) > 0 {
		spans = spans[s.fill(spans):]
		switch {
		case len(spans) == 0:
		case !wait:
			return spans
		case !s.waitForRoom(ctx):
			s.counts.droppedFull.Add(int64(len(spans)))
			return nil
		}
	}
	return nil
}

// fill adds spans until the waiting blocks are as many as may be, and returns
// how many it took.
func (s *Store) fill(spans []sdktrace.ReadOnlySpan) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, span := range spans {
		if s.open.full(s.layout) {
			if len(s.full) >= maxWaiting {
				s.wakeWriter()
				return i
			}
			s.closeOpen()
		}
		if span == nil {
			continue
		}
		s.open.enc.Add(span)
		s.counts.accepted.Add(1)
	}
	if s.open.full(s.layout) && len(s.full) < maxWaiting {
		s.closeOpen()
	}
	return len(spans)
}

// closeOpen hands the open block to the writer and begins another. s.mu is held.
func (s *Store) closeOpen() {
	s.counts.clipped.Add(int64(s.open.enc.Clipped()))
	s.full = append(s.full, s.open)
	s.open = s.newPending()
	s.wakeWriter()
}

func (s *Store) abandonOpen(err error) {
	s.mu.Lock()
	s.counts.droppedBroken.Add(int64(s.open.enc.Len() + 1))
	s.open = s.newPending()
	s.mu.Unlock()
	s.report("encode", err)
}

// waitForRoom waits until the writer has taken a block. It gives up after a
// while, and at once when the disk is failing.
func (s *Store) waitForRoom(ctx context.Context) bool {
	s.mu.Lock()
	room, bad := s.room, s.failed != nil || s.closed
	s.mu.Unlock()
	if bad {
		return false
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-room:
		return true
	case <-ctx.Done():
	case <-s.stop:
	case <-t.C:
		s.report("slow", fmt.Errorf("the disk cannot keep up: spans are dropped and counted"))
	}
	return false
}

// Shutdown is Flush: several providers may share a store, so only Close closes.
func (s *Store) Shutdown(ctx context.Context) error { return s.Flush(ctx) }

// ForceFlush is Flush.
func (s *Store) ForceFlush(ctx context.Context) error { return s.Flush(ctx) }

// Flush makes durable every span that ended before the call, and returns why it
// could not. On a store in memory it only accepts them.
func (s *Store) Flush(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.takeQueued(ctx, true)
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
