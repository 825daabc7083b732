package signals

import (
	"math"
	"runtime/metrics"
)

// goRuntime reads runtime/metrics: 2 to 4 µs together, on every system.
type goRuntime struct {
	samples []metrics.Sample
	at      map[string]int // of samples

	gcPause, gcCPU, mutexWait, gcs counter
	pauses, latencies              histogram
}

// The metrics, by what they are called in runtime/metrics.
const (
	mGoroutines = "/sched/goroutines:goroutines"
	mRunnable   = "/sched/goroutines/runnable:goroutines"
	mThreads    = "/sched/threads/total:threads"
	mProcs      = "/sched/gomaxprocs:threads"
	mLatencies  = "/sched/latencies:seconds"
	mPauses     = "/sched/pauses/total/gc:seconds"
	mGCPauseCPU = "/cpu/classes/gc/pause:cpu-seconds"
	mGCCPU      = "/cpu/classes/gc/total:cpu-seconds"
	mGCCycles   = "/gc/cycles/total:gc-cycles"
	mMutexWait  = "/sync/mutex/wait/total:seconds"
)

func newRuntime() *goRuntime {
	r := &goRuntime{at: map[string]int{}}
	for i, name := range []string{mGoroutines, mRunnable, mThreads, mProcs, mLatencies, mPauses, mGCPauseCPU, mGCCPU, mGCCycles, mMutexWait} {
		r.samples = append(r.samples, metrics.Sample{Name: name})
		r.at[name] = i
	}
	return r
}

func (r *goRuntime) close() {}

func (r *goRuntime) read(into map[string]int64) {
	metrics.Read(r.samples)
	set := func(name string, v int64, ok bool) {
		if ok {
			into[name] = v
		}
	}
	state := func(name, metric string) {
		v, ok := r.count(metric)
		set(name, v, ok)
	}
	state(Goroutines, mGoroutines)
	state(Runnable, mRunnable)
	state(Threads, mThreads)
	if v, ok := r.count(mGCCycles); ok {
		into[GCs] = r.gcs.since(v)
	}
	if v, ok := r.seconds(mMutexWait); ok {
		into[MutexWait] = r.mutexWait.since(v)
	}

	// The runtime brings the CPU classes up to date as a collection ends.
	if v, ok := r.seconds(mGCCPU); ok {
		into[GCCPU] = r.gcCPU.since(v)
	}
	procs, ok := r.count(mProcs)
	if v, known := r.seconds(mGCPauseCPU); known && ok && procs > 0 {
		into[GCPause] = r.gcPause.since(v) / procs // a pause counts for every P
	}

	if h := r.histogram(mPauses); h != nil {
		_, longest := r.pauses.since(h)
		into[GCPauseMax] = longest
	}
	if h := r.histogram(mLatencies); h != nil {
		sum, _ := r.latencies.since(h)
		into[SchedWait] = 8 * sum // gTrackingPeriod of the runtime: it times one transition in 8
	}
}

func (r *goRuntime) value(metric string) metrics.Value { return r.samples[r.at[metric]].Value }

// count returns a metric that is a number; not every Go version has every metric.
func (r *goRuntime) count(metric string) (int64, bool) {
	v := r.value(metric)
	if v.Kind() != metrics.KindUint64 {
		return 0, false
	}
	return int64(min(v.Uint64(), math.MaxInt64)), true
}

// seconds returns a metric that is a time, in nanoseconds.
func (r *goRuntime) seconds(metric string) (int64, bool) {
	v := r.value(metric)
	if v.Kind() != metrics.KindFloat64 {
		return 0, false
	}
	return int64(v.Float64() * 1e9), true
}

func (r *goRuntime) histogram(metric string) *metrics.Float64Histogram {
	v := r.value(metric)
	if v.Kind() != metrics.KindFloat64Histogram {
		return nil
	}
	return v.Float64Histogram()
}

// histogram makes differences of a histogram of seconds.
type histogram struct {
	last []uint64
}

// since returns the sum of what was added and the greatest of it, in nanoseconds.
// A bucket counts with its middle, and with its upper end as the greatest.
func (h *histogram) since(now *metrics.Float64Histogram) (sum, greatest int64) {
	if len(h.last) == len(now.Counts) {
		for i, n := range now.Counts {
			d := n - h.last[i]
			if d == 0 || n < h.last[i] {
				continue
			}
			low, high := finite(now.Buckets[i], now.Buckets[i+1])
			sum += int64(float64(d) * (low + high) / 2 * 1e9)
			greatest = int64(high * 1e9)
		}
	}
	h.last = append(h.last[:0], now.Counts...)
	return sum, greatest
}

// finite returns the ends of a bucket; the outermost have one only.
func finite(low, high float64) (float64, float64) {
	if math.IsInf(low, -1) {
		low = 0
	}
	if math.IsInf(high, 1) {
		high = low
	}
	return low, high
}
