package spanstore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

const (
	// listShare is the part of each route's entries in a block, the slowest ones,
	// that may turn out to be slow for their route in the whole segment. Of one
	// segment in a hundred traces is slow, so a block may hold eight times its
	// share of them before one is missed.
	listShare = 12

	// listMost bounds the traces that are listed of one block, whatever is in
	// it: some 12 bytes each stay in memory. More than an eighth of a block's spans
	// are rarely kept, as a segment's copies have a tenth of its room.
	listMost = blockSpans / 8
)

// shortlist is what the choice of the traces to keep needs to know of a block.
// It is made when the block is encoded and held in memory, packed, so that a segment can
// be judged without being read. It is not stored: blocks that a former process
// wrote are read once more when their segment goes.
type shortlist struct {
	spans  []uint16     // of each of the blockInfo's traces
	routes []routeCount // of those that have a trace listed
	listed []candidate  // those with errors and the slowest ones; of a block of copies all. Their route is one of routes
}

// routeCount is how many traces came in by a route.
type routeCount struct {
	route uint64 // see routeKey
	roots int
}

// pack returns l in a third of the room, to stay in memory. It is made in buf,
// which is returned to be used again.
func (l *shortlist) pack(info *blockInfo, buf []byte) (packedList, []byte) {
	out := buf[:0]
	for _, n := range l.spans {
		out = binary.AppendUvarint(out, uint64(n))
	}
	out = binary.AppendUvarint(out, uint64(len(l.routes)))
	for _, r := range l.routes {
		out = binary.AppendUvarint(binary.LittleEndian.AppendUint64(out, r.route), uint64(r.roots))
	}
	out = binary.AppendUvarint(out, uint64(len(l.listed)))
	for i := range l.listed {
		c := &l.listed[i]
		at, _ := slices.BinarySearch(info.traces, c.fp)
		out = binary.AppendUvarint(out, uint64(at))
		out = append(out, c.why, c.was, c.root)
		out = binary.AppendUvarint(out, uint64(c.route))
		out = binary.AppendVarint(out, c.duration)
		out = binary.AppendVarint(out, c.min-info.min) // may wrap, and wraps back
		out = binary.AppendVarint(out, c.max-c.min)
	}
	return bytes.Clone(out), out // no longer than it is
}

// packedList is a shortlist as it stays in memory; nil for none.
type packedList []byte

// unpack returns the shortlist of the block whose summary is info.
func (p packedList) unpack(info *blockInfo) *shortlist {
	r := reader{b: p}
	l := &shortlist{spans: make([]uint16, len(info.traces))}
	for i := range l.spans {
		l.spans[i] = uint16(r.uvarint())
	}
	l.routes = make([]routeCount, r.uvarint())
	for i := range l.routes {
		l.routes[i] = routeCount{binary.LittleEndian.Uint64(r.take(8)), int(r.uvarint())}
	}
	l.listed = make([]candidate, r.uvarint())
	for i := range l.listed {
		c := candidate{fp: info.traces[r.uvarint()]}
		flags := r.take(3)
		c.why, c.was, c.root = flags[0], flags[1], flags[2]
		c.route, c.duration = int32(r.uvarint()), r.varint()
		c.min = info.min + r.varint()
		c.max = c.min + r.varint()
		l.listed[i] = c
	}
	return l
}

// outlined is a block as it is before or after it was encoded.
type outlined interface {
	TraceID(t int) trace.TraceID
	Kept(t int) byte
	Outlines(to []block.Outline) []block.Outline
	Route(i int) (resource, name uint32)
	ServiceOf(resource uint32) string
	NameOf(name uint32) string
}

// lister makes shortlists, in memory that it uses again.
type lister struct {
	mu       sync.Mutex // guards the rest
	seed     maphash.Seed
	outlines []block.Outline
	routes   map[[2]uint32]int32 // position in counts
	counts   []routeCount
	services map[uint32]string
	members  [][]int32 // of each route, positions in all
	all      []candidate
	listed   []int32
	spent    []int64
	to       []int32 // positions in the list's routes, plus one
	short    shortlist
	packed   []byte
}

func newLister() *lister {
	return &lister{seed: maphash.MakeSeed(), routes: map[[2]uint32]int32{}, services: map[uint32]string{}}
}

// list returns the shortlist of b, whose summary is info.
func (l *lister) list(b outlined, info *blockInfo) *shortlist {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := &shortlist{}
	l.listTo(out, b, info)
	return out
}

// pack returns the shortlist of b packed.
func (l *lister) pack(b outlined, info *blockInfo) (p packedList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listTo(&l.short, b, info)
	p, l.packed = l.short.pack(info, l.packed)
	return p
}

