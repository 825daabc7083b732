package spanstore

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// figures are what decides whether a trace is listed, and where.
type figures struct {
	id            trace.TraceID
	start         int64 // of the root, else the least
	first, latest int64 // the least start, the greatest end
	duration      time.Duration
	spans, errs   int
	place         int32 // of a block that holds a part of it
}

func (sc *scan) position(f figures) position {
	return position{sc.after.longest, f.duration, f.start, f.id}
}

// longest returns the traces of a page, and one more if there is one. Any block
// may hold the longest, so it visits all in the time range; those traces that
// are whole in their block, nearly all, are weighed by their columns alone.
func (sc *scan) longest() ([]*found, error) {
	var page []figures
	seen := map[trace.TraceID]bool{} // of those with parts in several blocks
	full := false                    // the page is, and in order
	offer := func(f figures) {
		if full && sc.position(f).compare(sc.position(page[sc.q.Limit])) >= 0 {
			return // nearly all go here
		}
		if sc.matches(f) {
			page = append(page, f)
		}
	}
	for i := range sc.blocks {
		if err := sc.sn.err(); err != nil {
			return nil, err
		}
		if sc.blocks[i].max < sc.from {
			break
		}
		sc.visit(i)
		for _, f := range sc.blocks[i].whole {
			f.place = int32(i)
			offer(f)
		}
		sc.blocks[i].whole = nil
		for id := range sc.found {
			if seen[id] {
				delete(sc.found, id)
			}
		}
		sc.complete()
		for id, f := range sc.found {
			seen[id] = true
			offer(f.figures())
		}
		clear(sc.found)
		slices.SortFunc(page, func(a, b figures) int { return sc.position(a).compare(sc.position(b)) })
		page = page[:min(len(page), sc.q.Limit+1)]
		full = len(page) > sc.q.Limit
	}
	return sc.read(page)
}

// read reads the traces of a page whole.
func (sc *scan) read(page []figures) (out []*found, err error) {
	for _, f := range page {
		sc.found[f.id] = &found{id: f.id, latest: math.MinInt64, place: f.place}
	}
	sc.complete()
	for _, f := range page {
		if whole := sc.found[f.id]; whole != nil {
			out = append(out, whole)
		}
	}
	return out, sc.sn.err()
}

// weigh gives a block the figures of those traces that have a marked span and no
// part elsewhere.
func (sc *scan) weigh(c *block.Columns, b *scanBlock, marked []bool) {
	ids, of := c.IDs(), c.Traces(nil)
	all := make([]figures, ids.Traces())
	want := make([]bool, len(all))
	for i, t := range of {
		if marked[i] && int(t) < len(want) && !want[t] {
			all[t].id = ids.Trace(t)
			want[t] = len(sc.index.shared(fingerprint(all[t].id))) == 0
		}
	}
	starts, ends := c.Times()
	parents, _ := c.Parents(nil, nil)
	statuses := c.Statuses(nil)
	roots := make([]int32, len(all)) // the number of each trace's root, plus one
	for i, t := range of {
		if int(t) >= len(want) || !want[t] {
			continue
		}
		f := &all[t]
		if f.spans == 0 || starts[i] < f.first {
			f.first = starts[i]
		}
		if f.spans == 0 || ends[i] > f.latest {
			f.latest = ends[i]
		}
		f.spans++
		if codes.Code(statuses[i]) == codes.Error {
			f.errs++
		}
		if parents[i] == block.NoParent && (roots[t] == 0 || starts[i] < starts[roots[t]-1]) {
			roots[t] = int32(i) + 1
		}
	}
	for t, f := range all {
		if !want[t] {
			continue
		}
		f.start = f.first
		from, to := f.first, f.latest
		if r := roots[t]; r > 0 {
			from, to = starts[r-1], ends[r-1]
			f.start = from
		}
		f.duration = time.Duration(wall(from, to))
		b.whole = append(b.whole, f)
	}
}
