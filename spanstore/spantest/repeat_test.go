package spantest_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	. "github.com/spanclock/spanclock/spanstore/spantest"
)

// runs makes traces that take the given times, in a bubble.
func runs(t *testing.T, times ...time.Duration) *Runs {
	rec := New(t)
	tracer := rec.Provider().Tracer("test")
	i := 0
	return rec.Repeat(len(times), "request", func() {
		step{name: "request", steps: []step{{name: "work", takes: times[i]}}}.run(t.Context(), tracer)
		i++
	})
}

// some returns n times, so many of which are slow.
func some(n, slow int, quickly, slowly time.Duration) (times []time.Duration) {
	for i := range n {
		if i%n < slow {
			times = append(times, slowly+time.Duration(i)*time.Microsecond)
		} else {
			times = append(times, quickly)
		}
	}
	return times
}

// TestPercentile checks where a claim becomes untenable: that 66 of 100 runs are over the
// true median has a chance of 0.0009, that 70 are one of 0.00004.
func TestPercentile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := Span("work").Duration()
		r := runs(t, some(100, 66, 1*ms, 20*ms)...)
		r.Expect(Median(work).Under(10*ms), Percentile(95, work).Under(21*ms), Percentile(25, work).Under(2*ms))
		if err := r.Check(Median(work).Confidence(0.99).Under(10 * ms)); err == nil {
			t.Error("66 of 100 runs over the limit: got no failure with a confidence of 0.99; want one")
		}
		if err := r.Check(Percentile(95, work).Under(10 * ms)); err == nil {
			t.Error("66 of 100 runs over the limit: got no failure of the 95th percentile; want one")
		}
		if err := r.Check(Percentile(25, work).Over(100 * ms)); err == nil {
			t.Error("no run over the limit: got no failure; want one")
		}
		r.Expect(Percentile(25, work).Over(900 * time.Microsecond))
	})
}

// TestPercentileRefuted is what a failure says.
func TestPercentileRefuted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := runs(t, some(100, 90, 1*ms, 20*ms)...)
		err := slow.Check(Median(Span("work").Duration()).Under(10 * ms))
		if err == nil {
			t.Fatal("90 of 100 runs over the limit: got no failure; want one")
		}
		contains(t, err.Error(), "median of duration of work: got at least 20 ms, with a confidence of 0.9999 (order statistic 32 of 100; 90 of 100 runs are off); want under 10 ms (10 ms too much)")
		err = slow.Check(Percentile(25, Span("work").Duration()).Over(30 * ms))
		if err == nil {
			t.Fatal("no run of 100 over the limit: got no failure; want one")
		}
		contains(t, err.Error(), "percentile 25 of duration of work: got at most 20 ms", "(order statistic 43 of 100; 100 of 100 runs are off); want over 30 ms")
	})
}

// TestPercentileOfTooFew refuses what could not fail.
func TestPercentileOfTooFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runs(t, some(10, 10, 1*ms, 20*ms)...)
		err := r.Check(Median(Span("work").Duration()).Under(10 * ms))
		if err == nil {
			t.Fatal("got no failure; want one that asks for more runs")
		}
		contains(t, err.Error(), "10 runs could not refute that with a confidence of 0.9999 even if all were off; want 14 or more")
		if err := r.Check(Percentile(100, Span("work").Duration()).Under(1)); err == nil {
			t.Error("got no failure of the 100th percentile; want one that refuses it")
		}
		if err := r.Check(Percentile(95, Span("none").Duration()).Under(1)); err == nil {
			t.Error("got no failure of a span that is not there; want one")
		}
	})
}

// TestConfidenceHolds counts how often a true claim fails by chance: the confidence
// is a bound of that.
func TestConfidenceHolds(t *testing.T) {
	const tries, confidence = 120, 0.9
	synctest.Test(t, func(t *testing.T) {
		failed := 0
		seed := uint64(1)
		for range tries {
			var times []time.Duration
			for range 30 {
				seed = seed*6364136223846793005 + 1442695040888963407
				times = append(times, time.Duration(seed>>40)*time.Nanosecond) // uniform below 2^24
			}
			if runs(t, times...).Check(Median(Span("work").Duration()).Confidence(confidence).Under(1<<23)) != nil {
				failed++
			}
		}
		// The bound is 10 %; with 30 runs the discrete distribution makes it 4.9 %.
		if share := float64(failed) / tries; share > 0.1 || math.Abs(share-0.049) > 0.045 {
			t.Errorf("a claim at the very limit failed in %.1f %% of %d tries; want about 4.9 %%", 100*share, tries)
		}
	})
}

func TestEachRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runs(t, some(10, 3, 1*ms, 20*ms)...)
		r.Each(Span("work").Count().Is(1), Span("work").Before(Root()).Not())
		tb := said(t, func(tb testing.TB) {
			rec := New(tb)
			tracer := rec.Provider().Tracer("test")
			rec.Repeat(5, "request", func() {
				step{name: "request", steps: []step{{name: "work", takes: ms}}}.run(t.Context(), tracer)
			}).Each(Span("work").None())
		})
		contains(t, tb.said(), "in 5 of 5 runs: number of work: got 1; want exactly 0", "spanclock view")
	})
}

// TestRepeatInOneInstant has more runs at one instant of fake time than the store lists at
// once.
func TestRepeatInOneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs(t, make([]time.Duration, 250)...).Each(Root().Duration().Is(0))
	})
}

func TestRepeatWithoutNewTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := said(t, func(tb testing.TB) {
			rec := New(tb)
			step{name: "request"}.run(t.Context(), rec.Provider().Tracer("test"))
			rec.Repeat(5, "request", func() {})
		})
		contains(t, tb.said(), "run 1 of 5 made no new trace with root request")
	})
}

// TestStatistics is the pattern in real time: noise only ever adds, so it is the
// lower percentiles that tell what the code can do, on a loaded machine too.
func TestStatistics(t *testing.T) {
	rec := New(t)
	h := handler(rec.Provider(), step{name: "GET /", kind: trace.SpanKindServer, steps: []step{{name: "work", takes: 200 * time.Microsecond}}})
	client, stop := NewListener().Serve(h)
	defer stop()
	rec.Repeat(40, "GET /", func() {
		resp, err := client.Get("http://service.example/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}).Expect(
		Percentile(25, Span("work").Duration()).Under(20*ms),
		Percentile(25, Span("work").Duration()).Over(150*time.Microsecond),
	)
}
