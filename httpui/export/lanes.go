package export

import "container/heap"

// lanes are the tracks of a process, the one that is free first on top.
type lanes struct {
	free  laneHeap
	count int // of all
}

type lane struct {
	until float64
	track int
}

// take returns a track on which nothing is after from, 0 when there is none.
func (l *lanes) take(from float64) int {
	if len(l.free) == 0 || l.free[0].until > from {
		return 0
	}
	return heap.Pop(&l.free).(lane).track
}

func (l *lanes) put(until float64, track int) { heap.Push(&l.free, lane{until, track}) }

type laneHeap []lane

func (h laneHeap) Len() int { return len(h) }
func (h laneHeap) Less(i, k int) bool {
	return h[i].until < h[k].until || h[i].until == h[k].until && h[i].track < h[k].track
}
func (h laneHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *laneHeap) Push(x any)   { *h = append(*h, x.(lane)) }
func (h *laneHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
