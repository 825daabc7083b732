package profiler

import (
	"context"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/spanclock/spanclock/profiler/internal/exectrace"
)

// clocks writes the threads' clocks into the trace while spans start and end, every
// exectrace.ReadEvery. While none does it sleeps: a process that is woken fifty
// times a second, with all that the Go runtime does about it, takes 1 % of a core.
type clocks struct {
	state atomic.Int32
	wake  chan struct{}
}

// States of clocks.
const (
	clocksAsleep int32 = iota // what moves must wake them
	clocksQuiet               // nothing has moved since the last reading
	clocksMoved
)

// longestSleep is when clocks are read all the same if spans are in flight: what one
// of them does alone for seconds is then known second by second.
const longestSleep = time.Second

// moved notes that a span has started or ended. It is called while a trace is taken;
// of those who call it only the first after a reading writes.
func (c *clocks) moved() {
	if c.state.Load() == clocksMoved || c.state.Swap(clocksMoved) != clocksAsleep {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (x *exactLevel) moved() {
	if x != nil {
		x.clocks.moved()
	}
}

// readClocks reads them until the profiler stops.
func (x *exactLevel) readClocks() {
	defer x.p.rescue()
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(ownKey, ownExact)))
	var threads exectrace.ThreadClock
	defer threads.Close()
	t := time.NewTimer(longestSleep)
	defer t.Stop()
	for {
		select {
		case <-x.p.done:
			return
		case <-x.clocks.wake:
		case <-t.C:
		}
		t.Reset(x.readOnce(&threads))
	}
}

// readOnce reads the clocks if there is a reason to, and says when to look again.
func (x *exactLevel) readOnce(threads *exectrace.ThreadClock) (next time.Duration) {
	switch {
	case !x.armed.Load():
		threads.Close() // gives its files back
	case x.clocks.state.Swap(clocksQuiet) == clocksMoved:
		threads.Log()
		return exectrace.ReadEvery
	case x.p.spans.liveSpans() > 0:
		threads.Log()
	}
	x.clocks.state.CompareAndSwap(clocksQuiet, clocksAsleep)
	return longestSleep
}
