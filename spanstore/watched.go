package spanstore

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// MeanCPU is what one span of an operation used on CPU, on average over those that
// a CPU profile watched.
type MeanCPU struct {
	// Spans counts the spans that it is the mean of: those that lie in profiled
	// windows. Spans in a hole, or in a window in which only local roots were
	// labelled (Window.RootsOnly), say nothing about the CPU time of one.
	Spans int

	// Samples is the number of CPU samples that fell on them.
	Samples int

	// Value is the mean, Low and High its interval, in which the truth lies in 95 of
	// 100 cases. Without samples High is a bound. Without spans all three are zero,
	// and mean nothing.
	Value, Low, High time.Duration
}

// meanCPU estimates from n samples worth cpu in so many spans. Samples of many
// spans are a matter of chance: they scatter by √n. Period is that of a sample, for
// when there is none.
func meanCPU(spans int, n int64, cpu, period time.Duration) MeanCPU {
	m := MeanCPU{Spans: spans, Samples: int(n)}
	switch {
	case spans <= 0:
	case n <= 0 || cpu <= 0:
		m.High = 3 * period / time.Duration(spans) // more would have had a sample in 95 of 100 cases
	default:
		half := 2 * float64(cpu) / float64(n) * math.Sqrt(float64(n)+1) / float64(spans)
		m.Value = cpu / time.Duration(spans)
		m.Low, m.High = max(0, m.Value-time.Duration(half)), m.Value+time.Duration(half)
	}
	return m
}

// gapClosed is how far apart windows may be for a span across both to count as
// watched: stopping one profile and starting the next takes up to 24 ms.
const gapClosed = 100 * time.Millisecond

// watched knows when CPU time was put to every span.
type watched struct {
	period   time.Duration
	profiled []stretch // sorted and joined by close
	others   []stretch // holes, and windows of local roots alone; sorted
	longest  int64     // of others
}

type stretch struct{ from, to int64 }

func (w *watched) add(windows []block.Window) {
	for _, b := range windows {
		s := stretch{b.Start, b.Start + b.Length}
		if b.Hole != "" || b.RootsOnly {
			w.others = append(w.others, s)
			w.longest = max(w.longest, b.Length)
			continue
		}
		w.period = max(w.period, time.Duration(b.Period))
		w.profiled = append(w.profiled, s)
	}
}

// close brings the stretches into order once all are added.
func (w *watched) close() {
	byStart := func(a, b stretch) int { return cmp.Compare(a.from, b.from) }
	slices.SortFunc(w.profiled, byStart)
	slices.SortFunc(w.others, byStart)
	joined := w.profiled[:0]
	for _, s := range w.profiled {
		if n := len(joined); n > 0 && s.from <= joined[n-1].to+int64(gapClosed) {
			joined[n-1].to = max(joined[n-1].to, s.to)
		} else {
			joined = append(joined, s)
		}
	}
	w.profiled = joined
}

// all reports whether CPU time was put to every span from from to to.
func (w *watched) all(from, to int64) bool {
	i, found := slices.BinarySearchFunc(w.profiled, from, func(s stretch, at int64) int { return cmp.Compare(s.from, at) })
	if !found {
		i--
	}
	if i < 0 || w.profiled[i].to < to {
		return false
	}
	i, _ = slices.BinarySearchFunc(w.others, from-w.longest, func(s stretch, at int64) int { return cmp.Compare(s.from, at) })
	for ; i < len(w.others) && w.others[i].from <= to; i++ {
		if w.others[i].to > from {
			return false
		}
	}
	return true
}
