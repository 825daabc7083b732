package spanstore

import (
	"cmp"
	"container/heap"
	"slices"
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
	fp    uint32 // the trace's fingerprint
	why   byte
	was   byte // why it was kept before
	root  byte // 2: of a root span; 1: of an entry span; 0: of the earliest span
	route int32
	spans int32 // in the segment; not known in a shortlist

	duration int64 // of the span that root tells of
	min, max int64 // of all its spans
}

// markSlow marks the slowest of each route, of which the list has all that come
// into question. A route with too few roots keeps those that it kept before.
func markSlow(list []candidate, roots []int) {
	byRoute := make([][]int32, len(roots))
	for i := range list {
		if c := &list[i]; c.root > 0 {
			byRoute[c.route] = append(byRoute[c.route], int32(i))
		}
	}
	for r, of := range byRoute {
		if roots[r] < slowRoots {
			for _, i := range of {
				list[i].why |= list[i].was & keptSlow
			}
			continue
		}
		slices.SortFunc(of, func(a, b int32) int { return bySlowest(&list[a], &list[b]) })
		for _, i := range of[:min(len(of), max(1, roots[r]/slowShare))] {
			list[i].why |= keptSlow
		}
	}
}

func bySlowest(a, b *candidate) int {
	return cmp.Or(cmp.Compare(b.duration, a.duration), cmp.Compare(b.min, a.min))
}

// byWorth puts errors first, the newest first, then the slowest.
func byWorth(a, b *candidate) int {
	if c := cmp.Compare(b.why&keptError, a.why&keptError); c != 0 {
		return c
	}
	if a.why&keptError != 0 {
		return cmp.Compare(b.max, a.max)
	}
	return bySlowest(a, b)
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
		slices.SortFunc(q, byWorth)
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
