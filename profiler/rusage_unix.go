//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package profiler

import (
	"syscall"
	"time"
)

// processCPU returns the CPU time, user and system, that the process has used
// so far. It costs 2.7 µs.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
