//go:build unix

package main

import (
	"log"
	"syscall"
	"time"
)

// processCPU returns the CPU time, user and system, that the process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
