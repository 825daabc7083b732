package stall

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

// Evidence says how a figure is known. No figure is shown without it.
type Evidence string

const (
	Exact    Evidence = "exact"    // measured from event to event
	Sampled  Evidence = "sampled"  // from CPU samples: a proportion with an interval
	Inferred Evidence = "inferred" // concluded from something else, such as the span's kind
	None     Evidence = "none"     // not known
)

// Reasons why a figure is missing or preliminary. The third is a window's Hole.
const (
	reasonNobody  = "no CPU profile covers it"
	reasonPending = "the running CPU profile window has not ended yet"
	reasonAtRoot  = "only local roots were labelled: its CPU time is part of its local root's"
	reasonOfAll   = "with what spans below it used: only local roots were labelled"
)

// defaultPeriod is what one sample stands for where no window says so: 10 ms,
// runtime/pprof's 100 Hz.
const defaultPeriod = 10 * time.Millisecond

// CPU is a CPU time with all that is needed to judge it.
type CPU struct {
	// Value is the estimate, Low and High its interval. With Evidence Sampled
	// and no samples, Value and Low are 0 and High is a bound: "less than
	// High", never "0". With Evidence None all three are 0 and mean nothing.
	Value, Low, High time.Duration

	// Samples is the number of CPU samples that Value rests on.
	Samples int

	Evidence Evidence

	// Reason says why there is no figure, or that it covers only a part.
	Reason string

	// Pending reports that samples may still arrive: the profile window that
	// covers the time has not ended. Only figures of a live process have it.
	Pending bool
}

// SummaryCPU is the CPU time of a whole trace, from its line in a list. It is
// the same figure as Analysis.CPU of the trace.
func SummaryCPU(s *spanstore.Summary) CPU { return summaryCPU(s, nil) }

// SummaryCPULive is SummaryCPU in a process whose profiler is running; see
// AnalyzeLive.
func SummaryCPULive(s *spanstore.Summary, coveredUntil time.Time) CPU {
	return summaryCPU(s, &coveredUntil)
}

func summaryCPU(s *spanstore.Summary, coveredUntil *time.Time) CPU {
	if s == nil {
		return CPU{Evidence: None, Reason: reasonNobody}
	}
	services := 0
	for _, name := range s.Services {
		if name != "" { // spans without a service name are no service
			services++
		}
	}
	c := newCoverage(s.Windows, s.Start, coveredUntil)
	return c.estimate(Segment{0, max(0, s.Duration)}, s.Usage.Samples, s.Usage.CPU, services)
}

// estimateCPU sets the CPU figure of every span, of every subtree and of the
// trace.
func (a *Analysis) estimateCPU(c *coverage) {
	var sum spanstore.Usage
	totals := make([]spanstore.Usage, len(a.Nodes))
	for i := range a.Nodes {
		n := &a.Nodes[i]
		span := Segment{n.Start, n.End}
		n.CPU = c.estimate(span, n.Usage.Samples, n.Usage.CPU, 1)
		if exact, ok := exactCPU(n); ok {
			n.CPU = exact
		}
		totals[i] = spanstore.Usage{Samples: n.CPU.Samples, CPU: n.CPU.Value}
		a.Pending = a.Pending || c.pendingAt(span)
		sum.Samples += n.CPU.Samples
		sum.CPU = saturatingAdd(sum.CPU, n.CPU.Value)
	}
	for i := range slices.Backward(a.Nodes) { // descendants come after their ancestors
		n := &a.Nodes[i]
		if n.Parent >= 0 {
			p := &totals[n.Parent]
			p.Samples += totals[i].Samples
			p.CPU = saturatingAdd(p.CPU, totals[i].CPU)
		}
		if n.TotalCPU = n.CPU; n.Children > 0 {
			n.TotalCPU = c.estimate(Segment{n.Start, n.End}, totals[i].Samples, totals[i].CPU, len(a.Services))
		}
		if c.rootsOnly(Segment{n.Start, n.End}) {
			n.CPU, n.TotalCPU = n.CPU.counted(n, true), n.TotalCPU.counted(n, false)
		}
	}
	a.sumExactCPU()
	whole := Segment{a.Nodes[0].Start, a.Nodes[0].End}
	if a.Rootless {
		whole = Segment{0, a.Extent}
	}
	a.CPU = c.estimate(whole, sum.Samples, sum.CPU, len(a.Services))
	if all, ok := a.exactSum(); ok {
		a.CPU = all
	}
}

