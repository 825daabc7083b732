package signals

import "github.com/spanclock/spanclock/profiler/internal/schedstat"

const (
	// maxHandles is how many threads' files stay open.
	maxHandles = 64

	// maxThreads bounds the threads that are read. With more of them the delay
	// is not known: a part of it would look like all.
	maxThreads = 2048
)

// threads is the run delay of all threads: how long each was ready to run while
// the kernel ran something else.
type threads struct {
	files *schedstat.Threads
	known map[int]delay // by thread id
	round int
	begun bool
}

// delay is that of a thread since it was started, as of a reading.
type delay struct {
	ns    int64
	round int
}

func newThreads(dir string) *threads {
	return &threads{files: schedstat.New(dir, maxHandles), known: map[int]delay{}}
}

func (t *threads) close() { t.files.Close() }

// read adds up what the threads waited since the last reading; what one waited
// that is new since then counts whole.
func (t *threads) read(into map[string]int64) {
	ids := t.files.List()
	if len(ids) == 0 || len(ids) > maxThreads {
		return
	}
	t.round++
	sum, any := int64(0), false
	for _, id := range ids {
		if _, ns, ok := t.files.Read(id); ok {
			was := t.known[id].ns
			if ns < was { // another thread has its number by now
				was = 0
			}
			sum += ns - was
			t.known[id] = delay{ns, t.round}
			any = true
		}
	}
	for id, d := range t.known {
		if d.round != t.round { // it has ended
			t.files.Forget(id)
			delete(t.known, id)
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
