package profiler

import (
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"testing"
)

func TestTimedThreads(t *testing.T) {
	const timers = `ID: 3
signal: 27/0000000000000000
notify: signal/tid.104
ClockID: -2
ID: 2
signal: 10/0000000000000000
notify: signal/tid.105
ClockID: -2
ID: 1
signal: 27/0000000000000000
notify: signal/pid.101
ClockID: 1
ID: 0
signal: 27/0000000000000000
notify: signal/tid.101
ClockID: -2
`
	want := map[int]bool{101: true, 104: true}
	if got := timedThreads([]byte(timers)); !maps.Equal(got, want) {
		t.Errorf("got threads %v; want %v", got, want)
	}
	if got := timedThreads([]byte("\nnonsense: \nnotify: signal/tid.x")); len(got) != 0 {
		t.Errorf("got threads %v of nonsense; want none", got)
	}
}

// The thread that runs Go code is sampled, and there is one that is not: sysmon.
func TestUnsampledThreads(t *testing.T) {
	if _, err := os.Stat("/proc/self/timers"); err != nil {
		t.Skip("this kernel does not list timers")
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := readThreads()
	if len(begin) < 2 {
		t.Fatalf("got %d threads; want several", len(begin))
	}
	burnt := begin[syscall.Gettid()]
	for readThreads()[syscall.Gettid()]-burnt < 100e6 {
	}
	runtime.Gosched() // the runtime makes a thread's timer when it next runs a goroutine
	timers, err := os.ReadFile("/proc/self/timers")
	if err != nil {
		t.Fatal(err)
	}
	if timed := timedThreads(timers); !timed[syscall.Gettid()] || len(timed) >= len(readThreads()) {
		t.Errorf("got %d threads with a timer among %d, this one %v; want this one, and not all", len(timed), len(readThreads()), timed[syscall.Gettid()])
	}
	if d, known := begin.unsampled(); !known || d >= 100e6 {
		t.Errorf("got %v unsampled, known %v; want it known, and without the thread that burnt 100 ms", d, known)
	}
	if _, known := threadTimes(nil).unsampled(); known {
		t.Error("got it known without the clocks at the start; want not")
	}
}
