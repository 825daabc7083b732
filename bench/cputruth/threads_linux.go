package main

import (
	"bytes"
	"os"
	"time"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

// unsampledSince returns what threads without a CPU timer have used since begin. It
// is to be called while a CPU profile runs; without the list of timers it is 0.
func unsampledSince(begin map[string]time.Duration) (d time.Duration) {
	timers, err := os.ReadFile("/proc/self/timers")
	if err != nil {
		return 0
	}
	for id, t := range measure.ThreadTimes() {
		if !bytes.Contains(timers, []byte("signal/tid."+id+"\n")) {
			d += t - begin[id]
		}
	}
	return d
}
