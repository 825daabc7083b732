package spanstore

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// asksStall reports whether a condition is about the time that spans do not
// explain.
func (cs *conditions) asksStall() bool {
	return slices.ContainsFunc(cs.usage, func(t term) bool { return t.of == ofStall })
}

// coveredBy is when a child span ran, within its parent.
type coveredBy struct {
	parent   int
	from, to int64
}

// inOtherBlocks stands for the self time of a span whose trace has parts in other
// blocks.
const inOtherBlocks = -1

// selfTimes sets the self time of refs, which are the marked spans of a block in
// their order: the wall time without the union of what awaited child spans cover.
// Those are children that ended in their parent, and servers in their client. A
// trace with spans in several blocks is left to wholeSelfTimes.
func (sc *scan) selfTimes(c *block.Columns, marked []bool, refs []spanRef) {
	starts, ends := c.Times()
	kinds := c.Kinds(nil)
	parents, _ := c.Parents(nil, nil)
	var covered []coveredBy
	for i, p := range parents {
		if p >= 0 && marked[p] && awaited(trace.SpanKind(kinds[p]), trace.SpanKind(kinds[i]), ends[p], ends[i]) {
			covered = append(covered, coveredBy{int(p), max(starts[i], starts[p]), min(ends[i], ends[p])})
		}
	}
	explained := unions(covered)
	at := 0
	for i := range marked {
		if !marked[i] {
			continue
		}
		s := &refs[at]
		at++
		switch {
		case asksPeer(trace.SpanKind(kinds[i])): // the wait is the peer's
		case sc.index.shared(fingerprint(s.trace)) != nil:
			s.self = inOtherBlocks
		default:
			s.self = unexplained(s, explained[i])
		}
	}
}

// unexplained is what is left of a span's wall time, 0 where that is not known.
func unexplained(s *spanRef, explained int64) int64 {
	w := wall(s.start, s.end)
	return min(w, max(0, w-explained))
}

func asksPeer(k trace.SpanKind) bool { return k == trace.SpanKindClient || k == trace.SpanKindProducer }

// awaited reports whether a parent waited for a child, as far as kinds and times
// tell.
func awaited(parent, child trace.SpanKind, parentEnd, childEnd int64) bool {
	return childEnd <= parentEnd || parent == trace.SpanKindClient && child == trace.SpanKindServer
}

// unions adds up, for each parent, the time in which at least one child ran.
func unions(covered []coveredBy) map[int]int64 {
	slices.SortFunc(covered, func(a, b coveredBy) int { return cmp.Or(cmp.Compare(a.parent, b.parent), cmp.Compare(a.from, b.from)) })
	sum := map[int]int64{}
	last, until := -1, int64(0)
	for _, c := range covered {
		if c.parent != last {
			last, until = c.parent, c.from
		}
		if from := max(c.from, until); from < c.to {
			sum[c.parent] += c.to - from
			until = c.to
		}
	}
	return sum
}

// wholeSelfTimes sets the self times that selfTimes left out. It reads whole
// traces, and is for the query's own goroutine.
func (sc *scan) wholeSelfTimes(refs []spanRef) {
	for i := range refs {
		if refs[i].self == inOtherBlocks {
			refs[i].self = sc.selfTimeOf(&refs[i])
		}
	}
}

// selfTimeOf is the self time of a span whose trace has parts inOtherBlocks.
func (sc *scan) selfTimeOf(s *spanRef) int64 {
	kind, found := trace.SpanKindUnspecified, false
	var covered []coveredBy
	each := func(f func(b *block.Spans, i int)) {
		for _, p := range sc.index.shared(fingerprint(s.trace)) {
			b := sc.blocks[p].spans(sc.sn)
			if b == nil {
				continue
			}
			t := b.FindTrace(s.trace)
			for i := range b.Len() {
				if t >= 0 && b.Trace(i) == t {
					f(b, i)
				}
			}
		}
	}
	each(func(b *block.Spans, i int) {
		if b.SpanID(i) == s.span {
			kind, found = b.Kind(i), true
		}
	})
	each(func(b *block.Spans, i int) {
		if found && b.ParentID(i) == s.span && awaited(kind, b.Kind(i), s.end, b.End(i)) {
			covered = append(covered, coveredBy{0, max(b.Start(i), s.start), min(b.End(i), s.end)})
		}
	})
	return unexplained(s, unions(covered)[0])
}
