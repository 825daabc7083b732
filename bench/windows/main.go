package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"runtime"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// look is how often somebody who looks asks.
const look = 250 * time.Millisecond

func main() {
	log.SetFlags(0)
	log.SetPrefix("windows: ")
	each := flag.Duration("each", time.Minute, "length of a row")
	out := flag.String("out", "", "write the table to this file too")
	flag.Parse()
	err := measure.Report(*out, func(w io.Writer) error { return table(w, *each) })
	if err != nil {
		log.Fatal(err)
	}
}

func table(w io.Writer, each time.Duration) error {
	measure.Header(w, "What windows cost who looks: time not sampled between them, and time until CPU is seen.", "bench/windows")
	fmt.Fprintln(w, "                busy goroutines  windows     lost   spans  median     max")
	for _, watched := range []bool{false, true} {
		for _, busy := range []int{1, runtime.GOMAXPROCS(0)} {
			r, err := row(each, busy, watched)
			if err != nil {
				return err
			}
			name := "nobody looks"
			if watched {
				name = "somebody looks"
			}
			fmt.Fprintf(w, "%-14s  %15d  %7d  %5.2f %%  %s\n", name, busy, r.stats.Windows, 100*r.lost(), r.waits())
		}
	}
	return nil
}

// result is what one row is printed from.
type result struct {
	stats profiler.Stats
	seen  []time.Duration
}

func (r *result) lost() float64 {
	return r.stats.Lost.Seconds() / max(1e-9, (r.stats.Lost+r.stats.Covered).Seconds())
}

func (r *result) waits() string {
	if len(r.seen) == 0 {
		return "    -       -       -"
	}
	slices.Sort(r.seen)
	return fmt.Sprintf("%5d  %4.1f s  %4.1f s", len(r.seen), r.seen[len(r.seen)/2].Seconds(), r.seen[len(r.seen)-1].Seconds())
}

func row(each time.Duration, busy int, watched bool) (*result, error) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	prof, err := profiler.Start(store, nil)
	if err != nil {
		return nil, err
	}
	defer prof.Stop()
	tracer := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))).Tracer("windows")
	end := time.Now().Add(each)
	var others sync.WaitGroup
	defer others.Wait()
	for range busy - 1 {
		others.Go(func() {
			for time.Now().Before(end) {
				work(tracer)
			}
		})
	}
	r := &result{}
	for time.Now().Before(end) {
		id := work(tracer)
		if !watched {
			continue
		}
		wait, err := untilSeen(store, prof, id)
		if err != nil {
			return nil, err
		}
		r.seen = append(r.seen, wait)
	}
	others.Wait()
	err = prof.Stop()
	r.stats = prof.Stats()
	return r, err
}

// work burns 100 ms of wall time in a span of its own.
func work(tracer trace.Tracer) trace.TraceID {
	_, span := tracer.Start(context.Background(), "work")
	defer span.End()
	x := uint64(1)
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		for range 10_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	runtime.KeepAlive(x)
	return span.SpanContext().TraceID()
}

// untilSeen asks for the trace until what it burnt is there, and says how long
// that took.
func untilSeen(store *spanstore.Store, prof *profiler.Profiler, id trace.TraceID) (time.Duration, error) {
	ended := time.Now()
	asked, cancel := context.WithCancel(context.Background())
	cancel() // it leaves its wish and does not wait
	for {
		_ = prof.Refresh(asked)
		t, err := store.Trace(context.Background(), id)
		if err != nil {
			return 0, err
		}
		if !prof.Stats().CoveredUntil.Before(ended) && len(t.Windows) > 0 {
			return time.Since(ended), nil
		}
		time.Sleep(look)
	}
}
