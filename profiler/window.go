package profiler

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

// Reasons of holes, as they are stored and shown.
const (
	holePaused     = "paused"
	holeForeign    = "another CPU profile was running"
	holeBudget     = "the profiler is off for now: it cost more than its budget of CPU time"
	holeUnreadable = "the CPU profile could not be read"
)

// storeTimeout bounds the wait for a store that hangs. Pause and Stop have to
// sit it out; sampling goes on.
const storeTimeout = 5 * time.Second

// A profile that somebody else holds is asked for again after retryMin, then
// less and less often, down to every retryMax.
const (
	retryMin = 250 * time.Millisecond
	retryMax = 5 * time.Second
)

// minCut is the least length of a window even for a profile request.
const minCut = 100 * time.Millisecond

// run is the sampler's goroutine: window after window, and holes where there
// can be none. A panic in it ends the sampling, never the host.
func (p *Profiler) run(ready chan<- struct{}) {
	isReady := sync.OnceFunc(func() { close(ready) })
	s := &sampler{p: p}
	defer func() {
		state := "stopped"
		if r := recover(); r != nil {
			p.panicked(r)
			state = "gave up after a panic"
		}
		p.labeling.Store(false)
		if s.rec != nil {
			s.rec.stop()
		}
		p.update(func() { p.stats.State, p.holding, p.taking, p.idle = state, false, false, true })
		close(p.done)
		isReady()
	}()

	// The goroutine was made by somebody who may have been in a span. Those
	// that runtime/pprof makes for it inherit its own label instead.
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(ownKey, ownProfiler)))

	s.begin()
	s.publish(nil)
	isReady()
	for !s.stopped {
		s.sleep()
		s.turn()
	}
}

// update changes fields that others wait for.
func (p *Profiler) update(change func()) {
	p.mu.Lock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
}

// sampler is the state of run; nobody else touches it.
type sampler struct {
	p       *Profiler
	rec     *recording // of the running window; nil in a hole
	covered time.Time  // what is stored, or about to be, reaches to here
	hole    string     // why nothing is recorded since covered
	retry   time.Duration
	tried   time.Time // when the CPU profile was last asked for in vain
	stopped bool
}

