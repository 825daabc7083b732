// Package signals reads what the kernel and the Go runtime did to the process:
// how long its threads waited for a CPU, whether its quota stopped it, what the
// garbage collector took. Its figures are differences between two readings.
//
// Names of figures end in _ns when they are times in nanoseconds.
package signals

import (
	"maps"
	"slices"
	"time"
)

// Figures. Those of several threads or CPUs are sums over them: more than a second
// a second is possible.
const (
	CPU      = "cpu_ns"       // CPU time of the process, user and system
	RunDelay = "run_delay_ns" // all threads waited for the kernel to run them

	Throttled        = "throttled_ns"      // the control group's quota stopped it, summed over CPUs
	ThrottledPeriods = "throttled_periods" // quota periods in which that happened
	Pressure         = "pressure_ns"       // some task of the control group waited for a CPU (PSI)
	Steal            = "steal_ns"          // the hypervisor gave the machine's CPUs to others

	GCPause    = "gc_pause_ns"     // the garbage collector stopped the world
	GCPauseMax = "gc_pause_max_ns" // the longest such stop, to a histogram bucket
	GCCPU      = "gc_cpu_ns"       // CPU time of the garbage collector
	GCs        = "gcs"             // collections that ended

	SchedWait = "sched_wait_ns" // goroutines waited in Go's run queue, estimated from one in eight
	MutexWait = "mutex_wait_ns" // goroutines waited for a mutex

	Runnable   = "runnable"   // goroutines in Go's run queue, at the end
	Goroutines = "goroutines" // all of them, at the end
	Threads    = "threads"    // of the process, at the end
)

// source reads some figures. It adds to each the difference to its last reading,
// or a state as of now, and leaves out what it cannot tell.
type source interface {
	read(into map[string]int64)
	close()
}

// Reader reads all figures that are to be had. It is for one goroutine at a time.
type Reader struct {
	sources []source
	missing []string
	last    time.Time
	known   []string
}

// Open finds the sources of figures and takes the first reading. What cannot be
// had is left out; Missing says why.
func Open() *Reader { return open("/", time.Now()) }

// open takes the system's files from below root.
func open(root string, now time.Time) *Reader {
	kernel, missing := kernelSources(root)
	r := &Reader{sources: append(kernel, newRuntime()), missing: missing}
	r.Read(now)
	return r
}

// Read returns the figures from the last reading to now, and when that was. The
// zero time says that it is the first.
func (r *Reader) Read(now time.Time) (since time.Time, values map[string]int64) {
	values = map[string]int64{}
	for _, s := range r.sources {
		s.read(values)
	}
	since, r.last = r.last, now
	if r.known == nil {
		r.known = slices.Sorted(maps.Keys(values))
	}
	return since, values
}

// Last returns the time of the last reading.
func (r *Reader) Last() time.Time { return r.last }

// Known returns the names of the figures that the first reading had.
func (r *Reader) Known() []string { return r.known }

// Missing says which figures cannot be had, and why, a sentence each.
func (r *Reader) Missing() []string { return r.missing }

// Close frees the files.
func (r *Reader) Close() {
	for _, s := range r.sources {
		s.close()
	}
}

// counter makes differences of a figure that only grows.
type counter struct {
	last  int64
	begun bool
}

// since returns what v has grown by; 0 for the first one, and when it fell: the
// system began to count anew.
func (c *counter) since(v int64) int64 {
	d := v - c.last
	if !c.begun || d < 0 {
		d = 0
	}
	c.last, c.begun = v, true
	return d
}
