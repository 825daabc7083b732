package stall

import (
	"iter"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

// Stretch is a part of a span's self time in one state, known from event to
// event.
type Stretch struct {
	Segment
	State State

	// Stolen is how much of a stretch in StateCPU the kernel ran something else:
	// it counts as StateSteal. Where in the stretch is not known.
	Stolen time.Duration

	// Wait is the position in Usage.Exact.Waits of what was waited for, -1 for
	// none.
	Wait int
}

// least of a span's self time that must be known exactly for its CPU to be.
const wholly = 0.99

// placeExact puts what an execution trace tells of each span into the trace's
// time, as far as it lies in self time: what an awaited child covers is the
// child's, whatever the goroutine of the parent did meanwhile.
func (a *Analysis) placeExact() {
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if n.Usage.Exact != nil {
			n.Timeline = timeline(n, n.Usage.Exact, n.Usage.Exact.Start.Sub(a.Start))
		}
	}
}

// logged is how far the moments at which a span started and ended may lie from
// those at which that was written into the execution trace, on a busy machine.
const logged = 200 * time.Microsecond

// held is how long the kernel may have held up a running goroutine between these
// moments. A span that began before the trace, and ran when that began, is taken
// for one of those if that is no longer ago.
const held = 20 * time.Millisecond

// heldUp is the time from n's start to that of its first segment.
func heldUp(n *Node, until time.Duration) (out []Stretch) {
	for _, s := range n.SelfSegments {
		part := Segment{s.From, min(s.To, until)}
		if part.From >= part.To {
			break
		}
		out = append(out, Stretch{Segment: part, State: StateCPU, Stolen: part.To - part.From, Wait: -1})
	}
	return out
}

// timeline places the segments of e, which begins at start.
func timeline(n *Node, e *spanstore.Exact, start time.Duration) (out []Stretch) {
	self := n.SelfSegments
	for i, s := range e.Segments {
		from, to := start+s.From, start+s.To
		if i == 0 && from > n.Start && from-n.Start < logged {
			from = n.Start
		} else if i == 0 && from > n.Start && from-n.Start < held && s.State == string(StateCPU) {
			out = append(out, heldUp(n, from)...)
		}
		if i == len(e.Segments)-1 && to < n.End && n.End-to < logged {
			to = n.End
		}
		for len(self) > 0 && self[0].To <= from {
			self = self[1:]
		}
		for k := 0; k < len(self) && self[k].From < to; k++ {
			part := Segment{max(from, self[k].From), min(to, self[k].To)}
			if part.From >= part.To {
				continue
			}
			x := Stretch{Segment: part, State: State(s.State), Wait: s.Wait}
			if s.Wait >= len(e.Waits) {
				x.Wait = -1
			}
			if s.Stolen > 0 && s.State == string(StateCPU) {
				x.Stolen = time.Duration(float64(min(s.Stolen, s.To-s.From)) * float64(part.To-part.From) / float64(to-from))
			}
			out = append(out, x)
		}
	}
	return out
}

// known returns how much of n's self time is known exactly.
func (n *Node) known() (sum time.Duration) {
	for _, s := range n.Timeline {
		sum += s.To - s.From
	}
	return sum
}

// exactCPU returns the CPU time of a span that an execution trace covers.
func exactCPU(n *Node) (CPU, bool) {
	e := n.Usage.Exact
	if e == nil || float64(n.known()) < wholly*float64(n.Self) {
		return CPU{}, false
	}
	cpu := func(stolen time.Duration) time.Duration { return max(0, e.Running-max(0, stolen)) }
	value := cpu(e.Stolen)
	c := CPU{Value: value, Low: min(value, cpu(e.StolenHigh)), High: max(value, cpu(e.StolenLow)), Samples: n.CPU.Samples, Evidence: Exact}
	if e.StolenHigh > e.StolenLow {
		c.Reason = "the kernel ran something else meanwhile: how much of it fell into this span is an estimate"
	}
	return c, true
}

// times adds up time by state, and remembers how well each is known.
type times struct {
	of       map[State]time.Duration
	evidence map[State]Evidence
}

func newTimes() times { return times{map[State]time.Duration{}, map[State]Evidence{}} }

// add counts d; of two kinds of evidence the weaker stays.
func (t times) add(s State, d time.Duration, e Evidence) {
	if d <= 0 {
		return
	}
	t.of[s] += d
	if was, ok := t.evidence[s]; !ok || strength[e] < strength[was] {
		t.evidence[s] = e
	}
}

var strength = map[Evidence]int{None: 0, Inferred: 1, Sampled: 2, Exact: 3}

// stolenIn is the stolen time of a part of the stretch: in proportion, as its
// place is not known.
func (s Stretch) stolenIn(part Segment) time.Duration {
	if s.Stolen <= 0 || s.State != StateCPU {
		return 0
	}
	return time.Duration(float64(s.Stolen) * float64(part.To-part.From) / float64(s.To-s.From))
}

// addStretch counts a part of s.
func (t times) addStretch(s Stretch, part Segment) {
	stolen := s.stolenIn(part)
	t.add(s.State, part.To-part.From-stolen, Exact)
	t.add(StateSteal, stolen, Inferred)
}

// during goes through the stretches of n's timeline that lie in segs, with the
// part of each that does; both are sorted.
func (n *Node) during(segs []Segment) iter.Seq2[Stretch, Segment] {
	return func(yield func(Stretch, Segment) bool) {
		line := n.Timeline
		for _, g := range segs {
			for len(line) > 0 && line[0].To <= g.From {
				line = line[1:]
			}
			for k := 0; k < len(line) && line[k].From < g.To; k++ {
				part := Segment{max(line[k].From, g.From), min(line[k].To, g.To)}
				if part.From < part.To && !yield(line[k], part) {
					return
				}
			}
		}
	}
}

// within counts what n did, as far as that is known exactly, during segs, and
// returns how much of them that is.
func (t times) within(n *Node, segs []Segment) (sum time.Duration) {
	for s, part := range n.during(segs) {
		t.addStretch(s, part)
		sum += part.To - part.From
	}
	return sum
}