// sleep waits until the running window or the wait in a hole is over.
func (s *sampler) sleep() {
	var over <-chan struct{}
	if s.rec != nil {
		over = s.rec.over
	}
	for {
		left := s.remaining(time.Now())
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-s.p.kick:
		case <-over:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// remaining is how long what goes on now should still go on, as far as is known.
func (s *sampler) remaining(now time.Time) time.Duration {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopping || p.unwanted() != s.unwanted():
		return 0
	case s.unwanted() != "":
		return p.opts.Window - now.Sub(s.covered)
	case s.rec == nil:
		return s.retry - now.Sub(s.tried)
	case p.cut.After(s.rec.start):
		return minCut - now.Sub(s.rec.start)
	case p.spans.crowded.Load(): // ended spans are about to be forgotten: at no level does that wait longer
		return p.opts.MinWindow - now.Sub(s.rec.start)
	case p.wish.After(s.rec.start):
		return p.pace(p.opts.MinWindow) - now.Sub(s.rec.start)
	default:
		return p.pace(p.opts.Window) - now.Sub(s.rec.start)
	}
}

// unwanted says why no window is to run: a hole's reason, "" when one is wanted.
// p.mu is held.
func (p *Profiler) unwanted() string {
	switch {
	case p.paused:
		return holePaused
	case p.resting():
		return holeBudget
	}
	return ""
}

// unwanted is what Profiler.unwanted was when the hole began that there is.
func (s *sampler) unwanted() string {
	if s.hole == holePaused || s.hole == holeBudget {
		return s.hole
	}
	return ""
}

// turn ends the window that runs, begins what comes next and only then, so that
// little goes unsampled, works on what it has. In a hole it tries to end that.
func (s *sampler) turn() {
	ended := s.rec
	if ended == nil {
		if s.hole == holeBudget {
			s.p.govern(glance{})
		}
		s.begin()
		s.publish(nil)
		return
	}
	ended.stop()
	ended.rootsOnly = ended.rootsOnly || s.p.rootsOnly.Load()
	s.rec, s.covered = nil, ended.end
	s.begin()
	err := s.finish(ended)
	s.publish(err)
}

// begin starts a window, or a hole when there can be none, or nothing at all
// when the profiler is to stop.
func (s *sampler) begin() {
	p := s.p
	p.mu.Lock()
	stopping, unwanted := p.stopping, p.unwanted()
	p.taking = !stopping && unwanted == ""
	p.mu.Unlock()

	state := "stopping"
	switch {
	case stopping:
		s.stopped = true
		s.endHole(time.Now())
	case unwanted != "":
		s.inHole(unwanted)
		state = unwanted
	case s.record():
		state = "running"
	default:
		state = holeForeign
	}
	p.update(func() { p.stats.State, p.holding, p.taking = state, s.rec != nil, false })
}

// publish tells those who wait that all windows before the running one, and
// with none running all there were, are stored.
func (s *sampler) publish(err error) {
	p := s.p
	p.update(func() {
		p.idle = s.rec == nil
		if s.rec != nil {
			p.settled = s.rec.start
		}
		if s.stopped {
			p.stopErr = err
		}
	})
}

// record takes the CPU profile if it is to be had.
func (s *sampler) record() bool {
	p := s.p
	rec, err := startRecording(p.spans.nextGeneration())
	if err == nil {
		if s.hole == "" && !s.covered.IsZero() {
			p.mu.Lock()
			p.stats.Lost += rec.start.Sub(s.covered)
			p.mu.Unlock()
		}
		s.endHole(rec.start)
		s.rec = rec
		rec.rootsOnly = p.rootsOnly.Load()
		p.mu.Lock()
		if p.stats.CoveredUntil.IsZero() {
			p.stats.CoveredUntil = wall(rec.start) // nothing before is still to come
		}
		p.mu.Unlock()
		p.over(holeForeign)
		return true
	}

	s.tried = time.Now()
	s.retry = min(2*s.retry, retryMax)
	if s.hole != holeForeign {
		s.retry = retryMin
	}
	s.inHole(holeForeign)
	p.say(holeForeign, func() {
		if l := p.opts.Logger; l != nil {
			l.Warn("spanclock profiler: no CPU samples for now: the process has one CPU profile, and somebody else holds it", "err", err)
		}
	})
	return false
}

// inHole begins a hole at the end of what is covered, or goes on with it. A
// long one is stored bit by bit, so that it shows while it lasts.
func (s *sampler) inHole(why string) {
	now := time.Now()
	if s.hole != why || now.Sub(s.covered) >= s.p.opts.Window {
		s.endHole(now)
	}
	if s.covered.IsZero() { // it is the first thing that happens
		s.covered = now
	}
	s.hole = why
}

// endHole stores the hole, if there is one, up to at.
func (s *sampler) endHole(at time.Time) {
	if s.hole == "" {
		return
	}
	p := s.p
	p.put(spanstore.UsageBatch{Windows: []spanstore.Window{{Start: wall(s.covered), End: wall(at), Hole: s.hole}}})
	p.mu.Lock()
	p.stats.Holes++
	p.stats.Missed += at.Sub(s.covered)
	p.mu.Unlock()
	s.covered, s.hole = at, ""
}

// finish turns an ended recording into a window and usage, and stores them. A
// profile that cannot be read leaves a hole.
func (s *sampler) finish(r *recording) (err error) {
	p := s.p
	defer p.rescue()

	w := spanstore.Window{Start: wall(r.start), End: wall(r.end)}
	prof, err := r.parse()
	if err != nil {
		p.fail("reading a CPU profile", err)
		w.Hole = holeUnreadable
		p.mu.Lock()
		p.stats.Missed += r.end.Sub(r.start)
		p.mu.Unlock()
		return errors.Join(err, p.put(spanstore.UsageBatch{Windows: []spanstore.Window{w}}))
	}
	p.over("reading a CPU profile")

	scale := calibrate(samplesOf(prof), time.Duration(prof.Period), r.sampled)
	t := attribute(prof, func(ids map[spanKey64]identity) { p.spans.identify(ids, r.generation) }, scale, p.opts.MaxStacks, p.opts.MaxDepth)
	w.Period = time.Duration(prof.Period)
	w.Samples, w.Labeled = int(t.samples), int(t.labeled)
	w.Process, w.RootsOnly = r.process, r.rootsOnly
	err = p.put(spanstore.UsageBatch{Windows: []spanstore.Window{w}, Spans: t.usage})
	p.count(t, w)
	p.govern(glance{
		length:   r.end.Sub(r.start),
		profiler: time.Duration(t.own-t.store-t.exact) * w.Period, store: time.Duration(t.store) * w.Period,
		exact: time.Duration(t.exact) * w.Period,
	})
	p.deliver(r.start, prof, t.spans)
	return err
}

// put stores b, and reports the first of several failures in a row.
func (p *Profiler) put(b spanstore.UsageBatch) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	b.Signals = p.series.take()
	p.tellUsage(b)
	if err := p.store.AddUsage(ctx, b); err != nil {
		err = fmt.Errorf("store CPU usage: %w", err)
		p.fail("storing CPU usage", err)
		return err
	}
	p.over("storing CPU usage")
	return nil
}

// tellUsage gives b to whoever asked for it, whose code is the program's.
func (p *Profiler) tellUsage(b spanstore.UsageBatch) {
	if p.opts.OnUsage != nil {
		defer p.rescue()
		p.opts.OnUsage(b)
	}
}

// count adds a window to the figures.
func (p *Profiler) count(t tally, w spanstore.Window) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.stats
	s.Windows++
	s.Samples += t.samples
	s.Labeled += t.labeled
	s.Late += t.late
	s.Unattributed += t.unattributed
	s.Own += t.own
	s.Covered += w.End.Sub(w.Start)
	s.CoveredUntil = w.End
}

// wall returns t as it is stored: in UTC, without the monotonic clock.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }
