package spantest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Runs are the traces of a request that was made many times.
type Runs struct {
	Traces []*Trace // in the order in which they were made
	tb     testing.TB
}

// Repeat calls request n times and takes the newest trace with this root after each
// call. Requests that warm something up are made before.
func (r *Recorder) Repeat(n int, root string, request func()) *Runs {
	r.tb.Helper()
	q, err := spanstore.ParseQuery("entry name=" + strconv.Quote(root))
	if err != nil {
		r.tb.Fatalf("spantest: %v", err)
	}
	runs := &Runs{tb: r.tb}
	seen := map[trace.TraceID]bool{}
	if tr, err := r.newest(q); err == nil && tr != nil {
		seen[tr.ID] = true
	}
	var traces []*spanstore.Trace
	for len(traces) < n {
		request()
		tr, err := r.await(q, root)
		switch {
		case err != nil:
			r.tb.Fatalf("spantest: run %d of %d: %v", len(traces)+1, n, err)
		case seen[tr.ID]:
			r.tb.Fatalf("spantest: run %d of %d made no new trace with root %s", len(traces)+1, n, root)
		}
		seen[tr.ID] = true
		traces = append(traces, tr)
	}
	if traces, err = r.measured(traces...); err != nil {
		r.tb.Fatalf("spantest: %v", err)
	}
	for _, tr := range traces {
		runs.Traces = append(runs.Traces, r.trace(tr))
	}
	return runs
}

// Each fails the test unless every run meets the claims: for what does not depend on
// time, such as counts. It reports the first run that does not, and how many there
// are.
func (r *Runs) Each(claims ...Claim) {
	r.tb.Helper()
	for _, c := range claims {
		bad := slices.DeleteFunc(slices.Clone(r.Traces), func(t *Trace) bool { return c.check(t) == nil })
		if len(bad) > 0 {
			f := c.check(bad[0])
			f.Text = fmt.Sprintf("in %d of %d runs: %s", len(bad), len(r.Traces), f.Text)
			r.tb.Error(bad[0].report([]*Failure{f}))
		}
	}
}

// Expect fails the test for each statistic that the runs refute.
func (r *Runs) Expect(stats ...Statistic) {
	r.tb.Helper()
	for _, s := range stats {
		if f, t := s.check(r); f != nil {
			if t == nil {
				r.tb.Error(f.Text)
			} else {
				r.tb.Error(t.report([]*Failure{f}))
			}
		}
	}
}

// Check returns nil unless the runs refute one of the statistics.
func (r *Runs) Check(stats ...Statistic) error {
	for _, s := range stats {
		if f, _ := s.check(r); f != nil {
			return f
		}
	}
	return nil
}

// DefaultConfidence is how sure a claim about a percentile must be of its contrary
// before it fails: by chance alone it does so once in 10,000 times at most, and that
// only where the true percentile is at its very limit.
const DefaultConfidence = 0.9999

// Distribution is a measure of many runs.
type Distribution[T Quantity] struct {
	m          Measure[T]
	p          float64 // from 0 to 1
	confidence float64
}

// Percentile is the value that p percent of all runs do not exceed, of those made
// and of those that could have been made. Of several spans in a run the greatest
// figure counts.
func Percentile[T Quantity](p float64, m Measure[T]) Distribution[T] {
	return Distribution[T]{m, p / 100, DefaultConfidence}
}

// Median is the 50th percentile.
func Median[T Quantity](m Measure[T]) Distribution[T] { return Percentile(50, m) }

// Confidence returns d with another confidence than the default.
func (d Distribution[T]) Confidence(c float64) Distribution[T] {
	d.confidence = c
	return d
}

// Statistic is a claim about a percentile.
type Statistic struct {
	text  string
	check func(*Runs) (*Failure, *Trace)
}

// String returns the claim as a sentence.
func (s Statistic) String() string { return s.text }

// Under claims that the percentile is under x. It fails when the runs refute that:
// when so many of them reached x that, were the claim true, it would be as good as
// impossible.
func (d Distribution[T]) Under(x T) Statistic { return d.claim(under(x), 1-d.p, 1) }

