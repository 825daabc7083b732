package exectrace

import (
	"slices"
	"sync"
	"time"

	"github.com/spanclock/spanclock/profiler/internal/schedstat"
)

// ThreadClock reads the CPU time of the process's threads. It is for one
// goroutine. The zero value is ready; Close gives its files back.
type ThreadClock struct {
	files *schedstat.Threads // of threads that were seen
	ids   []int
	next  time.Time // when the list of threads is read again
}

// rescan is how long threads that are new may go unread. maxThreads bounds the files:
// of more threads the clocks are not read, and what they run counts as CPU time.
const (
	rescan     = 8 * ReadEvery
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
	if now := time.Now(); !now.Before(c.next) {
		c.next = now.Add(rescan - ReadEvery/2) // due a little before a reading, not after
		c.scan()
	}
	for _, id := range c.ids {
		if cpu, _, ok := c.files.Read(id); ok {
			rs = append(rs, reading{int64(id), cpu})
		}
	}
	return rs
}

// scan looks for threads that are new.
func (c *ThreadClock) scan() {
	if c.files == nil {
		c.files = schedstat.New(schedstat.Self, maxThreads)
	}
	now := c.files.List()
	slices.Sort(now)
	for _, id := range c.ids {
		if _, there := slices.BinarySearch(now, id); !there {
			c.files.Forget(id)
		}
	}
	c.ids = now[:min(len(now), maxThreads)]
}

// Close closes the files. Log opens them again.
func (c *ThreadClock) Close() {
	if c.files != nil {
		c.files.Close()
	}
	c.next = time.Time{}
}
