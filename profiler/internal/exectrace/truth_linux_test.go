package exectrace

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// TestCPUOfThreads compares with the clock of the thread that a span burnt on:
// whatever else the machine does, the sums agree roughly. BenchmarkTruth has the
// figures.
func TestCPUOfThreads(t *testing.T) {
	const n = 40
	var want time.Duration
	got, c := analyze(t, take(t, func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for i := range n {
			before := threadCPU()
			spanOf(i, func() { burn(20 * time.Millisecond) })
			want += threadCPU() - before
		}
	}))
	var sum, running time.Duration
	for _, s := range got {
		sum += s.Running - s.Stolen
		running += s.Running
	}
	t.Logf("thread %v, spans %v, running %v, %d readings", want, sum, running, c.Readings)
	if sum < want*3/4 || sum > want*5/4 {
		t.Errorf("got %v on CPU; the thread's clock says %v", sum, want)
	}
}
