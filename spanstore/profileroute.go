package spanstore

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxLinks bounds the spans of traces in several blocks whose parents Profiles
// remembers by route, some 200 bytes each.
const maxLinks = 1 << 16

// profileLink is a span of a trace that is in several blocks: its parent may be in
// another.
type profileLink struct {
	unit   profileUnit
	parent trace.SpanID
	root   bool // it has no parent
	remote bool // its parent ran in another process, which may have a store of its own
}

// findTops finds the topmost ancestor of each span as far as it is in the block. In
// a circle one of it is taken.
func (v *profiledSpans) findTops() {
	const unknown, onPath = -1, -2
	v.tops = v.tops[:0]
	for range v.c.Len() {
		v.tops = append(v.tops, unknown)
	}
	var path []int32
	for i := range v.tops {
		at := int32(i)
		path = path[:0]
		for v.tops[at] == unknown && v.parents[at] >= 0 {
			v.tops[at] = onPath
			path = append(path, at)
			at = int32(v.parents[at])
		}
		top := v.tops[at]
		if top < 0 {
			top = at
		}
		v.tops[at] = top
		for _, k := range path {
			v.tops[k] = top
		}
	}
}

// request counts span i when it is an entry span, and puts it to its request. Of a
// trace with parts in other blocks that is left to links.
func (v *profiledSpans) request(i int) {
	if !v.whole[v.traces[i]] {
		u := v.unit(i)
		u.key = u.key.clone()
		v.links = append(v.links, profileLink{unit: u, parent: v.parent(i), root: v.parents[i] == block.NoParent, remote: v.remote[i]})
		v.hit(i, profileUnit{}, true)
		return
	}
	top := int(v.tops[i])
	entry := v.parents[top] == block.NoParent || v.parents[top] == block.ForeignParent && v.remote[top]
	u := v.unit(top)
	switch {
	case !entry: // its parent has not ended yet, or is lost
		if v.of.usage[spanID{v.ids.Trace(v.traces[i]), v.ids.Span(i)}] != nil {
			v.orphans++
		}
	case v.of.selects(&u):
		if top == i {
			v.count(i, &u)
		}
		v.hit(i, u, false)
	}
}

// link takes in the links of a visitor.
func (p *profiling) link(links []profileLink) {
	for _, l := range links {
		if _, known := p.links[l.unit.id]; !known && len(p.links) >= maxLinks {
			p.cut++
			continue
		}
		p.links[l.unit.id] = l
	}
}

// countLinked counts the entry spans among the links.
func (p *profiling) countLinked() {
	for id, l := range p.links {
		if _, known := p.links[spanID{id.trace, l.parent}]; l.root || l.remote && !known {
			if u := l.unit; p.selects(&u) {
				if sum := p.profile(u.key); sum != nil {
					sum.count(p, &u)
				} else {
					p.many++
				}
			}
		}
	}
}

// climb returns the entry span above a span, nil when it is not in the store. What
// it passes leads there straight the next time.
func (p *profiling) climb(id spanID) *profileUnit {
	var path []spanID
	for on := map[spanID]bool{}; ; {
		if u, known := p.entries[id]; known || on[id] {
			return p.leadTo(path, u)
		}
		l, here := p.links[id]
		if !here {
			return p.leadTo(path, nil)
		}
		on[id] = true
		path = append(path, id)
		parent := spanID{id.trace, l.parent}
		if _, known := p.links[parent]; l.root || l.remote && !known {
			return p.leadTo(path, &l.unit)
		}
		id = parent
	}
}

func (p *profiling) leadTo(path []spanID, u *profileUnit) *profileUnit {
	for _, id := range path {
		p.entries[id] = u
	}
	return u
}
