// Under the race detector its own work would be measured.

//go:build !race

package stall_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// shapes are traces, most of them broken, that some part of the analysis might take
// quadratic time for. They give span i of n.
var shapes = []struct {
	name string
	span func(i, n int) span
}{
	{"a chain that outlives its parents", func(i, _ int) span {
		return span{parent: uint64(i), start: float64(i), end: float64(2*i + 5)}
	}},
	{"many circles", func(i, _ int) span {
		return span{parent: uint64(i/100*100 + (i+1)%100 + 1), start: float64(i), end: float64(i) + 50}
	}},
	{"missing parents", func(i, n int) span {
		return span{parent: uint64(n + i + 2), start: float64(i), end: float64(i) + 3}
	}},
	{"clocks that disagree", func(i, n int) span {
		return span{parent: min(uint64(i), uint64(1+i/50)), start: float64((i * 7919) % n), end: float64((i*7919)%n) - 20 + float64(i%90)}
	}},
	{"ids given twice", func(i, _ int) span {
		return span{id: uint64(i/2 + 1), parent: uint64(i / 4), start: float64(i), end: float64(i) + 10}
	}},
	{"N+1", func(i, n int) span {
		if i == 0 {
			return span{end: float64(n)}
		}
		return span{parent: 1, name: "SELECT item", kind: trace.SpanKindClient, start: float64(i), end: float64(i) + 0.9}
	}},
	{"calls of many names, in runs", func(i, n int) span {
		if i == 0 {
			return span{end: float64(n)}
		}
		return span{parent: uint64(1 + i/1000*1000), name: fmt.Sprint("GET ", i), kind: trace.SpanKindClient, start: float64(i), end: float64(i) + 0.9 + float64(min(1, max(0, 1000*((i+1)%1000)-999)))}
	}},
	{"side by side", func(i, n int) span {
		return span{parent: min(uint64(i), 1), start: float64(i) / 100, end: float64(n) - float64(i)/100}
	}},
}

// TestAnalyzeGrowsByNLogN compares the CPU time that ten times as many spans take:
// 13 times as much would be n·log n, 100 times n². Each span has exact states, so that
// every part of the analysis has something to do.
func TestAnalyzeGrowsByNLogN(t *testing.T) {
	if testing.Short() {
		t.Skip("it analyses 50,000 spans sixteen times")
	}
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			small, large := cost(t, s.span, 5_000), cost(t, s.span, 50_000)
			if ratio := float64(large) / float64(small); ratio > 40 {
				t.Errorf("got %v for 5,000 spans and %v for 50,000: %.0f times as much; want 13", small, large, ratio)
			} else {
				t.Logf("%v, %v: %.0f times as much", small, large, ratio)
			}
		})
	}
}

// cost is the least CPU time of two analyses of n spans.
func cost(t *testing.T, shape func(i, n int) span, n int) time.Duration {
	t.Helper()
	spans := make([]span, n)
	for i := range spans {
		spans[i] = shape(i, n)
		if spans[i].id == 0 {
			spans[i].id = uint64(i + 1)
		}
	}
	tr := literal(spans...)
	for i := range tr.Spans {
		s := &tr.Spans[i]
		if d := s.End.Sub(s.Start); d > 0 {
			tr.Usage[s.SpanID()] = spanstore.Usage{Exact: &spanstore.Exact{
				Start: s.Start, End: s.End,
				Segments: []spanstore.StateSegment{{To: d / 3, State: "cpu", Wait: -1}, {From: d / 3, To: d, State: "lock", Wait: 0}},
				Waits:    []spanstore.Wait{{State: "lock", Stack: []spanstore.Frame{{Func: fmt.Sprint("main.f", i), File: "f.go", Line: i}}}},
			}}
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := time.Duration(math.MaxInt64)
	for range 2 {
		runtime.GC()
		before := threadCPU(t)
		a := stall.Analyze(tr)
		least = min(least, threadCPU(t)-before)
		if len(a.Nodes) != n {
			t.Fatalf("got %d nodes; want %d", len(a.Nodes), n)
		}
	}
	return least
}

func threadCPU(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
