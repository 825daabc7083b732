package exectrace

import (
	"bytes"
	"os"
	"strconv"
	"sync"
)

// ThreadClock reads the CPU time of the process's threads. It is for one
// goroutine. The zero value is ready; Close gives its files back.
type ThreadClock struct {
	files map[int64]*os.File // of threads that were seen, kept open: reading one takes 1 µs
	buf   [64]byte
	round int
}

// rescan is how many readings pass before the list of threads is read again.
// maxThreads bounds the files: of more threads the clocks are not read, and what
// they run counts as CPU time.
const (
	rescan     = 8
	maxThreads = 64
)

// logging keeps the two halves of a reading together.
var logging sync.Mutex

// Log reads the clocks and writes them into the trace that is being taken.
func (c *ThreadClock) Log() {
	logging.Lock()
	defer logging.Unlock()
	logClocksBefore()
	if rs := c.read(); len(rs) > 0 {
		logClocks(rs)
	}
}

func (c *ThreadClock) read() (rs []reading) {
	if c.round%rescan == 0 {
		c.scan()
	}
	c.round++
	for tid, f := range c.files {
		n, err := f.ReadAt(c.buf[:], 0)
		if n == 0 || err != nil && n == len(c.buf) {
			f.Close()
			delete(c.files, tid) // the thread has ended
			continue
		}
		field, _, _ := bytes.Cut(c.buf[:n], []byte(" "))
		if cpu, err := strconv.ParseInt(string(field), 10, 64); err == nil {
			rs = append(rs, reading{tid, cpu})
		}
	}
	return rs
}

// scan opens the clocks of threads that are new.
func (c *ThreadClock) scan() {
	d, err := os.Open("/proc/self/task")
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	if c.files == nil {
		c.files = map[int64]*os.File{}
	}
	for _, name := range names {
		tid, err := strconv.ParseInt(name, 10, 64)
		if err != nil || c.files[tid] != nil {
			continue
		}
		if len(c.files) == maxThreads {
			return
		}
		if f, err := os.Open("/proc/self/task/" + name + "/schedstat"); err == nil {
			c.files[tid] = f
		}
	}
}

// Close closes the files. Log opens them again.
func (c *ThreadClock) Close() {
	for _, f := range c.files {
		f.Close()
	}
	c.files, c.round = nil, 0
}
