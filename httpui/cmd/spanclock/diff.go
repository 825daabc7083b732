package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spanclock/spanclock/httpui/internal/text"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

var diffCommand = command{
	name: "diff", arguments: "A B", short: "compare two runs or builds, by operation",
	help: `
Diff compares the spans of two stores or files, operation by operation: the median of their wall
time, and the mean of their own CPU time where a CPU profile ran. A trace counts once for an
operation, with the mean of its spans. A store followed by @ and the number
of a run, or the beginning of a build's revision, is the traces of that run or build alone.

  spanclock diff before after
  spanclock diff traces@1 traces@2
  spanclock diff traces@3f2a9c1 traces@9bc1d02 -query 'service=orders'

p is from a two-sided Mann-Whitney U test: how likely values of one and the same distribution differ
that much. A change is shown when it is significant; with many lines some would be
by chance, so the limit is for all lines together (Holm's correction of -alpha). "~" is no
significant change, n how many traces were compared. Requests at one time are not independent of
each other: a load that was different shows here too.`,
	flags: func(fs *flag.FlagSet) func(context.Context, *app, []string) error {
		var o diffOptions
		fs.StringVar(&o.query, "query", "", "the traces that this `query` selects, on both sides")
		fs.IntVar(&o.most, "n", 10_000, "compare at most so many `traces` of each side, the newest")
		fs.Float64Var(&o.alpha, "alpha", 0.05, "the `limit` of significance")
		fs.BoolVar(&o.json, "json", false, "one JSON object on a line")
		return func(ctx context.Context, a *app, args []string) error {
			if len(args) != 2 || o.most < 1 || !(o.alpha > 0 && o.alpha < 1) {
				return wrongf("diff: name two directories or files, -n of 1 or more, -alpha between 0 and 1")
			}
			return a.diff(ctx, args[0], args[1], o)
		}
	},
}

type diffOptions struct {
	query string
	most  int
	alpha float64
	json  bool
}

// change is what became of one metric of an operation.
type change struct {
	Service     string  `json:"service"`
	Name        string  `json:"name"`
	Metric      string  `json:"metric"` // wall (median) or cpu (mean)
	A           float64 `json:"a_ns"`
	B           float64 `json:"b_ns"`
	ALow        float64 `json:"a_low_ns"` // the interval of 95 %
	AHigh       float64 `json:"a_high_ns"`
	BLow        float64 `json:"b_low_ns"`
	BHigh       float64 `json:"b_high_ns"`
	P           float64 `json:"p"`
	NA          int     `json:"n_a"`
	NB          int     `json:"n_b"`
	Significant bool    `json:"significant"`
}

func (a *app) diff(ctx context.Context, one, other string, o diffOptions) error {
	q, err := parseQuery(o.query)
	if err != nil {
		return err
	}
	q.Order = spanstore.NewestFirst
	before, err := a.side(ctx, one, q, o.most)
	if err != nil {
		return err
	}
	after, err := a.side(ctx, other, q, o.most)
	if err != nil {
		return err
	}
	changes := compare(before, after, o.alpha)
	if o.json {
		e := json.NewEncoder(a.out)
		for _, c := range changes {
			if err := e.Encode(c); err != nil {
				return err
			}
		}
		return nil
	}
	_, err = io.WriteString(a.out, report(before, after, changes, o))
	return err
}

// compare compares the operations that both sides have; what changed most for all traces
// together comes first.
func compare(before, after *side, alpha float64) []change {
	var all []change
	var ps []float64
	for key, x := range before.operations {
		y := after.operations[key]
		if y == nil {
			continue
		}
		for m := range metrics {
			if len(x[m].values) == 0 || len(y[m].values) == 0 {
				continue
			}
			c := change{Service: key.service, Name: key.name, NA: len(x[m].values), NB: len(y[m].values), P: mannWhitney(x[m].values, y[m].values)}
			middle := median
			if c.Metric = "wall"; m == cpu {
				c.Metric, middle = "cpu", mean
			}
			c.A, c.ALow, c.AHigh = middle(x[m].values)
			c.B, c.BLow, c.BHigh = middle(y[m].values)
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(x, y change) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Name, y.Name), cmp.Compare(y.Metric, x.Metric))
	})
	for _, c := range all {
		ps = append(ps, c.P)
	}
	for i, yes := range holm(ps, alpha) {
		all[i].Significant = yes
	}
	slices.SortStableFunc(all, func(x, y change) int { return cmp.Compare(weight(y), weight(x)) })
	return all
}

