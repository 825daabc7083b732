package main

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// threadTimes returns the CPU time of each thread of the process.
func threadTimes() map[string]time.Duration {
	times := map[string]time.Duration{}
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/schedstat")
		ran, _, _ := bytes.Cut(b, []byte{' '})
		if ns, err := strconv.ParseInt(string(ran), 10, 64); err == nil {
			times[t.Name()] = time.Duration(ns)
		}
	}
	return times
}

// unsampledSince returns what threads without a CPU timer have used since begin. It
// is to be called while a CPU profile runs; without the list of timers it is 0.
func unsampledSince(begin map[string]time.Duration) (d time.Duration) {
	timers, err := os.ReadFile("/proc/self/timers")
	if err != nil {
		return 0
	}
	for id, t := range threadTimes() {
		if !bytes.Contains(timers, []byte("signal/tid."+id+"\n")) {
			d += t - begin[id]
		}
	}
	return d
}
