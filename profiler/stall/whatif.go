package stall

import (
	"container/heap"
	"maps"
	"slices"
	"time"
)

// WallWithout returns how long the main root would have taken if the spans with
// these indices in Nodes had taken no time: what ran one after the other still
// does, and what ran side by side waits for what is left. Of a span that is not
// awaited nothing is saved. It is an estimate: a lock or a processor that
// others then would have had earlier, or later, is not in the spans.
//
// Cost: the siblings of the spans and of their ancestors.
func (a *Analysis) WallWithout(spans ...int) time.Duration {
	w := a.whatIf()
	for _, i := range spans {
		if i >= 0 && i < len(a.Nodes) {
			w.length[i] = 0
			w.touch(a.Nodes[i].Parent)
		}
	}
	return w.root()
}

// wallWithoutTimes is WallWithout for parts of the self times of spans.
func (a *Analysis) wallWithoutTimes(cut map[int][]Segment) time.Duration {
	w := a.whatIf()
	for i, segs := range cut {
		w.cut[i] = segs
		w.touch(i)
	}
	return w.root()
}

// whatIf works out other lengths of spans.
type whatIf struct {
	a       *Analysis
	length  map[int]time.Duration // of the spans that are another length
	cut     map[int][]Segment     // of their self time, sorted
	touched map[int]bool          // whose length has to be worked out
}

func (a *Analysis) whatIf() *whatIf {
	return &whatIf{a: a, length: map[int]time.Duration{}, cut: map[int][]Segment{}, touched: map[int]bool{}}
}

// touch marks a span and its ancestors.
func (w *whatIf) touch(i int) {
	for ; i >= 0 && !w.touched[i]; i = w.a.Nodes[i].Parent {
		w.touched[i] = true
	}
}

// root works out all that is touched, descendants first: they come after their
// ancestors in Nodes.
func (w *whatIf) root() time.Duration {
	order := slices.Sorted(maps.Keys(w.touched))
	for _, i := range slices.Backward(order) {
		if _, fixed := w.length[i]; !fixed {
			w.length[i] = w.of(i)
		}
	}
	if d, ok := w.length[0]; ok {
		return d
	}
	return w.a.Critical
}

// of returns the new length of span i: its self time, less what is cut, and
// between, for each stretch that children cover, what they then take.
func (w *whatIf) of(i int) time.Duration {
	n := &w.a.Nodes[i]
	sum := n.Self - overlap(n.SelfSegments, w.cut[i])
	children := w.awaited(i)
	for _, stretch := range n.CoveredSegments {
		k := 0
		for k < len(children) && w.a.Nodes[children[k]].Start < stretch.To {
			k++
		}
		sum += w.covered(n, stretch, children[:k])
		children = children[k:]
	}
	return sum
}

// covered returns the new length of a stretch that children, by start, cover.
// One that started when another had ended, or after it, keeps its distance from
// that one's end; the first, and those beside it, from the stretch's start.
func (w *whatIf) covered(n *Node, stretch Segment, children []int) (length time.Duration) {
	var running endings
	last := ending{was: stretch.From} // of those that ended before the next start
	for _, c := range children {
		m := &w.a.Nodes[c]
		s := clipped(n, m)
		if s.From >= s.To {
			continue
		}
		for len(running) > 0 && running[0].was <= s.From {
			last = heap.Pop(&running).(ending)
		}
		d := s.To - s.From
		if changed, ok := w.length[c]; ok {
			d = max(0, d-(m.Wall()-changed))
		}
		e := ending{s.To, last.is + s.From - last.was + d}
		heap.Push(&running, e)
		length = max(length, e.is)
	}
	return length
}

// ending is when a child ended, and when it would have, since the start of the
// stretch that it covers.
type ending struct{ was, is time.Duration }

// endings is a heap, the earliest first.
type endings []ending

func (h endings) Len() int           { return len(h) }
func (h endings) Less(i, j int) bool { return h[i].was < h[j].was }
func (h endings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endings) Push(x any)        { *h = append(*h, x.(ending)) }
func (h *endings) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// awaited returns the awaited children of a span, by start.
func (w *whatIf) awaited(i int) (out []int) {
	for _, c := range w.a.children[i] {
		if w.a.Nodes[c].Awaited {
			out = append(out, c)
		}
	}
	return out
}

// overlap returns how much of a, sorted and apart, lies in b, which is too.
func overlap(a, b []Segment) (sum time.Duration) {
	for len(a) > 0 && len(b) > 0 {
		if from, to := max(a[0].From, b[0].From), min(a[0].To, b[0].To); from < to {
			sum += to - from
		}
		if a[0].To < b[0].To {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return sum
}
