package stall

import (
	"slices"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

// Analysis is what can be said about one trace. Its times are offsets from
// Start, so that none of them is negative.
type Analysis struct {
	// Trace is what was analysed; never nil.
	Trace *spanstore.Trace

	// Start is the earliest start of all spans. It is the root's start unless
	// clocks disagree or the root is missing.
	Start time.Time

	// Wall is the duration of the trace as in [spanstore.Summary]: that of its
	// root, and without one the time from the earliest start to the latest end.
	Wall time.Duration

	// Extent is the offset of the latest end of all spans: what a drawing of
	// the whole trace has to hold. Work that outlives the root makes it
	// greater than Wall.
	Extent time.Duration

	// Nodes are all spans in display order: each before its descendants,
	// siblings by start. Nodes[0] is the main root: the earliest span without
	// a parent, else the earliest span whose parent is missing. Further roots
	// follow by start. Empty only for a trace without spans.
	Nodes []Node

	// Rootless reports that no span without a parent is in the trace: its root
	// has not ended yet, or was recorded elsewhere.
	Rootless bool

	// Services names every service in the trace, sorted.
	Services []string

	// Critical is the length of the critical path: the main root's wall time.
	Critical time.Duration

	// CPU is the CPU time of all spans together.
	CPU CPU

	// Budget divides the critical path by state, CPU first, then by size. The
	// times of its shares add up to Critical.
	Budget []Share

	// Headline says in words what matters most.
	Headline Headline

	// Findings say what could be gained, the greatest gain first.
	Findings []Finding

	// Problems name what is wrong with the trace itself, in sentences: what the
	// store could not read, then what is odd about the spans. Few, whatever the
	// number of spans.
	Problems []string

	// Pending reports that samples may still arrive for some of the spans. Only
	// AnalyzeLive sets it.
	Pending bool

	children [][]int // of each node, by start
}

// Node is one span in its tree.
type Node struct {
	// Span points into Analysis.Trace.
	Span *spanstore.Span

	// Usage is what was measured of the span; zero when nothing was. Of spans
	// that share an id, the first has it.
	Usage spanstore.Usage

	// Parent is the index in Analysis.Nodes, -1 for a root. Depth is 0 for a
	// root. Children counts the direct ones.
	Parent, Depth, Children int

	// Awaited reports whether the parent waited for the span, as far as times
	// tell. It is true for a root.
	Awaited bool

	// Start and End are offsets from Analysis.Start; End is never before Start.
	Start, End time.Duration

	// Self is the time that no awaited child covers; SelfSegments say when it
	// was and CoveredSegments the rest. Each is sorted and without overlap, and
	// together they fill the span.
	Self            time.Duration
	SelfSegments    []Segment
	CoveredSegments []Segment

	// Critical is when the end of the main root hung on this span itself: a
	// part of SelfSegments.
	Critical []Segment

	// DecidesEnd reports that the end of the parent hangs on the end of this
	// span alone: it is the last awaited child on the parent's critical path,
	// it began well after its parent, and well before its end every other
	// awaited child of the parent had ended, and nothing of the parent follows
	// that is worth naming. "Well" and "worth naming" mean a twentieth of the
	// parent's wall time. A server does not decide the end of the client span
	// that calls it: it is the call.
	DecidesEnd bool

	// CPU is the CPU time of the span itself, its child spans excluded. TotalCPU
	// is that of the span and all its descendants, awaited or not.
	CPU, TotalCPU CPU

	// Timeline is what the span did in its self time, as far as an execution trace
	// tells: sorted, without overlap, a part of SelfSegments. Empty when none was
	// taken.
	Timeline []Stretch

	// States divide the wall time. They add up to it.
	States []Share

	endsLast bool    // the first that the critical walk takes in its parent
	path     Segment // when the end of the main root hung on the span or its descendants
}

// Wall returns the wall time of the span.
func (n *Node) Wall() time.Duration { return n.End - n.Start }

// CriticalTime returns how long the span itself was on the critical path.
func (n *Node) CriticalTime() time.Duration { return total(n.Critical) }

// Segment is a stretch of a trace's time, From <= t < To.
type Segment struct{ From, To time.Duration }

func total(segs []Segment) (sum time.Duration) {
	for _, s := range segs {
		sum += s.To - s.From
	}
	return sum
}

// Analyze works out where the wall time of t went. It takes any trace, however
// broken, and nil. It neither changes t nor keeps more than references into it.
func Analyze(t *spanstore.Trace) *Analysis { return analyze(t, nil) }

// AnalyzeLive is Analyze in a process whose profiler is running: CPU time
// burnt after coveredUntil has not reached the store yet, so that figures of
// spans which end later say that they are preliminary.
func AnalyzeLive(t *spanstore.Trace, coveredUntil time.Time) *Analysis {
	return analyze(t, &coveredUntil)
}

func analyze(t *spanstore.Trace, coveredUntil *time.Time) *Analysis {
	if t == nil {
		t = &spanstore.Trace{}
	}
	a := &Analysis{Trace: t, Problems: slices.Clone(t.Problems)}
	if len(t.Spans) == 0 {
		a.problem("The trace has no spans.")
		a.Headline = Headline{Strong: "The trace has no spans."}
		return a
	}
	a.placeInTime()
	a.buildTree()
	a.children = a.childIndex()
	a.divideSelfAndCovered(a.children)
	a.walkCriticalPath(a.children)
	a.markDecidedEnds(a.children)

	c := newCoverage(t.Windows, a.Start, coveredUntil)
	a.placeExact()
	a.estimateCPU(c)
	a.divideStates()
	a.Budget = a.criticalBudget(c)
	a.Findings = a.findings(a.children)
	a.Headline = a.headline()
	return a
}

// placeInTime finds the trace's start and extent. Spans without times, as a
// broken exporter may leave them, must not stretch the trace to the year 1.
func (a *Analysis) placeInTime() {
	for i := range a.Trace.Spans {
		s := &a.Trace.Spans[i]
		if !s.Start.IsZero() && (a.Start.IsZero() || s.Start.Before(a.Start)) {
			a.Start = s.Start
		}
	}
	services := map[string]bool{}
	for i := range a.Trace.Spans {
		s := &a.Trace.Spans[i]
		_, end := a.offsets(s)
		a.Extent = max(a.Extent, end)
		services[s.Service()] = true
	}
	for name := range services {
		if name != "" {
			a.Services = append(a.Services, name)
		}
	}
	slices.Sort(a.Services)
}

// offsets returns when s started and ended after the trace's start. Sub
// saturates, so that absurd times stay in order and cannot overflow.
func (a *Analysis) offsets(s *spanstore.Span) (start, end time.Duration) {
	if !s.Start.IsZero() {
		start = max(0, s.Start.Sub(a.Start))
	}
	if !s.End.IsZero() {
		end = s.End.Sub(a.Start)
	}
	return start, max(start, end)
}
