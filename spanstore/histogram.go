package spanstore

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets whose width grows with them: 32 for
// each power of two, so that none is wider than 1/32 of what is in it, and its
// middle at most 1/64 from it. Up to 64 ns each nanosecond has its own.
type histogram struct {
	count   int64
	total   int64
	max     int64
	octaves [64]*[octaveBuckets]uint32
}

const octaveBuckets = 32

// bucket returns where v is counted.
func bucket(v int64) (octave, at int) {
	n := bits.Len64(uint64(v))
	if n <= 6 {
		return int(v) / octaveBuckets, int(v) % octaveBuckets
	}
	return n - 5, int(v>>(n-6)) - octaveBuckets
}

// middle returns the value that stands for a bucket.
func middle(octave, at int) int64 {
	if octave < 2 {
		return int64(octave*octaveBuckets + at)
	}
	shift := octave - 1
	return int64(octaveBuckets+at)<<shift + int64(1)<<shift/2
}

func (h *histogram) add(v int64) {
	h.count++
	if h.total += v; h.total < 0 {
		h.total = 1<<63 - 1
	}
	h.max = max(h.max, v)
	o, at := bucket(v)
	if h.octaves[o] == nil {
		h.octaves[o] = new([octaveBuckets]uint32)
	}
	h.octaves[o][at]++
}

// merge adds what is in o.
func (h *histogram) merge(o *histogram) {
	h.count += o.count
	if h.total += o.total; h.total < 0 {
		h.total = 1<<63 - 1
	}
	h.max = max(h.max, o.max)
	for i, from := range o.octaves {
		switch to := h.octaves[i]; {
		case from == nil:
		case to == nil:
			h.octaves[i] = from // o is not used again
		default:
			for k, n := range from {
				to[k] += n
			}
		}
	}
}

// quantile returns the value that a share q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q*float64(h.count) + 0.999999) // the rank is the least that is enough
	for o, counts := range h.octaves {
		if counts == nil {
			continue
		}
		for at, n := range counts {
			if rank -= int64(n); rank <= 0 && n > 0 {
				return time.Duration(min(middle(o, at), h.max))
			}
		}
	}
	return time.Duration(h.max)
}
