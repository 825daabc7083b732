//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// slowAfter is what makes a request slow here; its spans sleep for longer.
const slowAfter = 40 * time.Millisecond

// coverages is how many of a service's slow requests get exact states, with the
// options as they come, but that slow is what is meant to be.
func coverages(w io.Writer, length time.Duration) error {
	fmt.Fprintln(w, "slow requests, one in a hundred, of five spans, with what else the service does")
	fmt.Fprintln(w, "requests/s  slow  captured  of their spans exact  snapshots  CPU of them, of the CPU time to be had")
	for _, rate := range []int{50, 200, 1000} {
		if err := coverage(w, rate, length); err != nil {
			return err
		}
	}
	return nil
}

func coverage(w io.Writer, rate int, length time.Duration) error {
	s, err := start(&profiler.Options{Exact: profiler.ExactAuto, Slow: slowAfter})
	if err != nil {
		return err
	}
	defer s.stop()
	reading := s.serve(rate, length)
	time.Sleep(5 * time.Second) // the last snapshot
	if err := s.store.Flush(context.Background()); err != nil {
		return err
	}
	p, err := s.store.Traces(context.Background(), spanstore.Query{MinDuration: slowAfter, Limit: 10_000})
	if err != nil {
		return err
	}
	captured, spans, exact := 0, 0, 0
	for _, sum := range p.Traces {
		t, err := s.store.Trace(context.Background(), sum.TraceID)
		if err != nil {
			return err
		}
		if n, any := exactSpans(t); any {
			captured++
			exact += n
			spans += len(t.Spans)
		}
	}
	x := s.prof.Stats().Exact
	fmt.Fprintf(w, "%10d  %4d  %6.1f %%  %18.1f %%  %9d  %.2f %%\n", rate, len(p.Traces), 100*float64(captured)/float64(max(1, len(p.Traces))),
		100*float64(exact)/float64(max(1, spans)), x.Snapshots, 100*reading.Seconds()/length.Seconds()/float64(runtime.GOMAXPROCS(0)))
	return nil
}

// exactSpans counts the spans of a trace that are known whole, and reports
// whether any is at all.
func exactSpans(t *spanstore.Trace) (whole int, any bool) {
	a := stall.Analyze(t)
	for i := range a.Nodes {
		any = any || a.Nodes[i].Usage.Exact != nil
		if unknown(&a.Nodes[i]) <= 0.01 {
			whole++
		}
	}
	return whole, any
}

// serve makes requests at a rate, and returns what reading snapshots took.
func (s *service) serve(rate int, length time.Duration) (reading time.Duration) {
	var wg sync.WaitGroup
	defer wg.Wait()
	done, last := 0, int64(0)
	for begun, elapsed := time.Now(), time.Duration(0); elapsed < length; elapsed = time.Since(begun) {
		for due := int(elapsed.Seconds()*float64(rate)) - done; due > 0; due-- {
			done++
			wg.Go(func() { s.request(done%100 == 0) })
		}
		if x := s.prof.Stats().Exact; x.Snapshots != last {
			reading, last = reading+x.LastCPU, x.Snapshots
		}
		time.Sleep(time.Millisecond)
	}
	return reading
}

func (s *service) request(slow bool) {
	ctx, root := s.tracer.Start(context.Background(), "GET /orders", trace.WithSpanKind(trace.SpanKindServer))
	defer root.End()
	for _, name := range []string{"authorize", "SELECT", "SELECT", "render"} {
		_, span := s.tracer.Start(ctx, name)
		if slow {
			time.Sleep(slowAfter / 3)
		}
		measure.BurnCPU(20 * time.Microsecond)
		span.End()
	}
}
