package profiler

import (
	"math/bits"
	"sync"
	"time"
)

const (
	// maxRoutes bounds the routes whose latencies are known; what comes after has
	// none that it could be slow for.
	maxRoutes = 512

	// learnFrom is how many requests of a route must have been seen before one is
	// slow for it: one in slowOf is.
	learnFrom = 100
	slowOf    = 100

	// neverSlow is what no request is slow below: a snapshot shows little of it.
	neverSlow = 5 * time.Millisecond

	// forgetAt halves the counts of a route, so that what it does now counts most.
	forgetAt = 4096
)

// routes know how long the requests of each route take, in 2 KiB a route. The end
// of each local root takes its lock for some 50 ns. The zero value is ready.
type routes struct {
	mu sync.Mutex // guards the rest
	of map[string]*latencies
}

// latencies is a histogram with eight buckets to each power of two nanoseconds: an
// upper bound is at most an eighth too high.
type latencies struct {
	buckets [64 * 8]uint32
	n       uint32
}

// slow notes how long a request took, and reports whether that is slow: longer
// than fixed, or with fixed 0 longer than most of its route. With the alarm on
// what is among the slowest tenth of its route will do as well.
func (r *routes) slow(route string, wall, fixed time.Duration, alarm bool) bool {
	forRoute := r.note(route, wall, alarm)
	if fixed > 0 {
		return wall >= fixed || alarm && forRoute
	}
	return forRoute
}

func (r *routes) note(route string, wall time.Duration, alarm bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.of[route]
	if l == nil {
		if len(r.of) >= maxRoutes {
			return false
		}
		if r.of == nil {
			r.of = map[string]*latencies{}
		}
		l = &latencies{}
		r.of[route] = l
	}
	of := uint32(slowOf)
	if alarm {
		of = 10
	}
	slow := wall >= neverSlow && l.n >= learnFrom && l.above(wall)*of < l.n
	l.add(wall)
	return slow
}

func (l *latencies) add(d time.Duration) {
	l.buckets[bucketOf(d)]++
	if l.n++; l.n >= forgetAt {
		l.n = 0
		for i := range l.buckets {
			l.buckets[i] /= 2
			l.n += l.buckets[i]
		}
	}
}

// above counts the requests that took as long as d, or longer.
func (l *latencies) above(d time.Duration) (n uint32) {
	for _, c := range l.buckets[bucketOf(d):] {
		n += c
	}
	return n
}

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 8))
	k := bits.Len64(v)
	return (k-1)*8 + int(v>>(k-4))&7
}
