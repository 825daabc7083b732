package spanstore

import (
	"cmp"
	"container/heap"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// Why a trace is kept, as bits that a block has for each of its traces.
const (
	keptError  = 1 << iota // a span has the status Error
	keptSlow               // it was among the slowest of its route
	keptPinned             // somebody asked for it
	keptPart               // other parts of it were kept before
	keptGap                // parts of it were evicted before: no reason of its own
)

const (
	// Of a route with slowRoots or more roots in a segment the slowest slowShare
	// are slow, at least one: a share adapts to what the route does, and below
	// that number the slowest is not yet an exception.
	slowRoots = 20
	slowShare = 100
)

// route is what a trace is an example of: where it entered, and how.
type route struct{ service, name string }

// candidate is what is known of a trace when its segment is to be evicted.
type candidate struct {
	id    trace.TraceID
	why   byte
	was   byte // why it was kept before
	root  byte // 2: of a root span; 1: of an entry span; 0: of the earliest span
	route int32
	spans int32 // in the segment

	start    int64 // of the span that root tells of, and how long that took
	duration int64
	min, max int64
}

// markSlow marks the slowest of each route. A route with too few roots keeps
// those that it kept before.
func markSlow(list []candidate, routes int) {
	byRoute := make([][]int32, routes)
	for i := range list {
		if c := &list[i]; c.root > 0 {
			byRoute[c.route] = append(byRoute[c.route], int32(i))
		}
	}
	for _, of := range byRoute {
		if len(of) < slowRoots {
			for _, i := range of {
				list[i].why |= list[i].was & keptSlow
			}
			continue
		}
		slices.SortFunc(of, func(a, b int32) int { return bySlowest(&list[a], &list[b]) })
		for _, i := range of[:max(1, len(of)/slowShare)] {
			list[i].why |= keptSlow
		}
	}
}

func bySlowest(a, b *candidate) int {
	return cmp.Or(cmp.Compare(b.duration, a.duration), cmp.Compare(b.start, a.start))
}

// choose returns the traces to keep in bytes, when a span takes each bytes: those
// that were pinned, then parts of what is kept already, then the others in turn
// of their routes, the one that has had the least bytes first. Within a route
// errors come first, the newest first, then the slowest. But for pinned ones
// a trace that would take more than a quarter of the bytes is not kept: it would
// cost all others. Each choice costs O(log routes).
func choose(list []candidate, routes int, bytes, each float64) (chosen []*candidate) {
	left := bytes
	take := func(c *candidate, most float64) float64 {
		need := float64(c.spans) * each
		if need > most || need > left {
			return 0
		}
		left -= need
		chosen = append(chosen, c)
		return need
	}
	queues := make([][]*candidate, routes)
	var first []*candidate
	for i := range list {
		switch c := &list[i]; {
		case c.why == 0:
		case c.why&(keptPinned|keptPart) != 0:
			first = append(first, c)
		default:
			queues[c.route] = append(queues[c.route], c)
		}
	}
	slices.SortFunc(first, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.why&keptPinned, a.why&keptPinned), cmp.Compare(b.max, a.max))
	})
	for _, c := range first {
		most := bytes
		if c.why&keptPinned == 0 {
			most = bytes / 4
		}
		take(c, most)
	}
	var turns fairQueue
	for i, q := range queues {
		if len(q) == 0 {
			continue
		}
		slices.SortFunc(q, func(a, b *candidate) int {
			if c := cmp.Compare(b.why&keptError, a.why&keptError); c != 0 {
				return c
			}
			if a.why&keptError != 0 {
				return cmp.Compare(b.max, a.max)
			}
			return bySlowest(a, b)
		})
		turns = append(turns, turn{route: i, waiting: q})
	}
	heap.Init(&turns)
	for len(turns) > 0 && left >= each {
		t := &turns[0]
		t.used += take(t.waiting[0], bytes/4)
		if t.waiting = t.waiting[1:]; len(t.waiting) == 0 {
			heap.Pop(&turns)
		} else {
			heap.Fix(&turns, 0)
		}
	}
	return chosen
}

// turn is what a route has had, and what waits for more.
type turn struct {
	used    float64
	route   int
	waiting []*candidate
}

type fairQueue []turn

func (q fairQueue) Len() int      { return len(q) }
func (q fairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q fairQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].used, q[j].used), cmp.Compare(q[i].route, q[j].route)) < 0
}
func (q *fairQueue) Push(x any) { *q = append(*q, x.(turn)) }
func (q *fairQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
