package spanstore

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

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
	g := make(chan struct{})
	gate.Store(&g)
	for range bound {
		s.queue.push(fresh, &s.counts)
	}
	done := make(chan struct{})
	go func() { s.takeQueued(); close(done) }()
	for !s.queue.away() { // they stay away: the gate is shut
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
	if st := s.Stats(); st.DroppedQueue+st.Queued+st.Accepted != 2*int64(bound)+blockSpans {
		t.Errorf("spans are not accounted for: %+v", st)
	}
}

// away reports whether spans of the queue have been taken.
func (q *spanQueue) away() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken > 0
}

// slowSegment is one of a disk on which each commit waits until it is let go.
type slowSegment struct {
	*memSegment
	next chan struct{}
}

func (s slowSegment) commit(c *commit) error {
	<-s.next
	return s.memSegment.commit(c)
}

// slowDown has the store write to a slowSegment. Before each commit, during is
// called by another goroutine until the returned function is.
func slowDown(t *testing.T, s *Store, during func()) (stop func()) {
	t.Helper()
	next, quit, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	betweenCommits(t, s, func() error {
		if err := s.ring.rotate(); err != nil {
			return err
		}
		s.ring.active = slowSegment{s.ring.active.(*memSegment), next}
		return nil
	})
	go func() {
		defer close(ended)
		for {
			during()
			select {
			case next <- struct{}{}:
			case <-quit:
				close(next)
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// load fills blocks until as many wait as may, each time it is called: there never
// are fewer than a commit takes.
func load(s *Store) func() {
	span := single(spangen.New(3)).Snapshot()
	spans := make([]sdktrace.ReadOnlySpan, blockSpans)
	for i := range spans {
		spans[i] = span
	}
	return func() {
		for {
			if rest, err := s.accept(spans); len(rest) > 0 || err != nil {
				return
			}
		}
	}
}

// While more comes than a slow disk takes, Flush, the writer's own work and Check
// have their turn, and Close ends.
func TestSlowDiskUnderLoad(t *testing.T) {
	s, err := Open("", &Options{MaxBytes: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	g := spangen.New(1)
	var rounds atomic.Int64
	more := load(s)
	stop := slowDown(t, s, func() { more(); rounds.Add(1) })
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"flush", func() error { return s.Flush(ctx) }},
		{"the writer's own work", func() error { return s.between(ctx, func() {}) }},
	} {
		before := rounds.Load()
		for rounds.Load() < before+3 {
			time.Sleep(time.Millisecond)
		}
		before = rounds.Load()
		if err := c.do(); err != nil {
			t.Fatalf("%s does not end under load: %v", c.what, err)
		}
		// It is chosen among three that wait, so a few rounds may pass.
		if n := rounds.Load() - before; n > 100 {
			t.Errorf("%s took %d commits", c.what, n)
		}
	}
	for waited := rounds.Load() + 3; rounds.Load() < waited; {
		time.Sleep(time.Millisecond)
	}
	last := single(g)
	s.queue.push(last.Snapshot(), &s.counts)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.Durable != st.Accepted || st.Dropped() > 0 {
		t.Errorf("what was accepted before Close is not durable: %+v", st)
	}
}

// Close refuses what comes while it waits for the disk, and makes durable what
// came before, queued or not.
func TestCloseRefusesBeforeItWaits(t *testing.T) {
	s, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	goOn := hang(t, s)
	defer goOn()
	span := single(spangen.New(1))
	for range blockSpans + 10 {
		s.queue.push(span.Snapshot(), &s.counts)
	}
	s.takeQueued()
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := s.accept(nil); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("Close waits and lets more in")
		}
	}
	if err := s.ExportSpans(context.Background(), tracetest.SpanStubs{span}.Snapshots()); err != ErrClosed {
		t.Errorf("export during Close: got %v; want ErrClosed", err)
	}
	select {
	case err := <-closed:
		t.Fatalf("Close did not wait: %v", err)
	default:
	}
	goOn()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Durable != blockSpans+10 || st.DroppedClosed != 1 || st.Dropped() != 1 {
		t.Errorf("not all that came before Close is durable: %+v", st)
	}
}
