package signals

import (
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"
)

// What the runtime tells is there on every system, from the first reading on.
func TestRuntime(t *testing.T) {
	begun := time.Now()
	r := Open()
	defer r.Close()
	if r.Last().Before(begun) {
		t.Errorf("got %v as the last reading; want the one that Open took", r.Last())
	}
	for _, name := range []string{GCPause, GCPauseMax, GCCPU, GCs, SchedWait, MutexWait, Runnable, Goroutines, Threads} {
		if !slices.Contains(r.Known(), name) {
			t.Errorf("got %v; want %s among them", r.Known(), name)
		}
	}
	runtime.GC()
	first := r.Last()
	since, values := r.Read(time.Now())
	if !since.Equal(first) {
		t.Errorf("got figures since %v; want since %v", since, first)
	}
	if values[GCs] < 1 || values[GCCPU] <= 0 || values[GCPause] <= 0 || values[GCPauseMax] <= 0 || values[Goroutines] < 1 || values[Threads] < 1 {
		t.Errorf("got %v after a collection; want it in the figures", values)
	}
	if _, again := r.Read(time.Now()); again[GCs] > values[GCs] {
		t.Errorf("got %d collections when nobody asked for one; want differences, not sums", again[GCs])
	}
}

func TestHistogram(t *testing.T) {
	h := histogram{}
	buckets := []float64{math.Inf(-1), 1e-6, 3e-6, math.Inf(1)}
	if sum, most := h.since(&metrics.Float64Histogram{Counts: []uint64{1, 1, 1}, Buckets: buckets}); sum != 0 || most != 0 {
		t.Errorf("got %d, %d the first time; want nothing", sum, most)
	}
	sum, most := h.since(&metrics.Float64Histogram{Counts: []uint64{3, 2, 1}, Buckets: buckets})
	if want := int64(2*500 + 2000); sum != want || most != 3000 {
		t.Errorf("got a sum of %d, at most %d; want %d, 3000", sum, most, want)
	}
}

func TestCounter(t *testing.T) {
	var c counter
	for i, step := range []struct{ v, want int64 }{{100, 0}, {130, 30}, {130, 0}, {5, 0}, {7, 2}} {
		if got := c.since(step.v); got != step.want {
			t.Errorf("step %d, to %d: got %d; want %d", i, step.v, got, step.want)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	r := Open()
	defer r.Close()
	b.ReportAllocs()
	for b.Loop() {
		r.Read(time.Now())
	}
}
