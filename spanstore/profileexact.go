package spanstore

import (
	"cmp"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// profiledExact is what Profiles remembers of a span's exact states.
type profiledExact struct {
	from, to int64 // what is known, Unix nanoseconds
	segments []profiledSegment
}

// profiledSegment is a segment with its wait, if it has one.
type profiledSegment struct {
	from, to, stolen int64
	wait             waitKey
	waits            bool
}

// waitKey is a state of the stateTable and a stack of the stackTable.
type waitKey struct {
	state uint8
	stack uint32
}

// stateTable numbers the words for states, which are few; what is too much is
// "other".
type stateTable struct{ words []string }

func (t *stateTable) id(word string) uint8 {
	if len(t.words) == 0 {
		t.words = []string{"other"}
	}
	i := slices.Index(t.words, word)
	if i < 0 && len(t.words) < 64 {
		i = len(t.words)
		t.words = append(t.words, word)
	}
	return uint8(max(0, i))
}

// addExact remembers the exact states of a span. Of two snapshots the one that
// knows more counts.
func (p *profiling) addExact(of *spanUsage, r *block.UsageRecord, ids []uint32) {
	e := r.Exact
	if of.exact != nil && of.exact.to-of.exact.from >= e.To-e.From {
		return
	}
	if p.segments += len(e.Segments); p.segments > maxProfiledSegments {
		p.segments -= len(e.Segments)
		p.bare++
		return
	}
	if of.exact != nil {
		p.segments -= len(of.exact.segments)
	}
	x := &profiledExact{from: e.From, to: e.To, segments: make([]profiledSegment, len(e.Segments))}
	for i, s := range e.Segments {
		g := profiledSegment{from: e.From + s.From, to: e.From + s.To, stolen: min(max(0, s.Stolen), s.To-s.From), wait: waitKey{state: p.states.id(s.State)}}
		if s.Wait >= 0 {
			g.waits = true
			if stack := e.Waits[s.Wait].Stack; stack >= 0 {
				g.wait.stack = ids[stack]
			}
		}
		x.segments[i] = g
	}
	of.exact = x
	p.exactTraces[r.TraceID] = true
}

// exactUnit adds up the exact states of a unit.
type exactUnit struct {
	wall, own, stolen int64
	states            map[uint8]int64
	waits             map[waitKey]waitTotal
}

type waitTotal struct{ total, count int64 }

// takeExact puts exact states to their units, now that all children are known.
func (p *profiling) takeExact() {
	for _, h := range p.exactHits {
		if wall(h.start, h.end) == 0 {
			continue // or its times are not known
		}
		sum := p.profile(h.unit.key)
		u := sum.exact[h.unit.id]
		if u == nil {
			u = &exactUnit{wall: wall(h.unit.start, h.unit.end), states: map[uint8]int64{}, waits: map[waitKey]waitTotal{}}
			sum.exact[h.unit.id] = u
		}
		u.add(&h, p.usage[h.id].exact, p.ownTime(&h), p.states.id(running))
	}
}

// ownTime returns the stretches of a span that no awaited child covers, in order.
func (p *profiling) ownTime(h *profileHit) (own []stretch) {
	covers := slices.DeleteFunc(p.covers[h.id], func(c profileCover) bool { return !awaited(h.kind, c.kind, h.end, c.end) })
	slices.SortFunc(covers, func(a, b profileCover) int { return cmp.Compare(a.start, b.start) })
	at := h.start
	for _, c := range covers {
		if from := min(c.start, h.end); from > at {
			own = append(own, stretch{at, from})
		}
		at = max(at, min(c.end, h.end))
	}
	if at < h.end {
		own = append(own, stretch{at, h.end})
	}
	return own
}

// atEdge is how far the moments at which a span started and ended may lie from those
// at which that was written into the execution trace, on a busy machine.
const atEdge = int64(200 * time.Microsecond)

// held is how long the kernel may have held up a running goroutine between these
// moments: what lies between them it took. Both are as in package profiler/stall.
const held = int64(20 * time.Millisecond)

// running is the word for the state of a goroutine that ran, as far as Go can tell.
const running = "cpu"

// add counts what of e lies in a span's own time. cpu is the state that is running.
func (u *exactUnit) add(h *profileHit, e *profiledExact, own []stretch, cpu uint8) {
	for _, s := range own {
		u.own += s.to - s.from
	}
	for i, g := range e.segments {
		from, to := g.from, g.to
		if i == 0 && from > h.start && from-h.start < atEdge {
			from = h.start
		} else if i == 0 && from > h.start && from-h.start < held && g.wait.state == cpu {
			u.addHeld(own, from, cpu)
		}
		if i == len(e.segments)-1 && to < h.end && h.end-to < atEdge {
			to = h.end
		}
		for len(own) > 0 && own[0].to <= from {
			own = own[1:]
		}
		counted := false
		for k := 0; k < len(own) && own[k].from < to; k++ {
			part := min(to, own[k].to) - max(from, own[k].from)
			u.states[g.wait.state] += part
			u.stolen += int64(float64(g.stolen) * float64(part) / float64(to-from))
			if w := u.waits[g.wait]; g.waits {
				w.total += part
				if !counted {
					w.count++
				}
				counted = true
				u.waits[g.wait] = w
			}
		}
	}
}

// addHeld counts what of a span's own time lies before its first segment.
func (u *exactUnit) addHeld(own []stretch, until int64, cpu uint8) {
	for _, s := range own {
		if part := min(s.to, until) - s.from; part > 0 {
			u.states[cpu] += part
			u.stolen += part
		}
	}
}

// stateProfiles adds up the units of a profile: all, and those among the slowest
// hundredth.
func (p *profiling) stateProfiles(sum *profileSum) (all, slowest StateProfile) {
	of, slow := newStateSum(), newStateSum()
	p99 := int64(sum.walls.quantile(0.99))
	for _, u := range sum.exact {
		of.add(u)
		if min(middle(bucket(u.wall)), sum.walls.max) >= p99 { // p99 is a bucket's middle
			slow.add(u)
		}
	}
	return of.result(p), slow.result(p)
}

// stateSum adds up units.
type stateSum struct {
	spans int
	exactUnit
}

func newStateSum() *stateSum {
	return &stateSum{exactUnit: exactUnit{states: map[uint8]int64{}, waits: map[waitKey]waitTotal{}}}
}

func (s *stateSum) add(u *exactUnit) {
	s.spans++
	s.wall, s.own, s.stolen = s.wall+u.wall, s.own+u.own, s.stolen+u.stolen
	for st, d := range u.states {
		s.states[st] += d
	}
	for key, w := range u.waits {
		t := s.waits[key]
		s.waits[key] = waitTotal{t.total + w.total, t.count + w.count}
	}
}

func (s *stateSum) result(p *profiling) StateProfile {
	out := StateProfile{Spans: s.spans, Wall: time.Duration(s.wall), Own: time.Duration(s.own), Stolen: time.Duration(s.stolen)}
	if s.spans == 0 {
		return out
	}
	out.States = map[string]time.Duration{}
	for st, d := range s.states {
		out.States[p.states.words[st]] += time.Duration(d)
	}
	for key, w := range s.waits {
		sum := WaitSum{State: p.states.words[key.state], Total: time.Duration(w.total), Count: int(w.count)}
		if key.stack > 0 {
			sum.Stack = p.stacks.stacks[key.stack]
		}
		out.Waits = append(out.Waits, sum)
	}
	slices.SortFunc(out.Waits, func(a, b WaitSum) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.State, b.State), slices.CompareFunc(a.Stack, b.Stack, compareFrames))
	})
	out.Waits = slices.Clip(out.Waits[:min(len(out.Waits), maxProfileStacks)])
	return out
}