// sumExactCPU sets the figures of subtrees of which every span is known exactly.
func (a *Analysis) sumExactCPU() {
	exact := make([]bool, len(a.Nodes))
	for i := range a.Nodes {
		exact[i] = a.Nodes[i].CPU.Evidence == Exact
	}
	for i := range slices.Backward(a.Nodes) {
		if p := a.Nodes[i].Parent; p >= 0 && !exact[i] {
			exact[p] = false
		}
	}
	for i := range a.Nodes {
		if exact[i] {
			a.Nodes[i].TotalCPU = a.Nodes[i].CPU
		}
	}
	for i := range slices.Backward(a.Nodes) {
		if p := a.Nodes[i].Parent; p >= 0 && exact[p] {
			a.Nodes[p].TotalCPU = a.Nodes[p].TotalCPU.plusExact(a.Nodes[i].TotalCPU)
		}
	}
}

// exactSum is the CPU time of all spans, when each is known exactly.
func (a *Analysis) exactSum() (sum CPU, ok bool) {
	sum.Evidence = Exact
	for i := range a.Nodes {
		if a.Nodes[i].CPU.Evidence != Exact {
			return CPU{}, false
		}
		sum = sum.plusExact(a.Nodes[i].CPU)
	}
	return sum, true
}

func (c CPU) plusExact(o CPU) CPU {
	c.Value, c.Low, c.High = saturatingAdd(c.Value, o.Value), saturatingAdd(c.Low, o.Low), saturatingAdd(c.High, o.High)
	c.Samples, c.Reason = c.Samples+o.Samples, cmp.Or(c.Reason, o.Reason)
	return c
}

// counted corrects f, a figure of n, for windows in which local roots were
// labelled alone. They have what the spans below them used, as long as that ran on
// their goroutines; of the others it is not known.
func (f CPU) counted(n *Node, own bool) CPU {
	switch {
	case !n.Span.LocalRoot() && f.Samples == 0:
		return CPU{Evidence: None, Reason: reasonAtRoot, Pending: f.Pending}
	case !n.Span.LocalRoot():
		f.High, f.Reason = max(f.High, n.Wall()), reasonAtRoot
	case own && n.Children > 0 && f.Reason == "":
		f.Reason = reasonOfAll
	}
	return f
}

