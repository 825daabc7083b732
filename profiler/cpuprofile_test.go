package profiler

import (
	"io"
	"runtime/pprof"
	"testing"
	"time"
)

// A recording that somebody else stopped is whole, and stopping it leaves alone
// the profile that runs by then.
func TestRecordingStoppedBySomebodyElse(t *testing.T) {
	r, err := startRecording(1)
	if err != nil {
		t.Fatal(err)
	}
	pprof.StopCPUProfile()
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	r.stop()
	if err := pprof.StartCPUProfile(io.Discard); err == nil {
		t.Error("got somebody else's CPU profile stopped; want it running")
	}
	prof, err := r.parse()
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	if got := time.Duration(prof.Period); got != 10*time.Millisecond {
		t.Errorf("got a period of %v; want 10ms", got)
	}
	if second, err := startRecording(2); err == nil {
		second.stop()
		t.Error("got a second recording at the same time; want an error")
	}
}
