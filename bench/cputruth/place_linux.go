package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// place is where the spans run; enter returns what ends it.
type place struct {
	name  string
	enter func() (leave func(), err error)
}

var places = []place{
	{"the machine as it is", func() (func(), error) { return func() {}, nil }},
	{"beside as many busy processes as there are CPUs", neighbours},
	{"all threads on one CPU, GOMAXPROCS as many as there are", onOneCPU},
}

func neighbours() (leave func(), err error) {
	var running []*exec.Cmd
	leave = func() {
		for _, c := range running {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	for range runtime.NumCPU() {
		c := exec.Command("/proc/self/exe", "-neighbour")
		c.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if err := c.Start(); err != nil {
			leave()
			return nil, err
		}
		running = append(running, c)
	}
	return leave, nil
}

func beNeighbour() {
	for {
		burnCPU(time.Second)
	}
}

// onOneCPU binds all threads; those to come inherit it.
func onOneCPU() (leave func(), err error) {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, err
	}
	for cpu := range 1024 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	bind := func(set *unix.CPUSet) error {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return fmt.Errorf("thread %s: %w", t.Name(), err)
			}
			if err := unix.SchedSetaffinity(id, set); err != nil && err != unix.ESRCH {
				return err
			}
		}
		return nil
	}
	return func() { _ = bind(&all) }, bind(&one)
}

// burnCPU uses about d of CPU time on this thread and returns how much.
func burnCPU(d time.Duration) time.Duration {
	begin := threadCPU()
	x := uint64(1)
	for {
		for range 2_000 { // some 3 µs
			x = x*6364136223846793005 + 1442695040888963407
		}
		if used := threadCPU() - begin; used >= d {
			runtime.KeepAlive(x)
			return used
		}
	}
}

func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		log.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

func processCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
