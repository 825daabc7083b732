package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// What is held of each side: so many operations, and of each a fair sample of the
// traces that have it.
const (
	maxOperations = 2000
	maxSample     = 5000
)

type operation struct{ service, name string }

// sample is a fair sample of values, in seconds.
type sample struct {
	values []float64
	seen   int
}

func (s *sample) add(r *rand.Rand, d time.Duration) {
	s.seen++
	switch i := r.IntN(s.seen); {
	case len(s.values) < maxSample:
		s.values = append(s.values, d.Seconds())
	case i < maxSample:
		s.values[i] = d.Seconds()
	}
}

// side is one of two that are compared.
type side struct {
	name       string
	operations map[operation]*[metrics]sample
	traces     int
	left       int // operations of traces that were one too many
}

// The metrics that are compared.
const (
	wall = iota
	cpu
	metrics
)

// side reads up to so many traces of an argument of diff.
func (a *app) side(ctx context.Context, arg string, q spanstore.Query, most int) (*side, error) {
	path, which := split(arg)
	src, err := a.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	ranges, err := src.ranges(ctx, which, q)
	if err != nil {
		return nil, err
	}
	out := &side{name: arg, operations: map[operation]*[metrics]sample{}}
	random := rand.New(rand.NewPCG(1, 2)) // the same data give the same table
	for _, r := range ranges {
		ids, err := a.ids(ctx, src.Store, r, most-out.traces)
		if err != nil {
			return nil, err
		}
		p := a.progress("read traces of " + arg + ":")
		for i, id := range ids {
			t, err := src.Trace(ctx, id)
			if errors.Is(err, spanstore.ErrNotFound) {
				continue // evicted meanwhile by the process that writes
			}
			if err != nil {
				return nil, err
			}
			out.add(t, random)
			p.at(i+1, len(ids))
		}
		p.done()
		if out.traces >= most {
			break
		}
	}
	if len(out.operations) == 0 {
		return nil, exitError{exitNothing, fmt.Errorf("%s: no trace meets the query", arg)}
	}
	return out, nil
}

// split takes the run or build from an argument such as traces@3f2a9c1. A path that
// has an @ in it is a path when there is one.
func split(arg string) (path, which string) {
	at := strings.LastIndexByte(arg, '@')
	if _, err := os.Stat(arg); err == nil || at <= 0 {
		return arg, ""
	}
	return arg[:at], arg[at+1:]
}

// ranges returns the queries for the traces of a run or build, the latest first: a trace
// belongs to the run in whose time it started.
func (s *source) ranges(ctx context.Context, which string, q spanstore.Query) ([]spanstore.Query, error) {
	if which == "" {
		return []spanstore.Query{q}, nil
	}
	runs, err := s.Runs(ctx)
	if err != nil {
		return nil, err
	}
	var out []spanstore.Query
	for i, r := range runs {
		if n, err := strconv.Atoi(which); !(err == nil && n == i+1) && (len(which) < 4 || !strings.HasPrefix(r.Revision, which)) {
			continue
		}
		part := q
		if r.Start.After(q.From) {
			part.From = r.Start
		}
		if i+1 < len(runs) && (q.To.IsZero() || runs[i+1].Start.Before(q.To)) {
			part.To = runs[i+1].Start
		}
		out = append(out, part)
	}
	if out == nil {
		return nil, wrongf("%s has no run or build %q: it has %s", s.path, which, runNames(runs))
	}
	slices.Reverse(out)
	return out, nil
}

func runNames(runs []spanstore.Run) string {
	if len(runs) == 0 {
		return "none"
	}
	var all []string
	for i, r := range runs {
		name := fmt.Sprintf("@%d", i+1)
		if r.Revision != "" {
			name += " (@" + r.Revision[:min(len(r.Revision), 10)] + ")"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// sampledOnly is a trace without its exact states. Slow requests have them and others do
// not, so figures of both kinds must not be compared.
func sampledOnly(t *spanstore.Trace) *spanstore.Trace {
	out := *t
	out.Usage = make(map[trace.SpanID]spanstore.Usage, len(t.Usage))
	for id, u := range t.Usage {
		u.Exact = nil
		out.Usage[id] = u
	}
	return &out
}

// add takes the operations of a trace, each as one value: the mean wall time of its spans,
// and the mean CPU time of those that a profile covers. Spans of one request have its fate
// in common, and as values of their own would make chance significant.
func (s *side) add(t *spanstore.Trace, r *rand.Rand) {
	s.traces++
	an := stall.Analyze(sampledOnly(t))
	sums, order := map[operation]*[metrics]sum{}, []operation(nil)
	for i := range an.Nodes {
		n := &an.Nodes[i]
		key := operation{n.Span.Service(), n.Span.Name}
		o := sums[key]
		if o == nil {
			o = &[metrics]sum{}
			sums[key], order = o, append(order, key)
		}
		if !n.Span.Start.IsZero() && !n.Span.End.IsZero() {
			o[wall].add(n.Wall())
		}
		if n.CPU.Evidence != stall.None {
			o[cpu].add(n.CPU.Value)
		}
	}
	for _, key := range order {
		o := s.operations[key]
		if o == nil {
			if len(s.operations) >= maxOperations {
				s.left++
				continue
			}
			o = &[metrics]sample{}
			s.operations[key] = o
		}
		for m, sum := range sums[key] {
			if sum.n > 0 {
				o[m].add(r, sum.d/time.Duration(sum.n))
			}
		}
	}
}

// sum is what the spans of an operation in one trace add up to.
type sum struct {
	d time.Duration
	n int
}

func (s *sum) add(d time.Duration) { s.d, s.n = s.d+d, s.n+1 }
