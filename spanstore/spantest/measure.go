package spantest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
)

// Quantity is what can be measured of spans: times, shares and ratios, counts.
type Quantity interface {
	time.Duration | float64 | int
}

// Measure is something that can be measured of a trace: of each selected span, or
// of all of them together. Its methods make claims about it.
type Measure[T Quantity] struct {
	text string
	of   func(*Trace) ([]value[T], *Failure)
}

// value is one figure, between low and high as far as is known. Node is the span
// that it is of, -1 where it is of several or none, which are then in all.
type value[T Quantity] struct {
	v, low, high T
	node         int
	all          []int
}

func certain[T Quantity](v T, node int) value[T] {
	return value[T]{v: v, low: v, high: v, node: node}
}

// together is a figure of several spans as one.
func together[T Quantity](v T, nodes []int) value[T] {
	if len(nodes) == 1 {
		return certain(v, nodes[0])
	}
	return value[T]{v: v, low: v, high: v, node: -1, all: nodes}
}

// String returns what is measured, in words.
func (m Measure[T]) String() string { return m.text }

// eachSpan measures every selected span by itself.
func eachSpan[T Quantity](s Selection, what string, of func(t *Trace, i int) (value[T], *Failure)) Measure[T] {
	return Measure[T]{what + " of " + s.text, func(t *Trace) (values []value[T], f *Failure) {
		nodes, f := s.some(t)
		for _, i := range nodes {
			v, f := of(t, i)
			if f != nil {
				return nil, f
			}
			v.node = i
			values = append(values, v)
		}
		return values, f
	}}
}

// duration measures each span by a figure that is known exactly.
func (s Selection) time(what string, of func(t *Trace, n *stall.Node) time.Duration) Measure[time.Duration] {
	return eachSpan(s, what, func(t *Trace, i int) (value[time.Duration], *Failure) {
		return certain(of(t, &t.Nodes[i]), i), nil
	})
}

// Duration is the wall time of each span.
func (s Selection) Duration() Measure[time.Duration] {
	return s.time("duration", func(_ *Trace, n *stall.Node) time.Duration { return n.Wall() })
}

// Self is the time of each span in which no child ran that it awaited.
func (s Selection) Self() Measure[time.Duration] {
	return s.time("self time", func(_ *Trace, n *stall.Node) time.Duration { return n.Self })
}

// Critical is for how long the end of the trace hung on each span itself.
func (s Selection) Critical() Measure[time.Duration] {
	return s.time("critical time", func(_ *Trace, n *stall.Node) time.Duration { return n.CriticalTime() })
}

// Start is when each span begins, counted from the start of the trace.
func (s Selection) Start() Measure[time.Duration] {
	return s.time("start", func(_ *Trace, n *stall.Node) time.Duration { return n.Start })
}

// CPU is the CPU time of each span itself, without that of its children. It comes
// from samples, so it has an interval: a claim fails when no value in it would do.
func (s Selection) CPU() Measure[time.Duration] {
	return eachSpan(s, "CPU time", func(t *Trace, i int) (value[time.Duration], *Failure) {
		return t.cpu(i, t.Nodes[i].CPU)
	})
}

// TotalCPU is CPU with that of all spans below.
func (s Selection) TotalCPU() Measure[time.Duration] {
	return eachSpan(s, "total CPU time", func(t *Trace, i int) (value[time.Duration], *Failure) {
		return t.cpu(i, t.Nodes[i].TotalCPU)
	})
}

// StallShare is the part of each span's wall time in which no child ran that it
// awaited, and it did not compute either: from 0 to 1, with the interval of CPU.
func (s Selection) StallShare() Measure[float64] {
	return eachSpan(s, "stall share", func(t *Trace, i int) (value[float64], *Failure) {
		n := &t.Nodes[i]
		cpu, f := t.cpu(i, n.CPU)
		if f != nil {
			return value[float64]{}, f
		}
		rest := func(cpu time.Duration) float64 { return share(max(0, n.Self-cpu), n.Wall()) }
		return value[float64]{v: rest(cpu.v), low: rest(cpu.high), high: rest(cpu.low)}, nil
	})
}

// InState is the time that each span itself spent in a state, such as waiting for a
// lock, by its execution trace: it takes Options.Exact. A state that there is not is a
// failure.
func (s Selection) InState(state stall.State) Measure[time.Duration] {
	return eachSpan(s, "time in state "+string(state), func(t *Trace, i int) (value[time.Duration], *Failure) {
		if f := misspelt("state", state, stall.States()); f != nil {
			return value[time.Duration]{}, f
		}
		n := &t.Nodes[i]
		switch {
		case t.noCPU != "":
			return value[time.Duration]{}, &Failure{t.noCPU, marksOf([]int{i}, "its states are not known"), true}
		case len(n.Timeline) == 0 && n.Self > 0:
			return value[time.Duration]{}, &Failure{n.Span.Name + " has no exact states: make the recorder with Options.Exact", marksOf([]int{i}, "no exact states"), true}
		}
		for _, sh := range n.States {
			if sh.State == state {
				return value[time.Duration]{v: sh.Time, low: sh.Low, high: sh.High}, nil
			}
		}
		return value[time.Duration]{}, nil
	})
}

