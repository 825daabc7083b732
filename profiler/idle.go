package profiler

import "time"

// exactIdle is how long no span must have been in flight for the flight recorder to
// stop: it takes 0.2 % of a core while nothing happens, and 0.6 % more with 10,000
// goroutines, whose states it writes down each second.
const exactIdle = 10 * time.Second

// whyIdle is said meanwhile.
const whyIdle = "no span has been in flight for a while: it runs again with the next"

// idle reports whether the flight recorder has nothing to record, and nobody waits for
// what it has. It is called once a second: spans that came and went meanwhile count.
// x.mu is held.
func (x *exactLevel) idle(now time.Time) bool {
	live, ended := x.p.spans.traffic()
	if x.clocks.state.Load() != clocksAsleep || live > 0 || ended != x.seen || len(x.slow) > 0 || x.busy.IsZero() {
		x.busy, x.seen = now, ended
	}
	return now.Sub(x.busy) >= exactIdle
}

// doze stops the flight recorder until a span starts.
func (x *exactLevel) doze() {
	x.dozing.Store(true)
	x.disarm(whyIdle, 0)
}

// stir is called when a span starts: the first one after a while has what it did from
// then on that the flight recorder runs, a millisecond later.
func (x *exactLevel) stir() {
	if x != nil && x.dozing.Load() {
		x.rouse()
	}
}

// awake starts the flight recorder if it was stopped because nothing happened.
func (x *exactLevel) awake() {
	if x.dozing.CompareAndSwap(true, false) {
		x.mu.Lock()
		x.busy = time.Time{}
		x.mu.Unlock()
		x.arm()
	}
}
