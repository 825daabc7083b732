package profiler

import (
	"context"
	"errors"
	"testing"
	"time"
)

// idleFor makes the exact level believe that nothing has happened for so long, and
// look.
func (x *exactLevel) idleFor(d time.Duration) {
	x.clocks.state.Store(clocksAsleep)
	x.mu.Lock()
	x.busy = time.Now().Add(-d)
	_, x.seen = x.p.spans.traffic()
	x.mu.Unlock()
	x.decide(0, 1)
}

// TestExactIdle: the flight recorder stops when no span is in flight for a while, and
// runs again when one starts, or somebody asks for exact states.
func TestExactIdle(t *testing.T) {
	p, tracer := exactProfiler(t)
	armedSoon := func() {
		t.Helper()
		for range 400 {
			if p.Stats().Exact.Armed {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
		t.Fatalf("it does not run again: %+v", p.Stats().Exact)
	}
	p.exact.idleFor(exactIdle / 2)
	armedSoon()

	p.exact.idleFor(exactIdle)
	offFor(t, p, whyIdle)
	p.exact.decide(0, 1)
	offFor(t, p, whyIdle)
	ctx, span := tracer.Start(context.Background(), "GET /first")
	armedSoon()

	p.exact.idleFor(2 * exactIdle)
	armedSoon() // there is a span
	_, child := tracer.Start(ctx, "child")
	child.End()
	span.End()

	p.exact.idleFor(exactIdle)
	offFor(t, p, whyIdle)
	asked, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.Capture(asked, span.SpanContext().TraceID()); err != nil && !errors.Is(err, ErrNotRecorded) {
		t.Errorf("Capture: %v", err)
	}
	armedSoon()
	p.exact.idleFor(exactIdle)
	if !p.CaptureAtEnd(span.SpanContext().TraceID()) {
		t.Error("CaptureAtEnd: got that the exact level is off")
	}
}

// TestExactIdleBetweenLooks: what is looked at once a second may be over by then: a
// short request a second is not nothing. Nor is a request that waits for a snapshot.
func TestExactIdleBetweenLooks(t *testing.T) {
	p, tracer := exactProfiler(t)
	x := p.exact
	look := func() bool {
		x.clocks.state.Store(clocksAsleep)
		x.mu.Lock()
		defer x.mu.Unlock()
		x.busy = time.Now().Add(-2 * exactIdle)
		return x.idle(time.Now())
	}
	_, span := tracer.Start(context.Background(), "GET /short")
	span.End()
	if look() {
		t.Error("got that it is idle; want that a span has ended")
	}
	if !look() {
		t.Error("got that it is busy; want that nothing has happened since")
	}
	x.mu.Lock()
	x.after = time.Now().Add(time.Hour)
	x.slow[span.SpanContext().TraceID()] = true
	x.mu.Unlock()
	if look() {
		t.Error("got that it is idle; want that a request waits for a snapshot")
	}
}

// TestClocksSleep: the threads' clocks are read while spans start and end, and no
// more when none does.
func TestClocksSleep(t *testing.T) {
	c := clocks{wake: make(chan struct{}, 1)}
	woken := func() bool { return len(c.wake) == 1 }
	c.moved()
	if !woken() || c.state.Load() != clocksMoved {
		t.Error("the first span did not wake them")
	}
	<-c.wake
	c.moved()
	if woken() {
		t.Error("the second woke them again")
	}
	c.state.Store(clocksQuiet) // they have been read
	c.moved()
	if woken() || c.state.Load() != clocksMoved {
		t.Error("they are awake, and must only be told")
	}
}
