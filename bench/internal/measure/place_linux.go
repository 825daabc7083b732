package measure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Place is where something is measured; Enter puts the process there and returns what
// takes it away again. A command that uses Beside must call BeNeighbour when it is
// started with -neighbour.
type Place struct {
	Name  string
	Enter func() (leave func(), err error)
}

// The places.
var (
	AsItIs   = Place{"the machine as it is", func() (func(), error) { return func() {}, nil }}
	Beside   = Place{"beside as many busy processes as there are CPUs", neighbours}
	OnOneCPU = Place{"all threads on one CPU, GOMAXPROCS as many as there are", onOneCPU}
	InQuota  = Place{"in a control group with a quota of 0.6 CPUs", inQuota}
)

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

// BeNeighbour is busy until it is killed.
func BeNeighbour() {
	for {
		BurnCPU(time.Second)
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

// inQuota makes a control group, of version 1 or 2, and goes into it.
func inQuota() (leave func(), err error) {
	for _, v := range []struct{ parent, file, quota string }{
		{"/sys/fs/cgroup", "cpu.max", "60000 100000"},
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "60000"},
		{"/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", "60000"},
	} {
		dir := filepath.Join(v.parent, fmt.Sprintf("spanclock-bench-%d", os.Getpid()))
		if leave, err = quotaIn(v.parent, dir, v.file, v.quota); err == nil {
			return leave, nil
		}
	}
	return nil, fmt.Errorf("no control group with a quota can be made here: %w", err)
}

func quotaIn(parent, dir, file, quota string) (leave func(), err error) {
	if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	leave = func() {
		_ = os.WriteFile(filepath.Join(parent, "cgroup.procs"), []byte("0"), 0)
		_ = os.Remove(dir)
	}
	for _, f := range []struct{ name, value string }{{file, quota}, {"cgroup.procs", "0"}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.value), 0); err != nil {
			leave()
			return nil, err
		}
	}
	return leave, nil
}
