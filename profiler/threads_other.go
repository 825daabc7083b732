//go:build !linux

package profiler

import "time"

// threadTimes is not known here.
type threadTimes struct{}

func readThreads() threadTimes { return threadTimes{} }

func (threadTimes) unsampled() (time.Duration, bool) { return 0, false }
