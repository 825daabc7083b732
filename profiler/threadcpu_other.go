//go:build !linux

package profiler

import "time"

var threadStart = time.Now()

// threadCPU returns wall time, which is no less than the CPU time of the calling
// thread.
func threadCPU() time.Duration { return time.Since(threadStart) }
