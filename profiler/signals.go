package profiler

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spanclock/spanclock/profiler/internal/signals"
	"github.com/spanclock/spanclock/spanstore"
)

// Names of the figures in spanstore.Signals.Values. Times of several threads or
// CPUs are sums over them. Those above the line need Linux, and are absent where
// the kernel does not tell them; Stats.MissingSignals says why.
const (
	SignalCPU              = signals.CPU              // CPU time of the process, user and system
	SignalRunDelay         = signals.RunDelay         // its threads were ready and waited for the kernel to run them
	SignalThrottled        = signals.Throttled        // its control group's CPU quota stopped it
	SignalThrottledPeriods = signals.ThrottledPeriods // quota periods in which that happened
	SignalPressure         = signals.Pressure         // some task of its control group waited for a CPU (PSI)
	SignalSteal            = signals.Steal            // the hypervisor gave the machine's CPUs to others

	SignalGCPause    = signals.GCPause    // the garbage collector stopped the world
	SignalGCPauseMax = signals.GCPauseMax // the longest such stop, to a histogram bucket
	SignalGCCPU      = signals.GCCPU      // CPU time of the garbage collector, told as a collection ends
	SignalGCs        = signals.GCs        // collections that ended
	SignalSchedWait  = signals.SchedWait  // goroutines waited in Go's run queue, estimated from one in eight
	SignalMutexWait  = signals.MutexWait  // goroutines waited for a mutex
	SignalRunnable   = signals.Runnable   // goroutines in Go's run queue, at the end
	SignalGoroutines = signals.Goroutines // all goroutines, at the end
	SignalThreads    = signals.Threads    // threads, at the end
)

const (
	// signalEvery is the pace of the series. A reading costs 40 µs of CPU, and 1 µs for
	// each thread beyond the first few: below 0.01 % of one CPU.
	signalEvery = time.Second

	// maxPending bounds what waits for the store, which gets it with every window.
	maxPending = 600
)

// series reads the signals of the process once a second and keeps those of
// seconds with traffic until the store gets them.
type series struct {
	p *Profiler

	starved atomic.Bool // in the last stretch that was read

	mu      sync.Mutex // guards the rest
	reader  *signals.Reader
	closed  bool
	pending []spanstore.Signals
	ended   uint64 // spans that had ended at the last reading
}

// run reads until the profiler's other goroutine is gone. It also keeps the clock
// by which unended spans age.
func (s *series) run() {
	defer s.p.rescue()
	defer s.close()
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(ownKey, ownProfiler)))
	begun := time.Now()
	t := time.NewTicker(signalEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.p.spans.tick(uint32(time.Since(begun)/time.Second), uint32(s.p.opts.MaxAge/time.Second))
			s.mu.Lock()
			s.read()
			s.mu.Unlock()
		case <-s.p.done:
			return
		}
	}
}

// read adds the stretch since the last reading, if spans were in flight in it and
// it is not all too short. s.mu is held.
func (s *series) read() {
	now := time.Now()
	if now.Sub(s.reader.Last()) < signalEvery/10 {
		return
	}
	since, values := s.reader.Read(now)
	s.starved.Store(starved(values, now.Sub(since), runtime.GOMAXPROCS(0)))
	live, ended := s.p.spans.traffic()
	quiet := live == 0 && ended == s.ended && !s.p.resting()
	if s.ended = ended; quiet {
		return
	}
	if len(s.pending) >= maxPending {
		s.pending = append(s.pending[:0], s.pending[1:]...)
	}
	end := wall(now) // and the start from it, should the wall clock have been set meanwhile
	s.pending = append(s.pending, spanstore.Signals{Start: end.Add(-now.Sub(since)), End: end, Values: values})
}

// starved reports whether a CPU quota stopped the process for a twentieth of a
// stretch, or its threads waited for a CPU for half of it for each of procs, those that
// may run Go code at once: all of them wait a little, and the more the more there are.
func starved(values map[string]int64, length time.Duration, procs int) bool {
	return values[SignalThrottled] > int64(length)/20 || values[SignalRunDelay] > int64(procs)*int64(length)/2
}

// take returns what waits for the store, up to now.
func (s *series) take() []spanstore.Signals {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.read()
	out := s.pending
	s.pending = nil
	return out
}

func (s *series) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.reader.Close()
}
