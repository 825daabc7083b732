package main

import (
	"fmt"
	"runtime"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// wholeRate is the rate, per core, at which the whole sampled level is measured.
const wholeRate = 1000

// wholeRun is how long each of a pair runs: two windows.
const wholeRun = 22 * time.Second

// measureWhole compares a program that makes wholeRate spans a second and core
// and keeps them in a store with one that has the profiler too: labels, samples
// and what becomes of them.
func measureWhole(pairs int) (string, error) {
	var share []float64
	for i := range pairs {
		var cpu [2]time.Duration
		for _, k := range []int{i % 2, 1 - i%2} {
			used, err := steady(k == 1)
			if err != nil {
				return "", err
			}
			cpu[k] = used
		}
		share = append(share, 100*float64(cpu[1]-cpu[0])/float64(wholeRun)/float64(runtime.GOMAXPROCS(0)))
	}
	s := fmt.Sprintf("the whole sampled level at %d spans/s and core, over a program that keeps the same spans: %.2f %% of a core each", wholeRate, middle(share))
	return fmt.Sprintf("%s (median of %d pairs of %v; %.2f to %.2f)\n", s, pairs, wholeRun, share[0], share[len(share)-1]), nil
}

// steady runs at wholeRate and returns the CPU time that it took, storing what
// was measured included.
func steady(profiled bool) (time.Duration, error) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
	var tp trace.TracerProvider = sdk
	stop := func() error { return nil }
	runtime.GC()
	begin := processCPU()
	if profiled {
		prof, err := profiler.Start(store, nil)
		if err != nil {
			return 0, err
		}
		tp, stop = prof.TracerProvider(sdk), prof.Stop
	}
	tracer := tp.Tracer("labels")
	const tick = 10 * time.Millisecond
	requests := int(float64(wholeRate*runtime.GOMAXPROCS(0)) * tick.Seconds() / spansPerRequest)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for range int(wholeRun / tick) {
		<-ticker.C
		run(tracer, requests)
	}
	err = stop()
	return processCPU() - begin, err
}
