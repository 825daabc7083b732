package stall

import (
	"slices"
	"time"
)

// walkCriticalPath marks, for each instant of the main root, the span that its
// end hung on.
//
// A parent gives each child on the path one stretch of time, within which the
// child decides for itself. Parents come before their children in Nodes, so one
// pass does it without recursion.
func (a *Analysis) walkCriticalPath(children [][]int) {
	given := make([]Segment, len(a.Nodes))
	given[0] = Segment{a.Nodes[0].Start, a.Nodes[0].End}
	for i := range a.Nodes {
		a.Nodes[i].path = given[i]
		if given[i].From < given[i].To {
			a.walkBack(i, given, children[i])
		}
	}
}

// walkBack divides the stretch that node i was given between its awaited
// children and itself.
//
// Children are taken by end, the last first. Those already passed that still
// run at the current instant lie on a stack, the one that ends soonest on top,
// because it was passed last. So each child is pushed and popped once.
func (a *Analysis) walkBack(i int, given []Segment, children []int) {
	n, own := &a.Nodes[i], given[i]
	ends := a.awaitedByEnd(children)
	var running []int
	now, lastTaken := own.To, false
	for now > own.From {
		for len(ends) > 0 && a.Nodes[ends[0]].End >= now {
			running = append(running, ends[0])
			ends = ends[1:]
		}
		for len(running) > 0 && a.Nodes[running[len(running)-1]].Start >= now {
			running = running[:len(running)-1]
		}
		if len(running) > 0 {
			c := running[len(running)-1]
			given[c] = Segment{max(own.From, a.Nodes[c].Start), now}
			a.Nodes[c].endsLast = !lastTaken
			lastTaken = true
			now = given[c].From
			continue
		}
		until := own.From
		if len(ends) > 0 {
			until = max(until, a.Nodes[ends[0]].End)
		}
		n.Critical = prepend(n.Critical, Segment{until, now})
		now = until
	}
	slices.Reverse(n.Critical)
}

func (a *Analysis) awaitedByEnd(children []int) []int {
	ends := make([]int, 0, len(children))
	for _, c := range children {
		if a.Nodes[c].Awaited {
			ends = append(ends, c)
		}
	}
	slices.SortFunc(ends, a.byEnd)
	return ends
}

// prepend adds an earlier segment to a list that is kept latest first, and
// joins the two when they touch, as they do around a child that took no time.
func prepend(segs []Segment, s Segment) []Segment {
	if last := len(segs) - 1; last >= 0 && segs[last].From == s.To {
		segs[last].From = s.From
		return segs
	}
	return append(segs, s)
}

// markDecidedEnds finds the spans whose end alone decides that of their parent.
func (a *Analysis) markDecidedEnds(children [][]int) {
	for i := range a.Nodes {
		p := &a.Nodes[i]
		slack := p.Wall() / 20
		for _, c := range children[i] {
			n := &a.Nodes[c]
			if !n.endsLast || call(p, n) {
				continue
			}
			end := min(n.End, p.End)
			n.DecidesEnd = n.Start > p.Start+slack && // the tail of the parent, not the whole of it
				end >= p.End-slack &&
				a.othersEnd(c, children[i]) < end-slack
		}
	}
}

// othersEnd is when the last awaited sibling of c ended; 0 when it has none.
func (a *Analysis) othersEnd(c int, siblings []int) (end time.Duration) {
	for _, s := range siblings {
		if s != c && a.Nodes[s].Awaited {
			end = max(end, a.Nodes[s].End)
		}
	}
	return end
}
