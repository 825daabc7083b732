package profiler

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/spanclock/spanclock/profiler/internal/schedstat"
)

// maxThreads bounds what a window's calibration may cost: about 5 µs a thread.
const maxThreads = 512

// threadTimes is the CPU time that each thread has used, by its id.
type threadTimes map[int]time.Duration

// readThreads returns the CPU time of the process's threads, nil when it cannot
// be read or they are too many.
func readThreads() threadTimes {
	r := schedstat.New(schedstat.Self, 0)
	ids := r.List()
	if len(ids) == 0 || len(ids) > maxThreads {
		return nil
	}
	times := threadTimes{}
	for _, id := range ids {
		if cpu, _, ok := r.Read(id); ok {
			times[id] = time.Duration(cpu)
		}
	}
	return times
}

// unsampled returns the CPU time since begin of the threads that have no
// profiling timer now: the runtime's own sysmon, which takes 1 % of a busy
// process and up to 6 % beside busy neighbours, and threads of C's own. It is to
// be called while the CPU profile is running.
func (begin threadTimes) unsampled() (d time.Duration, known bool) {
	if begin == nil {
		return 0, false
	}
	timers, err := os.ReadFile("/proc/self/timers")
	if err != nil {
		return 0, false
	}
	sampled := timedThreads(timers)
	now := readThreads()
	if now == nil || len(sampled) == 0 {
		return 0, false
	}
	for id, t := range now {
		if !sampled[id] {
			d += max(0, t-begin[id])
		}
	}
	return d, true
}

// timedThreads returns the threads that get a SIGPROF from a timer, of a
// /proc/self/timers: an entry is a few lines, that of the signal before that of
// the thread.
//
//	signal: 27/0000000000000000
//	notify: signal/tid.32722
func timedThreads(timers []byte) map[int]bool {
	prof := fmt.Appendf(nil, "signal: %d/", int(syscall.SIGPROF))
	threads := map[int]bool{}
	profiling := false
	for line := range bytes.Lines(timers) {
		if bytes.HasPrefix(line, []byte("signal: ")) {
			profiling = bytes.HasPrefix(line, prof)
		}
		if id, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("notify: signal/tid.")); ok && profiling {
			if n, err := strconv.Atoi(string(id)); err == nil {
				threads[n] = true
			}
		}
	}
	return threads
}
