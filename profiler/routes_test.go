package profiler

import (
	"fmt"
	"testing"
	"time"
)

func TestSlowForItsRoute(t *testing.T) {
	var r routes
	slow := 0
	for i := range 10_000 {
		wall := 10*time.Millisecond + time.Duration(i%97)*time.Microsecond
		if i%500 == 499 {
			wall = 80 * time.Millisecond
		}
		if r.slow("GET /a", wall, 0, false) {
			slow++
			if wall < 20*time.Millisecond {
				t.Fatalf("request %d of %v is slow", i, wall)
			}
		}
	}
	if slow < 19 || slow > 20 {
		t.Errorf("got %d slow requests; want all 20 but perhaps the first", slow)
	}
	for range 1000 {
		if r.slow("GET /quick", time.Millisecond, 0, false) {
			t.Fatal("a request of 1 ms is slow")
		}
	}
	if r.slow("GET /quick", 4*time.Millisecond, 0, false) {
		t.Error("what takes less than 5 ms is never slow")
	}
	if !r.slow("GET /new", 50*time.Millisecond, 40*time.Millisecond, false) || r.slow("GET /new", 30*time.Millisecond, 40*time.Millisecond, false) {
		t.Error("a fixed threshold counts for all routes")
	}
	for i := range 2 * maxRoutes {
		r.slow(fmt.Sprint("route ", i), time.Millisecond, 0, false)
	}
	if len(r.of) > maxRoutes {
		t.Errorf("got %d routes; want at most %d", len(r.of), maxRoutes)
	}
}

func TestBuckets(t *testing.T) {
	last := -1
	for d := time.Duration(-5); d < 1<<59; d += max(1, d/8) {
		b := bucketOf(d)
		if b < last || b >= 64*8 {
			t.Fatalf("%d ns: got bucket %d after %d", d, b, last)
		}
		last = b
	}
}

// TestStarved: throttling and run delay raise the alarm, and with it what is
// among the slowest tenth is slow.
func TestStarved(t *testing.T) {
	for _, tt := range []struct {
		values map[string]int64
		procs  int
		want   bool
	}{
		{nil, 1, false},
		{map[string]int64{SignalThrottled: 40e6}, 1, false},
		{map[string]int64{SignalThrottled: 60e6}, 1, true},
		{map[string]int64{SignalThrottled: 60e6}, 16, true},
		{map[string]int64{SignalRunDelay: 400e6}, 1, false},
		{map[string]int64{SignalRunDelay: 600e6}, 1, true},
		{map[string]int64{SignalRunDelay: 600e6}, 2, false},
		{map[string]int64{SignalRunDelay: 1100e6}, 2, true},
		{map[string]int64{SignalRunDelay: 7900e6}, 16, false},
		{map[string]int64{SignalRunDelay: 8100e6}, 16, true},
	} {
		if got := starved(tt.values, time.Second, tt.procs); got != tt.want {
			t.Errorf("%v on %d: got %v; want %v", tt.values, tt.procs, got, tt.want)
		}
	}
	var r routes
	for i := range 1000 {
		r.slow("GET /a", 10*time.Millisecond+time.Duration(i%30)*time.Millisecond, 0, false)
	}
	if r.slow("GET /a", 39*time.Millisecond, 0, false) || !r.slow("GET /a", 39*time.Millisecond, 0, true) {
		t.Error("39 ms, of 10 to 39: want it slow with the alarm alone")
	}
	if r.slow("GET /a", 39*time.Millisecond, time.Second, false) || !r.slow("GET /a", 39*time.Millisecond, time.Second, true) {
		t.Error("39 ms, below a fixed threshold: want it slow with the alarm alone")
	}
}
