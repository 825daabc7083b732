package signals

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

const (
	// maxHandles is how many threads' files stay open: a process that has many
	// threads may need its descriptors. Those of further threads are opened for
	// each reading, 5 µs instead of 1.
	maxHandles = 64

	// maxThreads bounds the threads that are read. With more of them the delay
	// is not known: a part of it would look like all.
	maxThreads = 2048
)

// threads is the run delay of all threads: how long each was ready to run while
// the kernel ran something else. /proc/self/schedstat has the main thread only.
type threads struct {
	dir   string
	known map[string]*thread // by thread id
	round int
	begun bool
	buf   [128]byte
}

type thread struct {
	f     *os.File // nil for those beyond maxHandles
	delay int64    // as of the last reading
	round int      // of the last reading
}

func newThreads(dir string) *threads { return &threads{dir: dir, known: map[string]*thread{}} }

func (t *threads) close() {
	for _, th := range t.known {
		th.close()
	}
}

func (th *thread) close() {
	if th.f != nil {
		th.f.Close()
	}
}

// read adds up what the threads waited since the last reading; what one waited
// that is new since then counts whole.
func (t *threads) read(into map[string]int64) {
	names := t.list()
	if len(names) == 0 || len(names) > maxThreads {
		return
	}
	t.round++
	sum, any := int64(0), false
	for _, name := range names {
		if d, ok := t.readOne(name); ok {
			sum += d
			any = true
		}
	}
	for name, th := range t.known {
		if th.round != t.round { // it has ended
			th.close()
			delete(t.known, name)
		}
	}
	if !any {
		return
	}
	if !t.begun {
		t.begun, sum = true, 0
	}
	into[RunDelay] = sum
}

func (t *threads) list() []string {
	d, err := os.Open(t.dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil
	}
	return names
}

func (t *threads) readOne(name string) (since int64, ok bool) {
	th := t.known[name]
	if th == nil {
		th = &thread{}
		t.known[name] = th
	}
	delay, ok := t.delay(name, th)
	if !ok && th.f != nil { // the thread ended; another may have its number by now
		th.close()
		*th = thread{}
		delay, ok = t.delay(name, th)
	}
	if !ok {
		return 0, false
	}
	since = max(0, delay-th.delay)
	th.delay, th.round = delay, t.round
	return since, true
}

// delay reads a thread's schedstat: nanoseconds on CPU, nanoseconds of waiting
// for one, and how often it ran.
func (t *threads) delay(name string, th *thread) (int64, bool) {
	f := th.f
	if f == nil {
		var err error
		if f, err = os.Open(filepath.Join(t.dir, name, "schedstat")); err != nil {
			return 0, false
		}
		if len(t.known) <= maxHandles {
			th.f = f
		} else {
			defer f.Close()
		}
	}
	n, _ := f.ReadAt(t.buf[:], 0)
	fields := bytes.Fields(t.buf[:n])
	if len(fields) < 2 {
		return 0, false
	}
	v, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return v, err == nil
}