// listTo fills out, in the memory that it has. l.mu is held.
func (l *lister) listTo(out *shortlist, b outlined, info *blockInfo) {
	out.spans = slices.Grow(out.spans[:0], len(info.traces))[:len(info.traces)]
	clear(out.spans)
	l.reset()
	l.outlines = b.Outlines(l.outlines)
	for t := range l.outlines {
		o := &l.outlines[t]
		fp := fingerprint(b.TraceID(t))
		at, ok := slices.BinarySearch(info.traces, fp)
		if o.Spans == 0 || !ok {
			continue // a parent in it was named, nothing more
		}
		out.spans[at] += uint16(o.Spans)
		route := l.route(b, o.Entry)
		c := candidate{
			fp: fp, was: b.Kept(t), root: o.Rank, route: route,
			duration: wall(o.Start, o.End), min: o.Min, max: o.Max,
		}
		if o.Failed {
			c.why = keptError
		}
		if c.root > 0 {
			l.counts[route].roots++
			l.members[route] = append(l.members[route], int32(len(l.all)))
		}
		l.all = append(l.all, c)
	}
	l.choose(info.kept)
	l.copyTo(out)
}

func (l *lister) reset() {
	clear(l.routes)
	clear(l.services)
	l.counts, l.all, l.listed = l.counts[:0], l.all[:0], l.listed[:0]
	for i := range l.members {
		l.members[i] = l.members[i][:0]
	}
}

func (l *lister) route(b outlined, span int) int32 {
	res, name := b.Route(span)
	i, ok := l.routes[[2]uint32{res, name}]
	if !ok {
		i = int32(len(l.counts))
		l.routes[[2]uint32{res, name}] = i
		l.counts = append(l.counts, routeCount{route: l.routeKey(l.service(b, res), b.NameOf(name))})
		if len(l.members) < len(l.counts) {
			l.members = append(l.members, nil)
		}
	}
	return i
}

// service returns the service of a resource, which is decoded once a block.
func (l *lister) service(b outlined, resource uint32) string {
	name, ok := l.services[resource]
	if !ok {
		name = b.ServiceOf(resource)
		l.services[resource] = name
	}
	return name
}

// routeKey stands for a route in memory, where its text would take too much room.
// It holds in this process only.
func (l *lister) routeKey(service, name string) uint64 {
	return maphash.Comparable(l.seed, route{service, name})
}

// choose fills listed, with all of them or with those that may be kept.
func (l *lister) choose(all bool) {
	for _, of := range l.members[:len(l.counts)] {
		l.markSlow(of)
	}
	for i := range l.all {
		if all || l.all[i].why != 0 {
			l.listed = append(l.listed, int32(i))
		}
	}
	if !all && len(l.listed) > listMost {
		l.cut()
	}
}

// markSlow marks the slowest of one route, for a moment.
func (l *lister) markSlow(of []int32) {
	if len(of) == 0 {
		return
	}
	l.spent = l.spent[:0]
	for _, i := range of {
		l.spent = append(l.spent, l.all[i].duration)
	}
	slices.Sort(l.spent)
	n := max(1, len(of)/listShare)
	least := l.spent[len(of)-n]
	for _, i := range of {
		if c := &l.all[i]; n > 0 && c.duration >= least {
			c.why |= keptSlow
			n--
		}
	}
}

// cut leaves listMost, in turn of their routes.
func (l *lister) cut() {
	slices.SortFunc(l.listed, func(i, j int32) int {
		a, b := &l.all[i], &l.all[j]
		return cmp.Or(cmp.Compare(a.route, b.route), byWorth(a, b))
	})
	type ranked struct{ at, rank int32 }
	ranks := make([]ranked, len(l.listed))
	for n, i := range l.listed {
		ranks[n].at = i
		if n > 0 && l.all[l.listed[n-1]].route == l.all[i].route {
			ranks[n].rank = ranks[n-1].rank + 1
		}
	}
	slices.SortStableFunc(ranks, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	l.listed = l.listed[:0]
	for _, r := range ranks[:listMost] {
		l.listed = append(l.listed, r.at)
	}
}

// copyTo moves what is listed, and the routes of it, to out.
func (l *lister) copyTo(out *shortlist) {
	out.routes, out.listed = out.routes[:0], slices.Grow(out.listed[:0], len(l.listed))
	l.to = slices.Grow(l.to[:0], len(l.counts))[:len(l.counts)]
	clear(l.to)
	for _, i := range l.listed {
		c := l.all[i]
		c.why &^= keptSlow
		if l.to[c.route] == 0 {
			out.routes = append(out.routes, l.counts[c.route])
			l.to[c.route] = int32(len(out.routes))
		}
		c.route = l.to[c.route] - 1
		out.listed = append(out.listed, c)
	}
}
