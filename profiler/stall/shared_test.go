package stall_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// TestIntervalsOfSharedThreads simulates a thread with a timer that ticks each 10 ms
// of its CPU time, and spans that take turns on it in bursts: the more there are,
// the more is what they get chance. At least 95 % of the intervals have the truth.
func TestIntervalsOfSharedThreads(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, tt := range []struct {
		together    int
		used, burst time.Duration
	}{
		{1, 100 * ms, 100 * ms},
		{2, 100 * ms, 5 * ms},
		{8, 50 * ms, 500 * time.Microsecond},
		{16, 10 * ms, 200 * time.Microsecond},
		{16, 25 * ms, 200 * time.Microsecond},
		{16, 100 * ms, 200 * time.Microsecond},
		{64, 500 * ms, time.Millisecond},
	} {
		inside, all := 0, 0
		for all < 2000 {
			for _, s := range takeTurns(rnd, tt.together, tt.used, tt.burst) {
				all++
				if c := s.shown(); c.Low <= tt.used && tt.used <= c.High {
					inside++
				}
			}
		}
		if inside*100 < all*95 {
			t.Errorf("%d spans at a time, of %v in bursts of %v: got %d of %d truths in their interval; want 95 %% (seed %d)", tt.together, tt.used, tt.burst, inside, all, seed)
		}
	}
}

// turns is a span that shared its thread.
type turns struct {
	samples int
	wall    time.Duration
	left    time.Duration
}

// takeTurns lets so many spans that begin together run on one thread until each
// has used what it wants.
func takeTurns(rnd *rand.Rand, together int, used, burst time.Duration) []*turns {
	const period = 10 * ms
	clock, tick := time.Duration(0), time.Duration(rnd.Int64N(int64(period)))
	var done, running []*turns
	for range together {
		running = append(running, &turns{left: used})
	}
	for len(running) > 0 {
		i := rnd.IntN(len(running))
		s := running[i]
		d := min(burst, s.left)
		for ; tick < clock+d; tick += period {
			s.samples++
		}
		clock += d
		if s.left -= d; s.left == 0 {
			s.wall = clock
			done = append(done, s)
			running = append(running[:i], running[i+1:]...)
		}
	}
	return done
}

// shown is what is said of such a span.
func (s *turns) shown() stall.CPU {
	wall := float64(s.wall) / float64(ms)
	tr := literal(span{id: 1, name: "s", end: wall})
	tr.Windows = []spanstore.Window{window(-10, wall+10, "")}
	if s.samples > 0 {
		sample(tr, 1, s.samples)
	}
	return stall.Analyze(tr).CPU
}
