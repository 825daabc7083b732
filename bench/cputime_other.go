//go:build !unix

package bench

import "time"

var started = time.Now()

// cpuTime returns the wall time: of a benchmark that is CPU time at most by a factor.
func cpuTime() time.Duration { return time.Since(started) }
