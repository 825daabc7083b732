package profiler

import (
	"fmt"
	"time"
)

// exactGlance is how long the exact level is watched before it is judged: 1 % of two
// CPUs are 60 samples then, give or take 8.
const exactGlance = 30 * time.Second

// spending judges what the exact level's goroutines use beside snapshots, whose cost
// the pauses between them bound: the readings of the threads' clocks, for one. It is
// pure.
type spending struct {
	budget float64

	length, used time.Duration // until there is enough to judge by
	off          time.Duration // for which the level was last switched off
}

// observe takes what a window cost, and returns why the exact level has to go off,
// and for how long; "" when it may stay. After each time it stays off twice as long,
// until it has kept to its budget for a while.
func (s *spending) observe(g glance, snapshots time.Duration) (why string, off time.Duration) {
	s.length += g.length
	s.used += g.exact - snapshots
	if s.length < exactGlance {
		return "", 0
	}
	all := glance{length: s.length, cpus: g.cpus}
	cost := all.share(max(0, s.used))
	s.length, s.used = 0, 0
	if cost <= s.budget {
		s.off /= 2
		return "", 0
	}
	s.off = min(max(2*s.off, exactRetry), quietMax)
	return fmt.Sprintf("its background CPU was %s of %s, beside snapshots", percent(cost), percent(s.budget)), s.off
}

// judge switches the exact level off when it costs too much.
func (x *exactLevel) judge(g glance) {
	if x == nil {
		return
	}
	x.mu.Lock()
	why, off := x.spending.observe(g, x.snapshots)
	x.snapshots = 0
	x.mu.Unlock()
	if why != "" && x.armed.Load() {
		x.disarm(why, off)
	}
}
