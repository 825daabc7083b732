package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

// turn is what one process used in one turn.
type turn struct {
	cpu    time.Duration
	n      int64 // of what it did
	length time.Duration
}

// takeTurns lets processes do the same by turns, and returns what each used. The order
// is reversed each time, so that what drifts falls on all.
func takeTurns(arms []string, e effort, o order) (map[string][]turn, error) {
	got := map[string][]turn{}
	for range e.pairs {
		err := withChildren(arms, func(of map[string]*child) error {
			warm := o
			warm.Length, warm.N = min(o.Length, time.Second), o.N/4
			for i := range e.turns + 1 {
				for k := range arms {
					arm := arms[k]
					if i%2 == 1 {
						arm = arms[len(arms)-1-k]
					}
					with := o
					if i == 0 {
						with = warm
					}
					a, err := of[arm].do(with)
					if err != nil {
						return fmt.Errorf("%s: %w", arm, err)
					}
					if i > 0 {
						got[arm] = append(got[arm], turn{a.CPU, a.N, o.Length})
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return got, nil
}

// each returns the CPU nanoseconds for one of what was done, in each turn.
func each(turns []turn) []float64 {
	out := make([]float64, len(turns))
	for i, t := range turns {
		out[i] = float64(t.cpu) / float64(max(1, t.n))
	}
	return out
}

func median(v []float64) float64 { return measure.Quantile(append([]float64(nil), v...), 0.5) }

// ratios compares turns that followed each other.
func ratios(of, to []float64) []float64 {
	out := make([]float64, len(of))
	for i := range of {
		out[i] = of[i] / to[i]
	}
	return out
}

// loads is what requests cost more while the flight recorder runs, beside what it
// costs a program that has the SDK alone: nobody can be below that.
func loads(w io.Writer, e effort) error {
	cores := runtime.GOMAXPROCS(0)
	arms := []string{armSDK, armSDKTraced, armPlain, armArmed}
	fmt.Fprintf(w, "requests of %d spans, medians of %d turns\n", spansPerRequest, e.pairs*e.turns)
	fmt.Fprintln(w, "                                                           armed over not armed                      a recorder beside the SDK alone")
	fmt.Fprintln(w, "                            requests/s  CPU a request      more     quartiles  of one core          more  of one core")
	for _, r := range []struct {
		name string
		rate int
		work time.Duration
	}{
		{"1k spans/s and core, 2 ms", 200 * cores, 2 * time.Millisecond},
		{"1k spans/s and core, short", 200 * cores, 60 * time.Microsecond},
		{"10k requests/s, short", 10_000, 60 * time.Microsecond},
	} {
		got, err := takeTurns(arms, e, order{Do: "run", Rate: r.rate, Work: r.work, Length: e.turn})
		if err != nil {
			return err
		}
		rate := 0.0
		for _, t := range got[armArmed] {
			rate += float64(t.n) / t.length.Seconds() / float64(len(got[armArmed]))
		}
		sdk, traced, plain, armed := each(got[armSDK]), each(got[armSDKTraced]), each(got[armPlain]), each(got[armArmed])
		x, alone := ratios(armed, plain), ratios(traced, sdk)
		fmt.Fprintf(w, "%-26s  %10.0f  %10.0f µs  %+6.1f %%  %+4.1f to %+4.1f  %9.2f %%  %+10.1f %%  %9.2f %%\n", r.name, rate, median(plain)/1e3,
			percentMore(median(x)), percentMore(measure.Quantile(x, 0.25)), percentMore(measure.Quantile(x, 0.75)), percentMore(median(x))*median(plain)*rate/1e9,
			percentMore(median(alone)), percentMore(median(alone))*median(sdk)*rate/1e9)
	}
	return nil
}

func percentMore(ratio float64) float64 { return 100 * (ratio - 1) }

// spans is what a span costs, with and without.
func spans(w io.Writer, e effort) error {
	arms := []string{armSDK, armSDKTraced, armPlain, armArmed}
	got, err := takeTurns(arms, e, order{Do: "spans", N: 40_000})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "CPU of a span, a root with four children, by turns: medians of %d\n", e.pairs*e.turns)
	base := map[string][]float64{}
	for _, arm := range arms {
		base[arm] = each(got[arm])
	}
	for _, r := range []struct{ name, arm, over string }{
		{"SDK, a processor that does nothing", armSDK, armSDK},
		{"  while a flight recorder runs: the SDK's own tasks", armSDKTraced, armSDK},
		{"profiler, store", armPlain, armSDK},
		{"  armed", armArmed, armPlain},
	} {
		over := base[r.over]
		more := make([]float64, len(over))
		for i := range over {
			more[i] = base[r.arm][i] - over[i]
		}
		fmt.Fprintf(w, "%-52s  %5.0f ns  %+5.0f  x %.2f\n", r.name, median(base[r.arm]), median(more), median(ratios(base[r.arm], over)))
	}
	return nil
}

// idle is what it costs while nothing happens: at first, and when the flight recorder
// has stopped because of that. The processes do nothing side by side.
func idle(w io.Writer, e effort) error {
	arms := []string{armPlain, armArmed}
	fmt.Fprintln(w, "CPU while nothing happens, of one core; after 10 s of that the recorder stops")
	fmt.Fprintln(w, "goroutines  not armed    armed     more  when it has stopped: more")
	for _, n := range []int{0, 1_000, 5_000, 10_000} {
		first, later := map[string][]float64{}, map[string][]float64{}
		for range max(1, e.pairs/2) {
			err := withChildren(arms, func(of map[string]*child) error {
				var wg sync.WaitGroup
				var got [2][2]float64
				var errs [2]error
				for i, arm := range arms {
					wg.Go(func() { got[i], errs[i] = of[arm].idle(n) })
				}
				wg.Wait()
				for i, arm := range arms {
					first[arm], later[arm] = append(first[arm], got[i][0]), append(later[arm], got[i][1])
				}
				return errors.Join(errs[:]...)
			})
			if err != nil {
				return err
			}
		}
		fmt.Fprintf(w, "%10d  %7.3f %%  %5.3f %%  %+5.3f %%  %+24.3f %%\n", n, median(first[armPlain]), median(first[armArmed]),
			median(first[armArmed])-median(first[armPlain]), median(later[armArmed])-median(later[armPlain]))
	}
	return nil
}

// idle returns the share of a core that the process uses with so many goroutines that
// do nothing, right after a request and some time later.
func (c *child) idle(goroutines int) (used [2]float64, err error) {
	const look = 8 * time.Second
	for _, o := range []order{{Do: "park", N: goroutines}, {Do: "run", Rate: 10, Length: 200 * time.Millisecond}} {
		if _, err := c.do(o); err != nil {
			return used, err
		}
	}
	for i := range used {
		a, err := c.do(order{Do: "idle", Length: look})
		if err != nil {
			return used, err
		}
		used[i] = 100 * a.CPU.Seconds() / look.Seconds()
		if _, err := c.do(order{Do: "idle", Length: 6 * time.Second}); err != nil {
			return used, err
		}
	}
	return used, nil
}

// snapshots is what reading one takes, while nothing else runs: all of it is CPU
// time of the process, writing it out and collections too.
func snapshots(w io.Writer, e effort) error {
	fmt.Fprintln(w, "reading a snapshot")
	fmt.Fprintln(w, "      size     CPU, all   its thread       per 8 MB   most live   of its size")
	for _, rate := range []int{1_000, 2_000, 4_000} {
		err := withChildren([]string{armArmed}, func(of map[string]*child) error {
			c := of[armArmed]
			for _, meter := range []bool{false, true} {
				if _, err := c.do(order{Do: "run", Rate: rate, Work: 60 * time.Microsecond, Length: 10 * time.Second}); err != nil {
					return err
				}
				a, err := c.do(order{Do: "capture", MeterGCs: meter})
				if err != nil {
					return err
				}
				mb := float64(a.Exact.LastBytes) / (1 << 20)
				if !meter {
					fmt.Fprintf(w, "%7.1f MB  %8.0f ms  %8.0f ms  %10.0f ms", mb, ms(a.CPU), ms(a.Exact.LastCPU), ms(a.CPU)*8/mb)
					continue
				}
				fmt.Fprintf(w, "  %7.1f MB  %10.2f x\n", float64(a.Live)/(1<<20), float64(a.Live)/float64(a.Exact.LastBytes))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// governor is when it gives up, and what it says.
func governor(w io.Writer, e effort) error {
	fmt.Fprintln(w, "scheduling events, two goroutines that wait for each other by turns")
	fmt.Fprintln(w, "  per second, true  as measured  CPU, armed over not   recorder")
	for _, rate := range []int{10_000, 40_000, 80_000, 160_000} {
		err := withChildren([]string{armPlain, armArmed}, func(of map[string]*child) error {
			o := order{Do: "hand", Rate: rate, Length: 3500 * time.Millisecond}
			plain, err := of[armPlain].do(o)
			if err != nil {
				return err
			}
			armed, err := of[armArmed].do(o)
			if err != nil {
				return err
			}
			says := "runs"
			if !armed.Exact.Armed {
				says = "off: " + strings.TrimSpace(armed.Exact.Why)
			}
			fmt.Fprintf(w, "  %16.0f  %11.0f  %+17.1f %%   %s\n", 2*float64(armed.N)/o.Length.Seconds(), armed.Exact.Events,
				100*(armed.CPU-plain.CPU).Seconds()/o.Length.Seconds(), says)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
