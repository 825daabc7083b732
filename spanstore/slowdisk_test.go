package spanstore

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// hang lets the writer stand still, as a disk does that hangs, with as many blocks
// waiting as may, until the returned function is called.
func hang(t *testing.T, s *Store) (goOn func()) {
	t.Helper()
	stands, release := make(chan struct{}), make(chan struct{})
	s.calls <- func() {
		close(stands)
		<-release
	}
	<-stands
	const full = maxWaitingBytes + 1
	s.mu.Lock()
	s.fullBytes += full
	s.mu.Unlock()
	var done atomic.Bool
	goOn = func() {
		if done.Swap(true) {
			return
		}
		s.mu.Lock()
		s.fullBytes -= full
		s.mu.Unlock()
		close(release)
	}
	return goOn
}

// What finds no room comes back to the queue, and is not redacted again.
func TestRedactOnceThoughTheDiskHangs(t *testing.T) {
	s, err := Open("", &Options{Redact: func(f Field, v attribute.Value) (attribute.Value, bool) {
		if f.Of == SpanAttribute {
			return attribute.StringValue("h(" + v.AsString() + ")"), true
		}
		return v, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	goOn := hang(t, s)
	defer goOn() // before Close, which waits for the writer
	g := spangen.New(1)
	span := single(g)
	span.Attributes = []attribute.KeyValue{attribute.String("k", "v")}
	for range blockSpans + 1 { // the last one finds no room
		span.SpanContext = span.SpanContext.WithTraceID(g.TraceID())
		s.queue.push(span.Snapshot(), &s.counts)
	}
	for range 3 {
		if s.takeQueued() {
			t.Fatal("there was room for all spans")
		}
	}
	goOn()
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	tr, err := s.Trace(context.Background(), span.SpanContext.TraceID())
	if err != nil {
		t.Fatal(err)
	}
	if got := tr.Spans[0].Attributes[0].Value.AsString(); got != "h(v)" {
		t.Errorf("got %q; want it redacted once: h(v)", got)
	}
}

// Spans that are being redacted, and come back as the disk hangs, count towards
// the queue's bound while they are away.
func TestQueueIsBoundedWhileRedacting(t *testing.T) {
	var gate atomic.Pointer[chan struct{}]
	s, err := Open("", &Options{Redact: func(_ Field, v attribute.Value) (attribute.Value, bool) {
		if g := gate.Load(); g != nil {
			<-*g
		}
		return v, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	goOn := hang(t, s)
	defer goOn()
	span := single(spangen.New(1)).Snapshot()
	for range blockSpans {
		s.queue.push(span, &s.counts)
	}
	s.takeQueued()
	bound := s.queue.most
	fresh := single(spangen.New(2)).Snapshot()
	for range 3 {
		g := make(chan struct{})
		gate.Store(&g)
		for range bound {
			s.queue.push(fresh, &s.counts)
		}
		done := make(chan struct{})
		go func() { s.takeQueued(); close(done) }()
		for !s.queue.away() {
			time.Sleep(time.Millisecond)
		}
		for range bound {
			s.queue.push(fresh, &s.counts)
		}
		if n := s.Stats().Queued; n > int64(bound) {
			t.Errorf("%d spans are queued while some are redacted; want %d at most", n, bound)
		}
		gate.Store(nil)
		close(g)
		<-done
		if n := s.Stats().Queued; n > int64(bound) {
			t.Errorf("%d spans are queued; want %d at most", n, bound)
		}
	}
	if st := s.Stats(); st.DroppedQueue+st.Queued+st.Accepted != 6*int64(bound)+blockSpans {
		t.Errorf("spans are not accounted for: %+v", st)
	}
}

// away reports whether the queue's spans have been taken.
func (q *spanQueue) away() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.spans) == 0 && q.taken > 0
}
