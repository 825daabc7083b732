package profiler

import (
	"fmt"
	"runtime"
	"time"
)

// Level says how much of its work the profiler does. The governor lowers it step
// by step when the background work costs too much.
type Level int

const (
	// LevelFull is what the options say.
	LevelFull Level = iota

	// LevelLongWindows makes windows three times as long, also those that end
	// early because somebody looks: there are fewer profiles to work on.
	LevelLongWindows

	// LevelRoots has long windows and labels local roots only: profiles have
	// fewer entries, and there is usage of fewer spans to store.
	LevelRoots

	// LevelOff takes no profile and labels nothing. It is stored as a hole.
	LevelOff
)

func (l Level) String() string {
	switch l {
	case LevelFull:
		return "full"
	case LevelLongWindows:
		return "long windows"
	case LevelRoots:
		return "local roots only"
	default:
		return "off"
	}
}

const (
	// longer is what LevelLongWindows multiplies the length of windows by.
	longer = 3

	// cpuGlance is the least time that the governor judges by. Samples stand for
	// 10 ms: 1 % of two CPUs in 10 s are 20 of them, give or take 2.
	cpuGlance = 10 * time.Second

	// overGlances in a row step down: one may be a burst.
	overGlances = 2

	// A level is kept for quietMin at least before a step up is tried, for twice
	// as long after each step down, up to quietMax; at the full level without a
	// step down for quietMax it is quietMin again.
	quietMin = time.Minute
	quietMax = time.Hour

	// blame is the part of the budget that the profiler itself must use for a
	// step down to be worth it: what the store costs no level lowers.
	blame = 0.25
)

// glance is the background CPU time in a stretch of time.
type glance struct {
	length          time.Duration
	profiler, store time.Duration
	exact           time.Duration // judged apart, see spending
	cpus            int           // that the process may use
}

// share is the part of the CPU time to be had.
func (g glance) share(used time.Duration) float64 {
	return used.Seconds() / max(1e-9, g.length.Seconds()*float64(max(1, g.cpus)))
}

// governor decides on the level. It is pure: time and costs are told to it.
type governor struct {
	budget float64
	level  Level
	why    string
	since  time.Time // of the level

	sum   glance        // until it is long enough to judge by
	cost  float64       // share of the last glance
	over  int           // glances above the budget, in a row
	calm  time.Time     // since when no glance was above half of it; zero: the last one was
	quiet time.Duration // that a step up waits for
}

func newGovernor(budget float64, now time.Time) *governor {
	return &governor{budget: budget, since: now, calm: now, quiet: quietMin, why: "within its budget"}
}

// observe takes what a window cost, and reports whether the level changed. At
// LevelOff nothing is measured: g is empty, and time alone brings a step up.
func (v *governor) observe(now time.Time, g glance) (changed bool) {
	if v.level == LevelOff {
		if now.Sub(v.since) >= v.quiet {
			return v.step(now, -1, "trying again after "+v.quiet.String())
		}
		return false
	}
	v.sum.length += g.length
	v.sum.profiler += g.profiler
	v.sum.store += g.store
	v.sum.cpus = max(v.sum.cpus, g.cpus)
	if v.sum.length < cpuGlance {
		return false
	}
	g, v.sum = v.sum, glance{}
	return v.judge(now, g)
}

// judge looks at a glance that is long enough.
func (v *governor) judge(now time.Time, g glance) (changed bool) {
	own := g.share(g.profiler)
	v.cost = own + g.share(g.store)
	if v.cost > v.budget/2 {
		v.calm = time.Time{}
	} else if v.calm.IsZero() {
		v.calm = now
	}
	if v.cost <= v.budget {
		v.over = 0
		return v.recover(now)
	}
	if own < blame*v.budget {
		v.over = 0
		v.why = fmt.Sprintf("background CPU was %s of %s, nearly all of it the store's, which no level lowers", percent(v.cost), percent(v.budget))
		return false
	}
	if v.over++; v.over < overGlances {
		return false
	}
	return v.step(now, 1, fmt.Sprintf("background CPU was %s of %s", percent(v.cost), percent(v.budget)))
}

// recover steps up after a quiet time, and forgives former steps down after a long
// one.
func (v *governor) recover(now time.Time) (changed bool) {
	switch {
	case v.level == LevelFull && now.Sub(v.since) >= quietMax:
		v.quiet = quietMin
	case v.level > LevelFull && !v.calm.IsZero() && now.Sub(v.calm) >= v.quiet && now.Sub(v.since) >= v.quiet:
		return v.step(now, -1, fmt.Sprintf("background CPU was below %s for %v", percent(v.budget/2), v.quiet))
	}
	if v.level == LevelFull && v.cost <= v.budget {
		v.why = "within its budget"
	}
	return false
}

// step changes the level by one, down for a positive number.
func (v *governor) step(now time.Time, down Level, why string) bool {
	to := min(LevelOff, max(LevelFull, v.level+down))
	if to == v.level {
		return false
	}
	if down > 0 && !v.since.IsZero() {
		v.quiet = min(2*v.quiet, quietMax)
	}
	v.level, v.why, v.since = to, why, now
	v.over, v.sum, v.calm = 0, glance{}, now
	return true
}

func percent(share float64) string { return fmt.Sprintf("%.2g %%", 100*share) }

// GovernorStats say what the background work costs and what is done about it.
type GovernorStats struct {
	// Level is what is done now, since Since, for the reason Why.
	Level Level
	Why   string
	Since time.Time

	// Budget and Cost are shares of the CPU time that the process may use
	// (GOMAXPROCS). Cost is that of the last ten seconds or more; it is zero
	// before these are over, and at LevelOff what it was before.
	Budget, Cost float64

	// ProfilerCPU and StoreCPU are the CPU time of their goroutines since
	// Start, by the samples on them: while no profile runs nothing is counted.
	// The kernel's work for the sampling itself is not in it.
	ProfilerCPU, StoreCPU time.Duration
}

// govern tells the governor what a window cost and does what it decides.
func (p *Profiler) govern(g glance) {
	g.cpus = runtime.GOMAXPROCS(0)
	p.exact.judge(g)
	p.mu.Lock()
	p.stats.Governor.ProfilerCPU += g.profiler
	p.stats.Governor.StoreCPU += g.store
	changed := p.governor.observe(time.Now(), g)
	level, why := p.governor.level, p.governor.why
	p.mu.Unlock()
	if !changed {
		return
	}
	if p.opts.Labels == LabelSpans && level >= LevelRoots {
		p.setLabels(LabelRoots)
	} else {
		p.setLabels(p.opts.Labels)
	}
	p.rests.Store(level == LevelOff)
	p.over("governor") // each change is news
	p.say("governor", func() {
		if l := p.opts.Logger; l != nil {
			l.Info("spanclock profiler: "+level.String(), "why", why)
		}
	})
}

// resting says that the governor has switched the profiler off for now.
func (p *Profiler) resting() bool { return p.rests.Load() }

// pace returns a length of windows as the level has it. p.mu is held.
func (p *Profiler) pace(d time.Duration) time.Duration {
	if p.governor.level >= LevelLongWindows {
		return longer * d
	}
	return d
}

// governorStats is called with p.mu held.
func (p *Profiler) governorStats() GovernorStats {
	s, g := p.stats.Governor, p.governor
	s.Level, s.Why, s.Since, s.Budget, s.Cost = g.level, g.why, wall(g.since), g.budget, g.cost
	return s
}