// cpu returns a CPU figure, or why there is none.
func (t *Trace) cpu(i int, c stall.CPU) (value[time.Duration], *Failure) {
	why := c.Reason
	switch {
	case t.noCPU != "":
		why = t.noCPU
	case c.Pending:
		why = "the profile window of its time is not over"
	case c.Evidence != stall.None:
		return value[time.Duration]{v: c.Value, low: c.Low, high: c.High}, nil
	}
	return value[time.Duration]{}, &Failure{
		Text:      fmt.Sprintf("the CPU time of %s is not known: %s", t.Nodes[i].Span.Name, why),
		Marks:     marksOf([]int{i}, "its CPU time is not known"),
		undecided: true,
	}
}

// Together is the time in which at least one of the spans ran.
func (s Selection) Together() Measure[time.Duration] {
	return Measure[time.Duration]{s.text + " together", func(t *Trace) ([]value[time.Duration], *Failure) {
		nodes, f := s.some(t)
		if f != nil {
			return nil, f
		}
		return []value[time.Duration]{together(t.union(nodes), nodes)}, nil
	}}
}

// Share is Together as a part of the trace's wall time. It is more than 1 for work
// that goes on when the root has ended.
func (s Selection) Share() Measure[float64] {
	together := s.Together()
	return Measure[float64]{"share of " + s.text + " in the trace", func(t *Trace) ([]value[float64], *Failure) {
		d, f := together.of(t)
		if f != nil {
			return nil, f
		}
		part := share(d[0].v, t.Wall)
		return []value[float64]{{part, part, part, d[0].node, d[0].all}}, nil
	}}
}

// Count is how many spans are selected; none is no failure here.
func (s Selection) Count() Measure[int] {
	return Measure[int]{"number of " + s.text, func(t *Trace) ([]value[int], *Failure) {
		nodes := s.in(t)
		return []value[int]{together(len(nodes), nodes)}, nil
	}}
}

// Ratio is a, all its spans added up, to b.
func Ratio(a, b Measure[time.Duration]) Measure[float64] {
	return Measure[float64]{"ratio of " + a.text + " to " + b.text, func(t *Trace) ([]value[float64], *Failure) {
		x, f := a.of(t)
		y, g := b.of(t)
		if f := first(f, g); f != nil {
			return nil, f
		}
		p, q := sum(x), sum(y)
		if q.v == 0 {
			return nil, undecided("there is no ratio: %s is 0", b.text)
		}
		return []value[float64]{{share(p.v, q.v), share(p.low, q.high), share(p.high, q.low), p.node, p.all}}, nil
	}}
}

func sum(values []value[time.Duration]) (s value[time.Duration]) {
	s.node = -1
	for _, v := range values {
		s.v, s.low, s.high = s.v+v.v, s.low+v.low, s.high+v.high
	}
	if len(values) == 1 {
		s.node, s.all = values[0].node, values[0].all
		return s
	}
	for _, v := range values {
		s.all = append(s.all, v.node)
	}
	return s
}

// union is the time in which at least one of the spans ran.
func (t *Trace) union(nodes []int) (d time.Duration) {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b int) int { return cmp.Compare(t.Nodes[a].Start, t.Nodes[b].Start) })
	var until time.Duration
	for _, i := range nodes {
		if n := &t.Nodes[i]; n.End > until {
			d += n.End - max(n.Start, until)
			until = n.End
		}
	}
	return d
}

// share is part of whole, as a number.
func share(part, whole time.Duration) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// limit is what a claim asks of each value.
type limit[T Quantity] struct {
	want string

	// off is how far a value is off the limit, more than 0 is too much, less too little;
	// and whether all of its interval is.
	off func(value[T]) (off T, bad bool)

	// met is whether all of its interval is within the limit.
	met func(value[T]) bool
}

func under[T Quantity](x T) limit[T] {
	return limit[T]{"under " + show(x), func(v value[T]) (T, bool) { return v.v - x, v.low >= x }, func(v value[T]) bool { return v.high < x }}
}

func atMost[T Quantity](x T) limit[T] {
	return limit[T]{"at most " + show(x), func(v value[T]) (T, bool) { return v.v - x, v.low > x }, func(v value[T]) bool { return v.high <= x }}
}

func over[T Quantity](x T) limit[T] {
	return limit[T]{"over " + show(x), func(v value[T]) (T, bool) { return v.v - x, v.high <= x }, func(v value[T]) bool { return v.low > x }}
}