// Over claims that the percentile is over x, and fails when the runs refute that.
func (d Distribution[T]) Over(x T) Statistic { return d.claim(over(x), d.p, -1) }

// claim fails when more runs are off the limit than chance allows. Were the
// percentile within it, each run would be off with a probability of at most p, so
// that their number would be binomial.
func (d Distribution[T]) claim(l limit[T], p float64, side int) Statistic {
	text := fmt.Sprintf("%s of %s %s", d.name(), d.m.text, l.want)
	return Statistic{text, func(r *Runs) (*Failure, *Trace) {
		n, chance := len(r.Traces), 1-d.confidence
		if !(d.p > 0 && d.p < 1) || !(d.confidence > 0 && d.confidence < 1) {
			return undecided("%s: want a percentile above 0 and below 100, and a confidence above 0 and below 1", text), nil
		}
		if tail(n, n, p) >= chance {
			return undecided("%s: %d runs could not refute that with a confidence of %v even if all were off; want %d or more",
				text, n, d.confidence, enough(p, chance)), nil
		}
		values, f, t := d.values(r, side)
		if f != nil {
			return f, t
		}
		off := 0
		for _, v := range values {
			if _, bad := l.off(v.value); bad {
				off++
			}
		}
		if tail(off, n, p) >= chance {
			return nil, nil
		}
		return d.refuted(values, off, p, chance, l, side)
	}}
}

// run is the figure of one run.
type run[T Quantity] struct {
	value value[T]
	trace *Trace
}

// values returns the figure of each run, what is off the most last.
func (d Distribution[T]) values(r *Runs, side int) (out []run[T], f *Failure, of *Trace) {
	order := func(a, b value[T]) int { return side * cmp.Compare(a.v, b.v) }
	for _, t := range r.Traces {
		vs, f := d.m.of(t)
		if f != nil {
			return nil, f, t
		}
		out = append(out, run[T]{slices.MaxFunc(vs, func(a, b value[T]) int { return cmp.Compare(a.v, b.v) }), t})
	}
	slices.SortFunc(out, func(a, b run[T]) int { return order(a.value, b.value) })
	return out, nil, nil
}

// refuted says what the percentile is at least (or at most) with that confidence: the
// order statistic for which chance would not explain the ones beyond it either. The
// trace is that of its run.
func (d Distribution[T]) refuted(values []run[T], off int, p, chance float64, l limit[T], side int) (*Failure, *Trace) {
	n := len(values)
	beyond := off
	for beyond > 1 && tail(beyond-1, n, p) < chance {
		beyond--
	}
	at := values[n-beyond] // the least that is off by so many others
	word, rank := "at least", n-beyond+1
	if side < 0 {
		word, rank = "at most", beyond // counted from the least, as ranks are
	}
	excessOf, _ := l.off(at.value)
	f := &Failure{Text: fmt.Sprintf("%s of %s: got %s %s, with a confidence of %v (order statistic %d of %d; %d of %d runs are off); want %s (%s)",
		d.name(), d.m.text, word, show(at.value.v), d.confidence, rank, n, off, n, l.want, excess(excessOf))}
	f.Marks = at.value.marks(excess(excessOf))
	return f, at.trace
}

func (d Distribution[T]) name() string {
	if d.p == 0.5 {
		return "median"
	}
	return "percentile " + strings.TrimSuffix(strconv.FormatFloat(100*d.p, 'f', 3, 64), ".000")
}

// tail is the probability that of n events of probability p as many as k happen, or
// more.
func tail(k, n int, p float64) float64 {
	if k <= 0 {
		return 1
	}
	if k > n {
		return 0
	}
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += math.Exp(choose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(1, sum)
}

// choose is the logarithm of n over k.
func choose(n, k int) float64 {
	l := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	return l(n) - l(k) - l(n-k)
}

// enough is how many events of probability p, all of them happening, are as unlikely
// as chance.
func enough(p, chance float64) int { return int(math.Log(chance)/math.Log(p)) + 1 }
