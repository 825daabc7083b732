package spanstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxCalls bounds the calls whose caller is yet to be found in another block, 56
// bytes each.
const maxCalls = 1 << 16

// edgeStep is how many blocks are looked at before such callers are looked for.
const edgeStep = 64

// Edges returns the service graph: which service called which, by spans whose
// parent is a span of another service, and that start between two times, from
// <= start < to, a zero time being unbounded. A caller whose span is not in the
// store is not in the graph. It costs about twice what Latencies does.
func (s *Store) Edges(ctx context.Context, from, to time.Time) (*Graph, error) {
	if s == nil {
		return &Graph{}, nil
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	all := sn.scanBlocks()
	g := &edgeCounter{edges: map[edgeKey]*Edge{}}
	least, most := bounds(from, to)
	f := callerFinder{sn: sn, blocks: all, index: newPlaceIndex(all), edges: g}
	for places := range slices.Chunk(placesBetween(all, least, most, ""), edgeStep) {
		err := sn.eachColumns(all, places, func() columnsVisitor {
			return &callCounter{from: least, to: most, index: f.index, edgeCounter: edgeCounter{edges: map[edgeKey]*Edge{}}}
		}, func(v columnsVisitor) {
			c := v.(*callCounter)
			g.merge(&c.edgeCounter)
			f.calls = append(f.calls, c.calls...)
		})
		if err == nil && len(f.calls) > maxCalls {
			err = f.find()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := f.find(); err != nil {
		return nil, err
	}
	return g.graph(sn.problems), nil
}

type edgeKey struct{ caller, callee string }

// edgeCounter counts calls.
type edgeCounter struct {
	edges map[edgeKey]*Edge
	left  int // calls of edges that are too many
}

func (g *edgeCounter) add(caller string, c call) {
	e := g.edge(edgeKey{caller, c.callee})
	if e == nil {
		g.left++
		return
	}
	e.Calls++
	if c.failed {
		e.Errors++
	}
	e.Total += time.Duration(c.duration)
	e.Max = max(e.Max, time.Duration(c.duration))
}

// edge returns nil when there are too many.
func (g *edgeCounter) edge(key edgeKey) *Edge {
	e := g.edges[key]
	if e == nil && len(g.edges) < maxNames {
		key = edgeKey{strings.Clone(key.caller), strings.Clone(key.callee)}
		e = &Edge{Caller: key.caller, Callee: key.callee}
		g.edges[key] = e
	}
	return e
}

func (g *edgeCounter) merge(o *edgeCounter) {
	g.left += o.left
	for key, from := range o.edges {
		if to := g.edge(key); to != nil {
			to.Calls, to.Errors = to.Calls+from.Calls, to.Errors+from.Errors
			to.Total, to.Max = to.Total+from.Total, max(to.Max, from.Max)
		} else {
			g.left += from.Calls
		}
	}
}

func (g *edgeCounter) graph(problems []string) *Graph {
	out := &Graph{Problems: problems}
	for _, e := range g.edges {
		out.Edges = append(out.Edges, *e)
	}
	slices.SortFunc(out.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Callee, b.Callee))
	})
	if g.left > 0 {
		out.Problems = append(out.Problems, fmt.Sprintf("there are more than %d pairs of services: %d calls are left out", maxNames, g.left))
	}
	return out
}

// call is a span that was perhaps called from another service.
type call struct {
	fp       uint32
	failed   bool
	parent   trace.SpanID
	callee   string
	duration int64
}

// callCounter counts the calls whose two ends are in one block, and collects
// those whose caller may be in another.
type callCounter struct {
	edgeCounter
	from, to int64
	index    placeIndex
	calls    []call

	res, statuses, traces []uint32
	parents               []block.Parent
	remote                []bool
}

func (k *callCounter) visit(c *block.Columns, _ int) {
	services := []string{""} // by the position of the resource plus one
	for _, r := range c.ResourceTable() {
		services = append(services, strings.Clone(r.Service))
	}
	service := func(i int) string { return services[min(int(k.res[i]), len(services)-1)] }
	k.res, k.statuses, k.traces = c.Resources(k.res[:0]), c.Statuses(k.statuses[:0]), c.Traces(k.traces[:0])
	k.parents, k.remote = c.Parents(k.parents[:0], k.remote[:0])
	starts, ends := c.Times()
	ids := c.IDs()
	for i, p := range k.parents {
		if p == block.NoParent || starts[i] < k.from || starts[i] >= k.to {
			continue
		}
		of := call{
			callee: service(i), failed: codes.Code(k.statuses[i]) == codes.Error, duration: wall(starts[i], ends[i]),
		}
		if p >= 0 && k.traces[p] == k.traces[i] {
			if caller := service(int(p)); caller != of.callee {
				k.add(caller, of)
			}
			continue
		}
		// What is not in the block may be in another that has the trace.
		of.fp = fingerprint(ids.Trace(k.traces[i]))
		if len(k.index.shared(of.fp)) > 0 {
			if of.parent = c.ForeignParent(ids, i); of.parent.IsValid() {
				k.calls = append(k.calls, of)
			}
		}
	}
}

// callerFinder finds the callers of calls in other blocks.
type callerFinder struct {
	sn     *snapshot
	blocks []scanBlock
	index  placeIndex
	edges  *edgeCounter
	calls  []call
}

// find looks for the callers of the calls, and forgets those.
func (f *callerFinder) find() error {
	byPlace := map[int32][]int32{} // calls, by the blocks that may have their caller
	for i, c := range f.calls {
		for _, p := range f.index.shared(c.fp) {
			byPlace[p] = append(byPlace[p], int32(i))
		}
	}
	places := make([]int, 0, len(byPlace))
	for p := range byPlace {
		places = append(places, int(p))
	}
	slices.Sort(places)
	callers := make([]string, len(f.calls))
	found := make([]bool, len(f.calls))
	err := f.sn.eachColumns(f.blocks, places, func() columnsVisitor {
		return &callerSearch{f: f, byPlace: byPlace}
	}, func(v columnsVisitor) {
		for _, hit := range v.(*callerSearch).hits {
			callers[hit.call], found[hit.call] = hit.caller, true
		}
	})
	for i, c := range f.calls {
		if found[i] && callers[i] != c.callee {
			f.edges.add(callers[i], c)
		}
	}
	f.calls = f.calls[:0]
	return err
}

// callerSearch looks for callers in block after block.
type callerSearch struct {
	f       *callerFinder
	byPlace map[int32][]int32
	hits    []callerHit
}

type callerHit struct {
	call   int32
	caller string
}

func (k *callerSearch) visit(c *block.Columns, place int) {
	wanted := map[uint64][]int32{}
	for _, i := range k.byPlace[int32(place)] {
		id := binary.LittleEndian.Uint64(k.f.calls[i].parent[:])
		wanted[id] = append(wanted[id], i)
	}
	ids, traces, res, table := c.IDs(), c.Traces(nil), c.Resources(nil), c.ResourceTable()
	for i := range c.Len() {
		id := ids.Span(i)
		for _, n := range wanted[binary.LittleEndian.Uint64(id[:])] {
			if fingerprint(ids.Trace(traces[i])) != k.f.calls[n].fp {
				continue
			}
			service := ""
			if r := res[i] - 1; int(r) < len(table) {
				service = strings.Clone(table[r].Service)
			}
			k.hits = append(k.hits, callerHit{n, service})
		}
	}
}
