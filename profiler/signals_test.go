package profiler_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/spanclock/spanclock/profiler"
)

// A trace comes with what the process went through in its time.
func TestSignalsOfATrace(t *testing.T) {
	s := newService(t, quick)
	_, span := s.Start(context.Background(), "span")
	burnCPU(300 * time.Millisecond)
	runtime.GC()
	span.End()
	s.refresh(t)

	st := s.prof.Stats()
	if len(st.Signals) == 0 || runtime.GOOS != "linux" && len(st.MissingSignals) == 0 {
		t.Errorf("got signals %v, missing %v; want some, and what is missing named", st.Signals, st.MissingSignals)
	}
	tr := s.trace(t, span)
	if len(tr.Signals) == 0 {
		t.Fatal("got no signals")
	}
	sum := map[string]int64{}
	for i, x := range tr.Signals {
		if !x.Start.Before(x.End) || i > 0 && x.Start.Before(tr.Signals[i-1].End) {
			t.Errorf("got a stretch from %v to %v; want them in order and apart", x.Start, x.End)
		}
		for name, v := range x.Values {
			if v < 0 {
				t.Errorf("got %s of %d; want no negative ones", name, v)
			}
			sum[name] += v
		}
	}
	if first, last := tr.Signals[0], tr.Signals[len(tr.Signals)-1]; first.Start.After(tr.Spans[0].Start) || last.End.Before(tr.Spans[0].End) {
		t.Errorf("got signals from %v to %v; want them over the whole span, %v to %v", first.Start, last.End, tr.Spans[0].Start, tr.Spans[0].End)
	}
	if sum[profiler.SignalGCs] < 1 || sum[profiler.SignalGoroutines] < 1 {
		t.Errorf("got %v; want the collection and the goroutines in it", sum)
	}
	if cpu, ok := sum[profiler.SignalCPU]; runtime.GOOS == "linux" && (!ok || cpu < int64(5*time.Millisecond)) {
		t.Errorf("got %v of CPU, known %v; want what the span burnt", time.Duration(cpu), ok)
	}
	for name := range sum {
		if !slices.Contains(st.Signals, name) {
			t.Errorf("got %s in a trace and not in Stats", name)
		}
	}
}

// Without spans nothing is stored.
func TestNoSignalsWithoutTraffic(t *testing.T) {
	s := newService(t, quick)
	s.refresh(t)
	time.Sleep(150 * time.Millisecond)
	s.refresh(t)
	_, span := s.Start(context.Background(), "span")
	started := time.Now()
	span.End()
	s.refresh(t)
	for _, x := range s.trace(t, span).Signals {
		if x.End.Before(started.Add(-time.Second).Round(0)) {
			t.Errorf("got signals up to %v; want none before the traffic at %v", x.End, started)
		}
	}
}
