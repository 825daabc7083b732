package exectrace

import (
	"testing"
	"time"
)

// ranAndRead lets a thread run one goroutine from its last stop on, and reads its clock.
func (t *thread) ranAndRead(from, to, cpu int64) {
	t.start(from)
	t.stop(to)
	t.before = t.ran
	t.read(to, to, cpu)
}

// TestNewThread: what a thread ran before its clock was read for the first time is
// scaled if it cannot have been on CPU for all of it, and counts whole otherwise.
func TestNewThread(t *testing.T) {
	for _, tt := range []struct {
		name string
		cpu  int64 // at the first reading
		want time.Duration
	}{
		{"new, starved", 250, 250},
		{"new, not starved", 1000, 1000},
		{"old", 1_000_000, 1000},
	} {
		th := &thread{since: -1, seen: 0}
		th.ranAndRead(0, 1000, tt.cpu)
		th.settle(true)
		if got := th.onCPU(0, 1000, 1000); got.value != tt.want {
			t.Errorf("%s: got %d of 1000 on CPU; want %d", tt.name, got.value, tt.want)
		}
	}
}

// TestBeforeFirstReading: an old thread is taken to have been starved before its first
// reading as it was after that.
func TestBeforeFirstReading(t *testing.T) {
	th := &thread{since: -1}
	th.ranAndRead(0, 1000, 1_000_000)
	th.ranAndRead(1000, 2000, 1_000_300)
	th.settle(true)
	if got := th.onCPU(0, 2000, 2000).value; got != 600 {
		t.Errorf("got %d of 2000 on CPU; want 300 of each 1000", got)
	}
}

// TestManyRuns: a span that is interrupted more often than runs are kept has the CPU
// time that its thread's clock tells, not all that it ran: what lies between two
// readings is one run.
func TestManyRuns(t *testing.T) {
	th := &thread{since: -1, seen: 0}
	th.ranAndRead(0, 0, 0)
	s := &span{}
	at := int64(0)
	for i := range 20 * maxRuns {
		th.start(at)
		th.stop(at + 60)
		s.ran(th, at, at+60)
		at += 100 // and 40 of system calls
		if i%1000 == 999 {
			th.before = th.ran
			th.read(at, at, int64(i+1)*20) // a third of what it ran
		}
	}
	th.before = th.ran
	th.read(at, at, 20*maxRuns*20)
	th.settle(true)
	s.scale()
	if s.running != 20*maxRuns*60 {
		t.Errorf("got %d running; want %d", s.running, 20*maxRuns*60)
	}
	if want := time.Duration(20 * maxRuns * 20); s.scaled.value < want*99/100 || s.scaled.value > want*101/100 {
		t.Errorf("got %d on CPU; want about %d", s.scaled.value, want)
	}
	if n := cap(s.runs); n > maxRuns {
		t.Errorf("got room for %d runs; want %d at most", n, maxRuns)
	}
}
