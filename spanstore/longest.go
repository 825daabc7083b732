package spanstore

import (
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// longestStep is how many blocks are visited before what they hold is weighed
// and forgotten, which bounds the memory that a query takes.
const longestStep = 16

// longest returns the traces of a page, and one more if there is one. Any block
// may hold the longest, so it visits all in the time range.
func (sc *scan) longest() (page []*found, err error) {
	sc.ahead = longestStep
	seen := map[trace.TraceID]bool{} // of those with parts in several blocks
	for i := range sc.blocks {
		if err := sc.sn.err(); err != nil {
			return nil, err
		}
		last := i+1 == len(sc.blocks) || sc.blocks[i].max < sc.from
		sc.visit(i)
		if i%longestStep != longestStep-1 && !last {
			continue
		}
		for id := range sc.found {
			if seen[id] {
				delete(sc.found, id)
			}
		}
		sc.complete()
		for id, f := range sc.found {
			if len(sc.index.shared(fingerprint(id))) > 0 {
				seen[id] = true
			}
			if sc.matches(f) {
				page = append(page, f)
			}
		}
		clear(sc.found)
		clear(sc.names) // what the page needs, it keeps
		sc.sort(page)
		page = slices.Clip(page[:min(len(page), sc.q.Limit+1)])
		if last {
			break
		}
	}
	return page, sc.sn.err()
}
