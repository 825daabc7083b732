package profiler

import (
	"testing"
	"time"
)

// A window that so many spans end in that some would be forgotten lasts MinWindow
// at every level; one that somebody waits for is longer when the level says so.
func TestCrowdedWindowsAreNeverLong(t *testing.T) {
	opts, err := (*Options)(nil).resolved()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		level                   Level
		calm, wanted, overcrowd time.Duration
	}{
		{LevelFull, opts.Window, opts.MinWindow, opts.MinWindow},
		{LevelLongWindows, longer * opts.Window, longer * opts.MinWindow, opts.MinWindow},
		{LevelRoots, longer * opts.Window, longer * opts.MinWindow, opts.MinWindow},
	} {
		now := time.Now()
		p := &Profiler{opts: opts, governor: newGovernor(opts.Budget, now)}
		p.governor.level = tt.level
		p.spans = newRegistry(opts.MaxLive, opts.MaxEnded, func() {})
		s := &sampler{p: p, rec: &recording{start: now}}
		if got := s.remaining(now); got != tt.calm {
			t.Errorf("%v: got %v; want %v", tt.level, got, tt.calm)
		}
		p.wish = now.Add(time.Nanosecond)
		if got := s.remaining(now); got != tt.wanted {
			t.Errorf("%v, with somebody waiting: got %v; want %v", tt.level, got, tt.wanted)
		}
		p.spans.crowded.Store(true)
		if got := s.remaining(now); got != tt.overcrowd {
			t.Errorf("%v, crowded: got %v; want %v", tt.level, got, tt.overcrowd)
		}
	}
}
