package bench

import (
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

// discards is a span processor that does nothing: what a program has that exports
// its spans, but for the export.
type discards struct{}

func (discards) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discards) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discards) Shutdown(context.Context) error                  { return nil }
func (discards) ForceFlush(context.Context) error                { return nil }

// turn is what one turn of an arm took, for each operation.
type turn struct{ wall, cpu float64 }

// BenchmarkRecorderCost compares an operation of 20 µs with three spans that a
// recorder records with the same one over the SDK and a processor that throws its
// spans away. Both take turns in one process; what is reported is the median of the
// ratios of a turn and the one beside it, of CPU time (which has all that happens in
// the background) and of wall time. Results are in bench/results/recorder.txt.
func BenchmarkRecorderCost(b *testing.B) {
	turns, each := 15, 25_000
	if v, err := strconv.Atoi(os.Getenv("SPANCLOCK_TURNS")); err == nil {
		turns = v
	}
	base := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(discards{}))
	defer base.Shutdown(context.Background())
	work := calibrated(base.Tracer("bench"), 20*time.Microsecond)
	for b.Loop() {
		var discarded, recorded []turn
		for i := range turns {
			arms := []func(){
				func() { discarded = append(discarded, take(base.Tracer("bench"), each, work)) },
				func() { recorded = append(recorded, recordedTurn(b, each, work)) },
			}
			if i%2 == 1 {
				slices.Reverse(arms)
			}
			arms[0]()
			arms[1]()
		}
		wall := func(t turn) float64 { return t.wall }
		cpu := func(t turn) float64 { return t.cpu }
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(discarded, wall), "discarded-wall-ns")
		b.ReportMetric(median(recorded, wall), "recorded-wall-ns")
		b.ReportMetric(median(discarded, cpu), "discarded-cpu-ns")
		b.ReportMetric(median(recorded, cpu), "recorded-cpu-ns")
		b.ReportMetric(ratio(recorded, discarded, wall), "wall-ratio")
		b.ReportMetric(ratio(recorded, discarded, cpu), "cpu-ratio")
	}
}

// recordedTurn takes a turn with the recorder of the whole benchmark.
func recordedTurn(b *testing.B, n, work int) turn {
	r, err := newRecorder("")
	if err != nil {
		b.Fatal(err)
	}
	defer r.close()
	return take(r.Provider().Tracer("bench"), n, work)
}

func take(tracer trace.Tracer, n, work int) turn {
	for range n / 20 { // tables and pools grow to their size
		threeSpans(tracer, work)
	}
	runtime.GC()
	begin, before := time.Now(), measure.Spent().CPU
	for range n {
		threeSpans(tracer, work)
	}
	wall, cpu := time.Since(begin), measure.Spent().CPU-before
	return turn{float64(wall) / float64(n), float64(cpu) / float64(n)}
}

func threeSpans(tracer trace.Tracer, work int) {
	ctx, root := tracer.Start(context.Background(), "root")
	loop(work / 4)
	_, first := tracer.Start(ctx, "first")
	loop(work / 4)
	first.End()
	_, second := tracer.Start(ctx, "second")
	loop(work / 2)
	second.End()
	root.End()
}

//go:noinline
func loop(n int) {
	x := sink | 1
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink = x
}

// calibrated returns the work that makes an operation take d.
func calibrated(tracer trace.Tracer, d time.Duration) int {
	work := 1000
	for range 6 {
		var took []time.Duration
		for range 2000 {
			begin := time.Now()
			threeSpans(tracer, work)
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		got := took[len(took)/2]
		if got < d*98/100 || got > d*102/100 {
			work = max(100, int(float64(work)*float64(d)/float64(got)))
		}
	}
	return work
}

func median(turns []turn, of func(turn) float64) float64 {
	var v []float64
	for _, t := range turns {
		v = append(v, of(t))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// ratio is the median of the ratios of neighbouring turns.
func ratio(a, b []turn, of func(turn) float64) float64 {
	var v []float64
	for i := range a {
		v = append(v, of(a[i])/of(b[i]))
	}
	slices.SortFunc(v, cmp.Compare[float64])
	return v[len(v)/2]
}
