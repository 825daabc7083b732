package profiler

import (
	"math"
	"testing"
	"time"
)

func TestCalibrate(t *testing.T) {
	const period = 10 * time.Millisecond
	for _, tt := range []struct {
		name    string
		samples int64
		sampled time.Duration
		want    float64
	}{
		{"nothing lost", 500, 5 * time.Second, 1},
		{"one in ten lost", 450, 5 * time.Second, 1.109},
		{"a few samples tell little", 1, 30 * time.Millisecond, 1.182},
		{"a few too many", 3, 10 * time.Millisecond, 0.846},
		{"no clock", 450, 0, 1},
		{"no samples", 0, time.Second, 1},
		{"beyond reason", 10, 10 * time.Second, 2},
		{"beyond reason, below", 1000, time.Second, 0.8},
	} {
		if got := calibrate(tt.samples, period, tt.sampled); math.Abs(got-tt.want) > 0.001 {
			t.Errorf("%s: got %.3f; want %.3f", tt.name, got, tt.want)
		}
	}
}