func atLeast[T Quantity](x T) limit[T] {
	return limit[T]{"at least " + show(x), func(v value[T]) (T, bool) { return v.v - x, v.high < x }, func(v value[T]) bool { return v.low >= x }}
}

func between[T Quantity](lo, hi T) limit[T] {
	return limit[T]{"between " + show(lo) + " and " + show(hi), func(v value[T]) (T, bool) {
		if v.low > hi {
			return v.v - hi, true
		}
		return v.v - lo, v.high < lo
	}, func(v value[T]) bool { return v.low >= lo && v.high <= hi }}
}

func exactly[T Quantity](x T) limit[T] {
	return limit[T]{"exactly " + show(x), func(v value[T]) (T, bool) { return v.v - x, v.low > x || v.high < x }, func(v value[T]) bool { return v.low == x && v.high == x }}
}

// Under claims less than x.
func (m Measure[T]) Under(x T) Claim { return m.claim(under(x)) }

// AtMost claims x or less.
func (m Measure[T]) AtMost(x T) Claim { return m.claim(atMost(x)) }

// Over claims more than x.
func (m Measure[T]) Over(x T) Claim { return m.claim(over(x)) }

// AtLeast claims x or more.
func (m Measure[T]) AtLeast(x T) Claim { return m.claim(atLeast(x)) }

// Between claims lo, hi, or what is between them.
func (m Measure[T]) Between(lo, hi T) Claim { return m.claim(between(lo, hi)) }

// Is claims exactly x. For times that is for fake time alone.
func (m Measure[T]) Is(x T) Claim { return m.claim(exactly(x)) }

func (m Measure[T]) claim(l limit[T]) Claim {
	want := m.text + " " + l.want
	return Claim{text: want, check: func(t *Trace) *Failure {
		values, f := m.of(t)
		if f != nil {
			return f
		}
		for _, v := range values {
			if off, bad := l.off(v); bad {
				return m.failure(values, v, off, l)
			}
		}
		return nil
	}, contrary: func(t *Trace) *Failure {
		values, f := m.of(t)
		if f != nil {
			return f
		}
		if slices.ContainsFunc(values, func(v value[T]) bool { return !l.met(v) }) {
			return nil
		}
		return m.met(values, l)
	}}
}

// met says that all values are within a limit of which the contrary was claimed.
func (m Measure[T]) met(values []value[T], l limit[T]) *Failure {
	var got []string
	f := &Failure{}
	for _, v := range values {
		if len(got) < maxShown {
			got = append(got, v.String())
		}
		f.Marks = append(f.Marks, v.marks("not wanted "+l.want)...)
	}
	f.Text = fmt.Sprintf("%s: got %s; want it not %s", m.text, strings.Join(got, ", "), l.want)
	if more := len(values) - len(got); more > 0 {
		f.Text += fmt.Sprintf(" (and %d more)", more)
	}
	return f
}

// maxShown is how many figures a sentence has.
const maxShown = 3

// failure says how far the first value is off, and marks all spans that are.
func (m Measure[T]) failure(values []value[T], v value[T], off T, l limit[T]) *Failure {
	f := &Failure{Text: fmt.Sprintf("%s: got %s; want %s (%s)", m.text, v, l.want, excess(off))}
	bad := 0
	for _, v := range values {
		if off, is := l.off(v); is {
			bad++
			f.Marks = append(f.Marks, v.marks(excess(off))...)
		}
	}
	if bad > 1 {
		f.Text += fmt.Sprintf(", and %d more", bad-1)
	}
	return f
}

// marks marks the span that a figure is of, with what is wrong, or each of several.
func (v value[T]) marks(wrong string) (marks []Mark) {
	if v.node >= 0 {
		return []Mark{{v.node, fmt.Sprintf("%s, %s", v, wrong)}}
	}
	for k, i := range v.all {
		marks = append(marks, Mark{i, fmt.Sprintf("%d of %d", k+1, len(v.all))})
	}
	return marks
}

// String returns the figure, with its interval where it has one.
func (v value[T]) String() string {
	if v.low == v.high {
		return show(v.v)
	}
	return fmt.Sprintf("%s (%s to %s)", show(v.v), show(v.low), show(v.high))
}

func excess[T Quantity](off T) string {
	if off < 0 {
		return show(-off) + " too little"
	}
	return show(off) + " too much"
}

// show returns a quantity as text.
func show[T Quantity](x T) string {
	switch x := any(x).(type) {
	case time.Duration:
		return duration(x)
	case float64:
		return strconv.FormatFloat(x, 'g', 3, 64)
	default:
		return fmt.Sprint(x)
	}
}

// duration has three digits; what is less shows in the excess.
func duration(d time.Duration) string { return stall.FormatDuration(d) }

// kindText is the kind of a span as outlines have it.
func kindText(k trace.SpanKind) string {
	if k == trace.SpanKindInternal || k == trace.SpanKindUnspecified {
		return ""
	}
	return k.String()
}