func saturatingAdd(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// coverage answers when a CPU profile ran, in offsets from a trace's start.
type coverage struct {
	period time.Duration

	// All of these are sorted. starts and ends belong to profiled windows as
	// they are; profiled is their union, and before[i] the time that
	// profiled[:i] adds up to.
	starts, ends []time.Duration
	profiled     []Segment
	before       []time.Duration

	// roots are the windows in which only local roots were labelled: few.
	roots []Segment

	holes []hole

	live         bool
	coveredUntil time.Duration // meaningful when live
}

type hole struct {
	Segment
	why string
}

func newCoverage(windows []spanstore.Window, start time.Time, coveredUntil *time.Time) *coverage {
	c := &coverage{}
	for _, w := range windows {
		s := Segment{w.Start.Sub(start), w.End.Sub(start)}
		if s.From >= s.To {
			continue
		}
		if w.Hole != "" {
			c.holes = append(c.holes, hole{s, w.Hole})
			continue
		}
		c.period = max(c.period, w.Period)
		c.starts = append(c.starts, s.From)
		c.ends = append(c.ends, s.To)
		c.profiled = append(c.profiled, s)
		if w.RootsOnly {
			c.roots = append(c.roots, s)
		}
	}
	slices.Sort(c.starts)
	slices.Sort(c.ends)
	slices.SortFunc(c.profiled, func(s, t Segment) int { return cmp.Compare(s.From, t.From) })
	slices.SortFunc(c.holes, func(s, t hole) int { return cmp.Compare(s.To, t.To) })
	c.profiled, c.roots = union(c.profiled), union(c.roots)
	c.before = make([]time.Duration, len(c.profiled)+1)
	for i, s := range c.profiled {
		c.before[i+1] = c.before[i] + s.To - s.From
	}
	if coveredUntil != nil {
		c.live, c.coveredUntil = true, coveredUntil.Sub(start)
	}
	return c
}

// estimate turns n samples worth cpu, taken during s, into a figure. samplings
// is the number of independent systematic samples that they may come from: 1
// for a span, the number of services for a trace.
func (c *coverage) estimate(s Segment, n int, cpu time.Duration, samplings int) CPU {
	wall := s.To - s.From
	watched := s
	watched.To = max(s.To, s.From+1) // a span without duration lies in a window or does not
	k := c.windows(watched)
	if k == 0 && n <= 0 {
		return CPU{Evidence: None, Reason: c.reason(watched), Pending: c.pendingAt(watched)}
	}
	p, value := c.worth(n, cpu)
	unwatched := max(0, wall-c.within(s))
	f := CPU{Value: value, Samples: max(0, n), Evidence: Sampled, Pending: c.pendingAt(s)}
	if unwatched > 0 {
		f.Reason = fmt.Sprintf("%s of %s not covered: %s", FormatDuration(unwatched), FormatDuration(wall), c.reason(watched))
	}
	half := margin(p, max(k, min(samplings, n)), n, value, wall)
	f.Low = max(0, value-half)
	f.High = saturatingAdd(value, saturatingAdd(half, unwatched))
	if n <= 0 {
		f.High = min(f.High, wall)
	}
	return f
}

// worth returns the period of a sample and what n of them stand for. The store
// says so; the windows know the period when it does not.
func (c *coverage) worth(n int, cpu time.Duration) (period, value time.Duration) {
	period = c.period
	switch {
	case n <= 0:
		return cmp.Or(period, defaultPeriod), 0
	case cpu > 0:
		return cmp.Or(period, cpu/time.Duration(n)), cpu
	}
	period = cmp.Or(period, defaultPeriod)
	return period, time.Duration(min(float64(n)*float64(period), math.MaxInt64/2))
}

// tick is the longest that a sample may come late: the kernel looks at a
// thread's CPU timer at its tick only, every 4 ms with HZ=250, which is what most
// distributions have.
const tick = 4 * time.Millisecond

// lossDeviations is how many standard deviations of the samples lost the
// interval has. Losses come in runs, while a neighbour is busy, and so scatter
// more than if each sample were lost for itself: with 3 at least 97 % of the spans
// of 1 to 100 ms that had a thread to themselves lay in their intervals.
const lossDeviations = 3

// ruleOfThree is how many samples' worth of CPU time a span may have used that got
// none: had it been more, none would have had a chance of e^-3, 5 %.
const ruleOfThree = 3

// sharedDeviations is how many standard deviations of the samples that fall at
// random the interval has: 95 %. They are reckoned from one sample more than came:
// where few came by chance the interval would be too narrow otherwise.
const sharedDeviations = 2

// margin is the half width of the interval of value, which n samples of period p
// from k independent systematic samples in a span of that wall time stand for; see
// the package documentation.
func margin(p time.Duration, k, n int, value, wall time.Duration) time.Duration {
	edges := float64(p+min(tick, p)) * math.Sqrt(float64(max(1, k)))
	if n <= 0 || value <= 0 {
		return time.Duration(max(edges, ruleOfThree*float64(p)))
	}
	worth := float64(value) / float64(n) // of a sample, those that were lost included
	lost := max(0, 1-float64(p)/worth)
	scatter := lossDeviations * worth * math.Sqrt(float64(n)*lost)
	alone := math.Hypot(edges, scatter) // if the work had its thread to itself
	off := 1 - float64(value)/float64(max(1, wall))
	if float64(value)-alone > float64(wall) {
		off = 1 // several goroutines were on CPU at once: nobody knows for how much of their time
	}
	shared := sharedDeviations * worth * math.Sqrt(float64(n+1)*max(0, off))
	return time.Duration(min(math.Hypot(alone, shared), math.MaxInt64/4))
}

// windows counts the profiled windows that overlap s.
func (c *coverage) windows(s Segment) int {
	started, _ := slices.BinarySearch(c.starts, s.To)
	ended, _ := slices.BinarySearch(c.ends, s.From+1)
	return started - ended
}

// rootsOnly reports whether only local roots were labelled in a part of s.
func (c *coverage) rootsOnly(s Segment) bool {
	i, _ := slices.BinarySearchFunc(c.roots, s.From+1, func(r Segment, t time.Duration) int { return cmp.Compare(r.To, t) })
	return i < len(c.roots) && c.roots[i].From < max(s.To, s.From+1)
}

// within returns how much of s was profiled.
func (c *coverage) within(s Segment) time.Duration { return c.upTo(s.To) - c.upTo(s.From) }

// upTo returns how much was profiled before t.
func (c *coverage) upTo(t time.Duration) time.Duration {
	i, _ := slices.BinarySearchFunc(c.profiled, t, func(s Segment, t time.Duration) int { return cmp.Compare(s.To, t) })
	sum := c.before[i]
	if i < len(c.profiled) && c.profiled[i].From < t {
		sum += t - c.profiled[i].From
	}
	return sum
}

// reason says why s was not profiled, or not all of it.
func (c *coverage) reason(s Segment) string {
	if c.pendingAt(s) {
		return reasonPending
	}
	i, _ := slices.BinarySearchFunc(c.holes, s.From+1, func(h hole, t time.Duration) int { return cmp.Compare(h.To, t) })
	if i < len(c.holes) && c.holes[i].From < s.To {
		return c.holes[i].why
	}
	if c.within(s) > 0 {
		return "between two CPU profile windows" // stopping one and starting the next takes milliseconds
	}
	return reasonNobody
}

// pendingAt reports whether CPU samples of s may still arrive.
func (c *coverage) pendingAt(s Segment) bool { return c.live && s.To > c.coveredUntil }
