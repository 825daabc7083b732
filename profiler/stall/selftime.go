package stall

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// divideSelfAndCovered splits each span's time into what its awaited children
// cover and what is its own.
func (a *Analysis) divideSelfAndCovered(children [][]int) {
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if n.Parent < 0 {
			n.Awaited = true
		} else {
			n.Awaited = awaits(&a.Nodes[n.Parent], n)
		}
	}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		n.CoveredSegments = a.covered(n, children[i])
		n.SelfSegments = gaps(Segment{n.Start, n.End}, n.CoveredSegments)
		n.Self = total(n.SelfSegments)
	}
}

// awaits reports whether p waited for its child c. See the package
// documentation for the rule about calls.
func awaits(p, c *Node) bool {
	if c.End < p.Start || c.Start > p.End {
		return false
	}
	return c.End <= p.End || call(p, c)
}

// call reports whether p is a client and c the server that it calls.
func call(p, c *Node) bool {
	return p.Span.Kind == trace.SpanKindClient && c.Span.Kind == trace.SpanKindServer
}

// covered returns the union of the awaited children's times inside n.
func (a *Analysis) covered(n *Node, children []int) []Segment {
	var segs []Segment
	sorted := true
	for _, c := range children {
		if !a.Nodes[c].Awaited {
			continue
		}
		s := clipped(n, &a.Nodes[c])
		if s.From >= s.To {
			continue
		}
		sorted = sorted && (len(segs) == 0 || segs[len(segs)-1].From <= s.From)
		segs = append(segs, s)
	}
	if !sorted {
		slices.SortFunc(segs, func(s, t Segment) int { return cmp.Compare(s.From, t.From) })
	}
	return union(segs)
}

// clipped is the part of c that lies inside p; empty (From >= To) when none does.
func clipped(p, c *Node) Segment {
	return Segment{max(p.Start, c.Start), min(p.End, c.End)}
}

// union merges segments, sorted by From, that overlap or touch. It reuses segs.
func union(segs []Segment) []Segment {
	out := segs[:0]
	for _, s := range segs {
		if last := len(out) - 1; last >= 0 && s.From <= out[last].To {
			out[last].To = max(out[last].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return slices.Clip(out)
}

// gaps returns what segs, sorted and apart, leave of whole.
func gaps(whole Segment, segs []Segment) []Segment {
	var out []Segment
	at := whole.From
	for _, s := range segs {
		if s.From > at {
			out = append(out, Segment{at, s.From})
		}
		at = max(at, s.To)
	}
	if at < whole.To {
		out = append(out, Segment{at, whole.To})
	}
	return out
}
