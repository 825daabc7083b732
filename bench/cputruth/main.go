//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"runtime"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

var lengths = []time.Duration{1, 5, 25, 100, 500} // ms

// mostSpans is how many a row has at most, fewestSpans at least.
const mostSpans, fewestSpans = 400, 20

func main() {
	log.SetFlags(0)
	log.SetPrefix("cputruth: ")
	budget := flag.Duration("budget", 20*time.Second, "CPU time of a row, within 20 to 400 spans")
	out := flag.String("out", "", "write the table to this file too")
	neighbour := flag.Bool("neighbour", false, "be a busy neighbour")
	flag.Parse()
	if *neighbour {
		measure.BeNeighbour()
	}
	err := measure.Report(*out, func(w io.Writer) error { return compare(w, *budget) })
	if err != nil {
		log.Fatal(err)
	}
}

func compare(w io.Writer, budget time.Duration) error {
	measure.Header(w, "CPU time shown for spans against what they used, by the clock of their thread.", "bench/cputruth")
	for _, p := range []measure.Place{measure.AsItIs, measure.Beside, measure.OnOneCPU} {
		leave, err := p.Enter()
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		err = rows(w, p.Name, budget)
		leave()
		if err != nil {
			return err
		}
	}
	return nil
}

func rows(w io.Writer, place string, budget time.Duration) error {
	fmt.Fprintf(w, "%s\n", place)
	fmt.Fprintln(w, "  span  goroutines     spans  shown/true  shown/sampled  unsampled  mean error     rmse  in interval   interval  calibration")
	for _, as := range []manner{{goroutines: 1}, {goroutines: runtime.GOMAXPROCS(0)}, {goroutines: 16, burst: 200 * time.Microsecond}} {
		for _, ms := range lengths {
			length := ms * time.Millisecond
			spans := min(max(int(budget/length), fewestSpans, 2*as.goroutines), mostSpans) / as.goroutines * as.goroutines
			r, err := burnSpans(length, spans, as)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%3d ms  %10s  %8d  %10.3f  %13.3f  %7.1f %%  %+7.2f ms  %5.1f ms  %9.1f %%  ±%5.1f ms  %11.3f\n", ms, as, spans,
				r.shown/r.burnt, r.shown/(r.process-r.unsampled), 100*r.unsampled/r.process, (r.shown-r.burnt)/float64(spans), math.Sqrt(r.squares/float64(spans)),
				100*float64(r.inside)/float64(spans), r.width/float64(spans), r.calibration())
		}
	}
	fmt.Fprintln(w)
	return nil
}

// manner is how spans burn CPU time: each on a thread of its own, or in bursts,
// between which others have the thread.
type manner struct {
	goroutines int
	burst      time.Duration // 0: all at once
}

func (m manner) String() string {
	if m.burst > 0 {
		return fmt.Sprintf("%d shared", m.goroutines)
	}
	return fmt.Sprint(m.goroutines)
}

// result is what the spans of one row come to, in ms.
type result struct {
	shown, burnt       float64
	process, unsampled float64
	squares, width     float64
	inside             int
	samples            int
}

func (r *result) calibration() float64 {
	if r.samples == 0 {
		return 1
	}
	return r.shown / float64(10*r.samples)
}

// burnSpans makes spans of that CPU time each and looks at what is shown for
// them.
func burnSpans(length time.Duration, spans int, as manner) (*result, error) {
	store, err := spanstore.Open("", nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	process, threads := measure.ProcessCPU(), measure.ThreadTimes()
	prof, err := profiler.Start(store, nil)
	if err != nil {
		return nil, err
	}
	defer prof.Stop()
	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
	truth := burnAll(tp.Tracer("cputruth"), length, spans, as)
	r := &result{process: inMS(measure.ProcessCPU() - process), unsampled: inMS(unsampledSince(threads))}
	if err := prof.Stop(); err != nil {
		return nil, err
	}
	for id, burnt := range truth {
		t, err := store.Trace(context.Background(), id)
		if err != nil {
			return nil, err
		}
		r.add(stall.Analyze(t).CPU, burnt)
	}
	return r, nil
}

func burnAll(tracer trace.Tracer, length time.Duration, spans int, as manner) map[trace.TraceID]time.Duration {
	truth := map[trace.TraceID]time.Duration{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range as.goroutines {
		wg.Go(func() {
			if as.burst == 0 {
				runtime.LockOSThread() // the thread's clock is the span's only for as long as it stays
				defer runtime.UnlockOSThread()
			}
			for range spans / as.goroutines {
				_, span := tracer.Start(context.Background(), "burn")
				burnt := as.burn(length)
				span.End()
				mu.Lock()
				truth[span.SpanContext().TraceID()] = burnt
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return truth
}

// burn uses about d of CPU time and returns how much.
func (m manner) burn(d time.Duration) (used time.Duration) {
	if m.burst == 0 {
		return measure.BurnCPU(d)
	}
	for used < d {
		runtime.LockOSThread() // for the burst only
		used += measure.BurnCPU(min(m.burst, d-used))
		runtime.UnlockOSThread()
		runtime.Gosched()
	}
	return used
}

func (r *result) add(c stall.CPU, burnt time.Duration) {
	r.shown += inMS(c.Value)
	r.burnt += inMS(burnt)
	r.squares += math.Pow(inMS(c.Value-burnt), 2)
	r.width += inMS(c.High-c.Low) / 2
	r.samples += c.Samples
	if c.Low <= burnt && burnt <= c.High {
		r.inside++
	}
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