// weight is how much time a change makes for all traces, 0 when it is not significant.
func weight(c change) float64 {
	if !c.Significant {
		return 0
	}
	return math.Abs(c.B-c.A) * float64(c.NB)
}

// median returns the median of values in nanoseconds and its interval of 95 %, from the order
// of the values.
func median(values []float64) (m, low, high float64) {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	m = (v[(n-1)/2] + v[n/2]) / 2
	half := 0.98 * math.Sqrt(float64(n))
	at := func(i float64) float64 { return v[int(min(max(i, 0), float64(n-1)))] * 1e9 }
	return m * 1e9, at(math.Floor(float64(n)/2 - half - 0.5)), at(math.Ceil(float64(n)/2 + half - 0.5))
}

// mean returns the mean of values in nanoseconds and its interval of 95 %.
func mean(values []float64) (m, low, high float64) {
	n := float64(len(values))
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	m = sum / n
	for _, v := range values {
		squares += (v - m) * (v - m)
	}
	half := 0.0
	if n > 1 {
		half = 1.96 * math.Sqrt(squares/(n-1)/n)
	}
	return m * 1e9, max(0, m-half) * 1e9, (m + half) * 1e9
}

func report(before, after *side, changes []change, o diffOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, "A %s: %d traces\nB %s: %d traces\n", text.Escape(before.name), before.traces, text.Escape(after.name), after.traces)
	for _, m := range []struct{ metric, title string }{{"wall", "WALL (median)"}, {"cpu", "OWN CPU (mean)"}} {
		rows := [][]string{{m.title, "A", "", "B", "", "CHANGE", "", ""}}
		for _, c := range changes {
			if c.Metric == m.metric {
				rows = append(rows, c.row())
			}
		}
		b.WriteByte('\n')
		if len(rows) == 1 {
			fmt.Fprintf(&b, "%s: no operation has it on both sides\n", m.title)
			continue
		}
		text.Table(&b, rows, "lrlrlrll")
	}
	b.WriteByte('\n')
	alone(&b, "A", before, after)
	alone(&b, "B", after, before)
	if before.left+after.left > 0 {
		fmt.Fprintf(&b, "only the first %d operations of each side are compared: narrow them with -query\n", maxOperations)
	}
	significant := 0
	for _, c := range changes {
		if c.Significant {
			significant++
		}
	}
	fmt.Fprintf(&b, "%d of %d are significant (Mann-Whitney U, alpha %g for all together)\n", significant, len(changes), o.alpha)
	return b.String()
}

func (c change) row() []string {
	name := c.Name
	if c.Service != "" {
		name = c.Service + "  " + name
	}
	delta := "~"
	if c.Significant {
		delta = fmt.Sprintf("%+.1f %%", (c.B-c.A)/c.A*100)
		if c.A == 0 {
			delta = "from 0"
		}
	}
	return []string{
		text.Clip(text.Escape(name), 60), figure(c.A), spread(c.A, c.ALow, c.AHigh), figure(c.B), spread(c.B, c.BLow, c.BHigh), delta,
		probability(c.P), fmt.Sprintf("n=%d+%d", c.NA, c.NB),
	}
}

func probability(p float64) string {
	if p < 0.001 {
		return "p<0.001"
	}
	return fmt.Sprintf("p=%.3f", p)
}

func figure(ns float64) string { return stall.FormatDuration(time.Duration(ns)) }

// spread is how far the interval reaches from a figure, in percent of it.
func spread(m, low, high float64) string {
	if m <= 0 {
		return ""
	}
	return fmt.Sprintf("±%.0f %%", math.Max(m-low, high-m)/m*100)
}

// alone names the operations that only one side has.
func alone(b *strings.Builder, name string, s, other *side) {
	var only []string
	for key := range s.operations {
		if other.operations[key] == nil {
			only = append(only, text.Clip(text.Escape(strings.TrimSpace(key.service+" "+key.name)), 60))
		}
	}
	if len(only) == 0 {
		return
	}
	slices.Sort(only)
	const most = 20
	rest := ""
	if len(only) > most {
		rest = fmt.Sprintf(" and %d more", len(only)-most)
	}
	fmt.Fprintf(b, "only in %s: %s%s\n", name, strings.Join(only[:min(len(only), most)], ", "), rest)
}
