package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// BenchmarkCPUTruth compares the CPU that is shown for spans with what they
// really burnt, by the clock of the thread they were locked to. One op is one
// span. It reports, over all spans of the run:
//
//	shown/true   sum of the values shown over the sum burnt; 1 is perfect
//	in-interval  share of the spans whose true CPU lies in the interval shown
//	rmse-ms      root of the mean squared error of a span
//
// Run it with -benchtime=400x, so that a run has several profile windows.
func BenchmarkCPUTruth(b *testing.B) {
	for _, ms := range []int{5, 25, 100} {
		for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("burn=%dms/goroutines=%d", ms, workers), func(b *testing.B) {
				benchmarkCPUTruth(b, time.Duration(ms)*time.Millisecond, workers)
			})
		}
	}
}

func benchmarkCPUTruth(b *testing.B, burn time.Duration, workers int) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	prof, err := profiler.Start(store, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer prof.Stop()
	tracer := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))).Tracer("bench")

	var mu sync.Mutex
	truth := map[trace.TraceID]time.Duration{}
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			runtime.LockOSThread() // the thread's clock is the span's only for as long as it stays
			defer runtime.UnlockOSThread()
			for range (b.N + workers - 1 - w) / workers {
				_, span := tracer.Start(context.Background(), "burn")
				burnt := burnCPU(burn)
				span.End()
				mu.Lock()
				truth[span.SpanContext().TraceID()] = burnt
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := prof.Stop(); err != nil {
		b.Fatal(err)
	}

	var shown, burnt time.Duration
	var inside int
	var squares float64
	for id, real := range truth {
		t, err := store.Trace(context.Background(), id)
		if err != nil {
			b.Fatal(err)
		}
		cpu := stall.Analyze(t).CPU
		shown, burnt = shown+cpu.Value, burnt+real
		squares += math.Pow((cpu.Value-real).Seconds()*1e3, 2)
		if cpu.Low <= real && real <= cpu.High {
			inside++
		}
	}
	b.ReportMetric(shown.Seconds()/burnt.Seconds(), "shown/true")
	b.ReportMetric(float64(inside)/float64(len(truth)), "in-interval")
	b.ReportMetric(math.Sqrt(squares/float64(len(truth))), "rmse-ms")
}

// burnCPU uses about d of CPU time on this thread and returns how much.
func burnCPU(d time.Duration) time.Duration {
	begin := threadCPU()
	x := uint64(1)
	for {
		for range 20_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		if used := threadCPU() - begin; used >= d {
			sink = x
			return used
		}
	}
}

var sink uint64

func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}
