package httpui

import (
	"math"
	"testing"
	"time"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// A long trace has no more stretches than a drawing has pixels; nothing is lost.
func TestSignalsAreJoined(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	var all []spanstore.Signals
	for i := range 2 * 3600 {
		at := start.Add(time.Duration(i) * time.Second)
		all = append(all, spanstore.Signals{Start: at, End: at.Add(time.Second), Values: map[string]int64{
			profiler.SignalRunDelay: 1, profiler.SignalRunnable: int64(i % 7),
		}})
	}
	got := newSignals(all, start)
	if len(got) > maxSignals || len(got) < maxSignals/2 {
		t.Fatalf("got %d stretches; want about %d", len(got), maxSignals)
	}
	sum, end := int64(0), int64(0)
	for _, s := range got {
		if s.StartNS != end {
			t.Fatalf("got a stretch from %d; want it to begin where the last ended, %d", s.StartNS, end)
		}
		end = s.EndNS
		sum += s.Values[profiler.SignalRunDelay]
		if s.Values[profiler.SignalRunnable] != 6 {
			t.Errorf("got %d runnable; want the greatest of the stretch, 6", s.Values[profiler.SignalRunnable])
		}
	}
	if sum != 7200 || end != int64(2*time.Hour) {
		t.Errorf("got a sum of %d up to %v; want 7200 in 2h", sum, time.Duration(end))
	}
	if got := newSignals(nil, start); got == nil || len(got) != 0 {
		t.Errorf("got %v of none; want an empty list", got)
	}
}

// What the profiler could not see is told beside what it saw.
func TestWhatIsMissingIsTold(t *testing.T) {
	for _, tt := range []struct {
		stats profiler.Stats
		lost  int64
		share float64 // -1: not known
	}{
		{profiler.Stats{}, 0, -1},
		{profiler.Stats{Lost: 20 * time.Millisecond, Covered: 980 * time.Millisecond}, 20_000_000, 0.98},
		{profiler.Stats{Lost: 10 * time.Millisecond, Covered: 490 * time.Millisecond, Missed: 500 * time.Millisecond}, 10_000_000, 0.49},
		{profiler.Stats{Missed: time.Minute}, 0, 0},
	} {
		got := newProfiler(nil, tt.stats)
		share := -1.0
		if got.Covered != nil {
			share = *got.Covered
		}
		if got.LostNS != tt.lost || math.Abs(share-tt.share) > 1e-9 {
			t.Errorf("%+v: got %d ns lost and a share of %v; want %d and %v", tt.stats, got.LostNS, share, tt.lost, tt.share)
		}
	}
}
