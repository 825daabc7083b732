package spanstore

import (
	"cmp"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// profileUnit is what a profile counts: a span, or the entry span of a request.
type profileUnit struct {
	key        profileKey
	id         spanID
	start, end int64
}

// profileHit is a span with usage, and the unit that it counts for.
type profileHit struct {
	id         spanID
	unit       profileUnit
	start, end int64
	kind       trace.SpanKind

	// climb says that the unit is found by links, once all blocks were seen.
	climb bool
}

// profileCover is a child of a span with exact states.
type profileCover struct {
	parent     spanID
	start, end int64
	kind       trace.SpanKind
}

// profiledSpans visits blocks of spans, counts the units, and finds the spans with
// usage.
type profiledSpans struct {
	of     *profiling
	blocks []scanBlock

	counts  map[profileKey]*profileCount
	hits    []profileHit
	covers  []profileCover
	links   []profileLink
	orphans int // spans with usage whose entry span is not in the store

	// Of the block:
	c                         *block.Columns
	ids                       block.IDs
	table                     []block.ColumnsResource
	revision                  string
	starts, ends              []int64
	names, res, traces, kinds []uint32
	parents                   []block.Parent
	remote                    []bool
	tops                      []int32         // of each span, its topmost ancestor in the block
	whole                     map[uint32]bool // whether a trace has all its spans here
	exact                     map[uint32]bool // whether a trace has spans with exact states
	known                     map[uint64]*profileCount
}

func newProfiledSpans(p *profiling, blocks []scanBlock) *profiledSpans {
	return &profiledSpans{
		of: p, blocks: blocks, counts: map[profileKey]*profileCount{},
		whole: map[uint32]bool{}, exact: map[uint32]bool{}, known: map[uint64]*profileCount{},
	}
}

func (v *profiledSpans) visit(c *block.Columns, place int) {
	v.open(c, place)
	for i := range c.Len() {
		v.cover(i)
		if v.of.q.By == ByRoute {
			v.request(i)
		} else if u := v.unit(i); v.of.selects(&u) {
			v.count(i, &u)
			v.hit(i, u, false)
		}
	}
}

// open reads what is asked of the block.
func (v *profiledSpans) open(c *block.Columns, place int) {
	v.c, v.ids, v.table = c, c.IDs(), c.ResourceTable()
	v.revision = ""
	if v.of.q.By == ByBuild {
		v.revision = v.of.revisions.of(v.blocks[place].info)
	}
	v.names, v.res, v.traces = c.Names(v.names[:0]), c.Resources(v.res[:0]), c.Traces(v.traces[:0])
	v.kinds = c.Kinds(v.kinds[:0])
	v.parents, v.remote = c.Parents(v.parents[:0], v.remote[:0])
	v.starts, v.ends = c.Times()
	clear(v.known)
	clear(v.whole)
	clear(v.exact)
	for t := range uint32(v.ids.Traces()) {
		id := v.ids.Trace(t)
		if v.of.exactTraces[id] {
			v.exact[t] = true
		}
		if v.of.q.By == ByRoute && v.of.shared.shared(fingerprint(id)) == nil {
			v.whole[t] = true
		}
	}
	if v.of.q.By == ByRoute {
		v.findTops()
	}
}

// unit returns span i as a unit. The block's memory is in it.
func (v *profiledSpans) unit(i int) profileUnit {
	key := profileKey{name: v.c.String(int(v.names[i])), revision: v.revision}
	if r := v.res[i] - 1; int(r) < len(v.table) {
		key.service = v.table[r].Service
	}
	return profileUnit{key, spanID{v.ids.Trace(v.traces[i]), v.ids.Span(i)}, v.starts[i], v.ends[i]}
}

// count counts span i, which is the unit u.
func (v *profiledSpans) count(i int, u *profileUnit) {
	at := uint64(v.res[i])<<32 | uint64(v.names[i])
	n := v.known[at]
	if n == nil {
		if n = v.counts[u.key]; n == nil {
			n = &profileCount{}
			v.counts[u.key.clone()] = n
		}
		v.known[at] = n
	}
	n.count(v.of, u)
}

// hit notes span i when it has usage.
func (v *profiledSpans) hit(i int, u profileUnit, climb bool) {
	id := spanID{v.ids.Trace(v.traces[i]), v.ids.Span(i)}
	if v.of.usage[id] == nil {
		return
	}
	u.key = u.key.clone()
	v.hits = append(v.hits, profileHit{
		id: id, unit: u, start: v.starts[i], end: v.ends[i], kind: trace.SpanKind(v.kinds[i]), climb: climb,
	})
}

// cover notes span i when its parent has exact states: what it covers is not the
// parent's own time.
func (v *profiledSpans) cover(i int) {
	if !v.exact[v.traces[i]] || v.parents[i] == block.NoParent {
		return
	}
	parent := spanID{v.ids.Trace(v.traces[i]), v.parent(i)}
	if u := v.of.usage[parent]; u != nil && u.exact != nil {
		v.covers = append(v.covers, profileCover{parent, v.starts[i], v.ends[i], trace.SpanKind(v.kinds[i])})
	}
}

// parent returns the id of span i's parent.
func (v *profiledSpans) parent(i int) trace.SpanID {
	if p := v.parents[i]; p >= 0 {
		return v.ids.Span(int(p))
	}
	return v.c.ForeignParent(v.ids, i)
}

func (k profileKey) clone() profileKey {
	return profileKey{strings.Clone(k.service), strings.Clone(k.name), k.revision}
}

func (k profileKey) compare(o profileKey) int {
	return cmp.Or(cmp.Compare(k.service, o.service), cmp.Compare(k.name, o.name), cmp.Compare(k.revision, o.revision))
}
