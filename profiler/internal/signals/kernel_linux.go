package signals

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// kernelSources opens what Linux tells below root. The files stay open: a read
// costs 1 to 2 µs then.
func kernelSources(root string) (found []source, missing []string) {
	found = append(found, &processCPU{}, newThreads(filepath.Join(root, "proc/self/task")))
	if s, err := openStat(filepath.Join(root, "proc/stat")); err != nil {
		missing = append(missing, fmt.Sprintf("steal: %v", err))
	} else {
		found = append(found, s)
	}
	groups, err := findGroups(root)
	if err != nil {
		missing = append(missing, fmt.Sprintf("throttling and pressure: %v", err))
		return found, missing
	}
	if s := openThrottling(groups.cpu); s != nil {
		found = append(found, s)
	} else {
		missing = append(missing, "throttling: no control group of the process has a CPU quota to report on")
	}
	if s := openPressure(groups.pressure); s != nil {
		found = append(found, s)
	} else {
		missing = append(missing, "pressure: the process's control group does not tell it (version 1 has none), and that of the host is not the group's")
	}
	return found, missing
}

// file is a file of the kernel's that is read over and over. A read at offset 0
// makes its content anew.
type file struct {
	f   *os.File
	buf []byte
}

func openFile(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{f: f, buf: make([]byte, 4096)}, nil
}

// read returns the beginning of the file, nil when it cannot be read. The bytes
// are good until the next read.
func (f *file) read() []byte {
	n, err := f.f.ReadAt(f.buf, 0)
	if n == 0 && err != nil {
		return nil
	}
	return f.buf[:n]
}

func (f *file) close() { f.f.Close() }

// field returns the number behind a key in lines of "key number".
func field(text []byte, key string) (int64, bool) {
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if ok && string(name) == key {
			return number(value)
		}
	}
	return 0, false
}

func number(b []byte) (int64, bool) {
	v, err := strconv.ParseInt(string(b), 10, 64)
	return v, err == nil
}

// processCPU is the CPU time of the process.
type processCPU struct{ used counter }

func (p *processCPU) close() {}

func (p *processCPU) read(into map[string]int64) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		into[CPU] = p.used.since(u.Utime.Nano() + u.Stime.Nano())
	}
}

// stat is /proc/stat, of which the first line tells the stolen time of all CPUs
// in ticks of 10 ms (USER_HZ, fixed for all architectures that Go has).
type stat struct {
	*file
	stolen counter
}

func openStat(path string) (source, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	f.buf = make([]byte, 256) // the first line is all
	return &stat{file: f}, nil
}

func (s *stat) read(into map[string]int64) {
	line, _, _ := bytes.Cut(s.file.read(), []byte("\n"))
	if f := bytes.Fields(line); len(f) > 8 && string(f[0]) == "cpu" {
		if v, ok := number(f[8]); ok {
			into[Steal] = s.stolen.since(v * 1e7)
		}
	}
}

// throttling is cpu.stat of the control groups that the process is in: the quota
// of any of them stops it, and each tells of its own only.
type throttling struct{ groups []*group }

type group struct {
	*file
	periods, time counter
}

// maxGroups bounds the nested groups that are asked.
const maxGroups = 8

func openThrottling(dirs []string) source {
	t := &throttling{}
	for _, dir := range dirs[:min(len(dirs), maxGroups)] {
		f, err := openFile(filepath.Join(dir, "cpu.stat"))
		if err != nil {
			continue
		}
		if _, ok := field(f.read(), "nr_throttled"); !ok { // the root has none
			f.close()
			continue
		}
		t.groups = append(t.groups, &group{file: f})
	}
	if len(t.groups) == 0 {
		return nil
	}
	return t
}

func (t *throttling) close() {
	for _, g := range t.groups {
		g.close()
	}
}

func (t *throttling) read(into map[string]int64) {
	for _, g := range t.groups {
		text := g.file.read()
		n, ok := field(text, "nr_throttled")
		if !ok {
			continue
		}
		us, v2 := field(text, "throttled_usec")
		ns, _ := field(text, "throttled_time") // version 1
		if v2 {
			ns = us * 1000
		}
		into[ThrottledPeriods] += g.periods.since(n)
		into[Throttled] += g.time.since(ns)
	}
}

// pressure is cpu.pressure of the process's control group.
type pressure struct {
	*file
	some counter
}

// openPressure takes the first of paths that is there.
func openPressure(paths []string) source {
	for _, path := range paths {
		f, err := openFile(path)
		if err != nil {
			continue
		}
		if _, ok := somePressure(f.read()); ok {
			return &pressure{file: f}
		}
		f.close() // a kernel that can but was told not to
	}
	return nil
}

func (p *pressure) read(into map[string]int64) {
	if v, ok := somePressure(p.file.read()); ok {
		into[Pressure] = p.some.since(v)
	}
}

// somePressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=<µs>".
func somePressure(text []byte) (int64, bool) {
	line, _, _ := strings.Cut(string(text), "\n")
	if !strings.HasPrefix(line, "some ") {
		return 0, false
	}
	_, total, ok := strings.Cut(line, "total=")
	if !ok {
		return 0, false
	}
	v, ok := number([]byte(strings.TrimSpace(total)))
	return v * 1000, ok
}
