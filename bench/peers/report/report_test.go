package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

// TestJobs does each measurement of each store in small, in this process.
func TestJobs(t *testing.T) {
	c := config{dir: t.TempDir(), kept: 20_000, ring: 4 << 20, wraps: 1, window: 300 * time.Millisecond}
	want := map[string][]string{
		"workload": {"otlp", "attributes"}, "wrap": {"most", "live"}, "write": {"rate", "mallocs", "export-p99"},
		"warm": {"open", "p50", "p99", "scan-text", "scan-number", "spans"}, "disk": {"size"}, "memory": {"heap"}, "onend": {"ours-1", "sdk-8"}, "trickle": {"rate"},
	}
	for i, phase := range []string{"workload", "wrap", "write", "warm", "cold", "disk", "memory", "trickle", "onend"} {
		for _, store := range []string{"spanclock", "sqlite"} {
			if own := phase == "workload" || phase == "wrap" || phase == "onend"; own && store != "spanclock" {
				continue
			}
			j := job{Phase: phase, Store: store, Seed: uint64(i) + 1, N: 4, Rate: 1000}
			f, err := j.measure(c)
			if err != nil {
				t.Fatalf("%s of %s: %v", phase, store, err)
			}
			for _, name := range want[phase] {
				if f[name] <= 0 {
					t.Errorf("%s of %s: got %s = %v; want more than nothing", phase, store, name, f[name])
				}
			}
			if phase == "wrap" && f["most"] > 1 {
				t.Errorf("files took %.3f of the budget", f["most"])
			}
		}
	}
	if _, err := (&job{Phase: "pool", Seed: 1, On: filepath.Join(c.dir, "pool")}).measure(c); err != nil {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	f := metrics("goos: linux\nBenchmarkFloor-2   \t  512000\t 1965 ns/op\t 21.94 file-B/span\t 0.57 store/file\nPASS\n")
	if f["file-B/span"] != 21.94 || f["store/file"] != 0.57 {
		t.Errorf("got %v; want the line's figures", f)
	}
}

func TestTable(t *testing.T) {
	r := &results{values: map[string][]float64{}}
	for _, v := range []float64{1e6, 3e6, 2e6} {
		r.add("spanclock", "write", figures{"rate": v})
	}
	r.add("floor", "write", figures{"file-kspans/cpu-s": 2500})
	var b strings.Builder
	r.table(&b, []string{"spanclock", "floor"})
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "durable spans per CPU-second|") {
			if !strings.Contains(line, "2000 k|") || !strings.Contains(line, "2500 k|") {
				t.Errorf("got %q; want the median, 2000 k, and the floor's 2500 k", line)
			}
			return
		}
	}
	t.Errorf("no line of durable spans in\n%s", &b)
}

func TestSeconds(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 93.456e-6: "93.5µs", 0.0123456: "12.3ms", 7e-9: "7ns"} {
		if got := seconds(v); got != want {
			t.Errorf("%v s: got %s; want %s", v, got, want)
		}
	}
}

// TestLiveShare counts copies of kept traces at what they take, and not as spans.
func TestLiveShare(t *testing.T) {
	st := spanstore.Stats{Spans: 1100, KeptSpans: 100, KeptBytes: 5000}
	if got := liveShare(st, 30, 50_000); got != 0.7 {
		t.Errorf("got %v; want (1000 x 30 + 5000) / 50000 = 0.7", got)
	}
}
