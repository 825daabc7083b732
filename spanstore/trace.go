package spanstore

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Trace is what the store holds of one trace: its spans, and what the process
// did during them as far as it was measured.
type Trace struct {
	ID trace.TraceID

	// Spans are ordered by start, ties by end descending, so that a parent
	// comes before the child that starts with it. Never empty.
	Spans []Span

	// Usage holds the measured work of each span that has any. A span that is
	// missing here had no CPU sample; Windows tells whether anybody looked.
	Usage map[trace.SpanID]Usage

	// Windows are the CPU profile windows, and the holes between them, that
	// overlap the trace's time, by start. Empty when no profiler ran.
	Windows []Window

	// Signals are what else was measured during the trace, mostly second by
	// second, by start. They are of the process, not of the trace.
	Signals []Signals

	// Kept says why the trace stays when what is around it is evicted: "pinned",
	// "error" or "slow"; "" when it is as any other.
	Kept string

	// Problems name parts of the trace that could not be read, or are known to
	// have been evicted, one sentence each.
	Problems []string
}

// Summary is one line of a list of traces.
type Summary struct {
	TraceID trace.TraceID

	// Service, Name and Start are those of the trace's root; while the root
	// has not ended (or is not in this store), those of its earliest span, and
	// Rootless is true.
	Service, Name string
	Start         time.Time
	Rootless      bool

	// Duration is the root's wall time; for a rootless trace the time from the
	// earliest start to the latest end.
	Duration time.Duration

	// Spans and Errors count the spans in the store, and those of them whose
	// status is Error.
	Spans, Errors int

	// Services names every service with a span in the trace, sorted.
	Services []string

	// Kept says why the trace is kept, as Trace.Kept.
	Kept string

	// Usage sums the usage of all spans of the trace; its Stacks are left out.
	// Windows overlap the trace as in Trace.
	Usage   Usage
	Windows []Window
}

// Usage is what one span did, as the profiler measured it. The store adds up
// what it is given for the same span and attaches no meaning to it.
type Usage struct {
	TraceID trace.TraceID
	SpanID  trace.SpanID

	// Samples counts the CPU profile samples that fell on the span itself, its
	// child spans excluded. Each stands for one Window.Period of CPU time, and
	// for more where samples were lost.
	Samples int

	// CPU is the CPU time those samples stand for.
	CPU time.Duration

	// LateSamples counts samples on goroutines that still carried the span's
	// label when it had already ended: work after span end. They are not part
	// of Samples, CPU or Stacks.
	LateSamples int

	// Stacks are the distinct call stacks of the samples, most frequent first.
	Stacks []Stack

	// Exact is what an execution trace tells of the span; nil when none was taken.
	Exact *Exact
}

// Stack is one call stack and how many samples were seen in it.
type Stack struct {
	// Frames run from the leaf (where the CPU was) to the root. A Stack's
	// frames are shared between results: read only.
	Frames  []Frame
	Samples int
}

// Frame is one function of a call stack. Inlined calls have frames of their own.
type Frame struct {
	Func string // full name with its package path: golang.org/x/crypto/bcrypt.bcrypt
	File string
	Line int
}

// Window is a stretch of time for which it is known whether a CPU profile ran.
type Window struct {
	Start, End time.Time

	// Period is the CPU time that one sample stands for: 10 ms at 100 Hz. It is
	// zero in a hole.
	Period time.Duration

	// Samples counts all samples of the window, Labeled those on any span.
	Samples, Labeled int

	// Process is the CPU time (user and system) that the whole process used in
	// the window by getrusage, 0 where that is not known. Samples*Period
	// differs from it by what the profile missed.
	Process time.Duration

	// RootsOnly says that only local roots were labelled, in a part of the window
	// at least: samples on other spans count for their local root.
	RootsOnly bool

	// Hole says why there is no data, such as "another CPU profile was
	// running". It is empty for a window that was profiled.
	Hole string
}

// Signals are figures of the whole process in one stretch of time, about a
// second. They tell why a request stalled that did nothing wrong: the kernel or
// the Go runtime let it wait.
type Signals struct {
	Start, End time.Time

	// Values are the figures that could be had, by name; the store attaches no
	// meaning to them. Those of the profiler are documented there. A name that
	// ends in _ns is a time in nanoseconds. What is absent is not known, and
	// not zero. Read only.
	Values map[string]int64
}

// UsageBatch is what the profiler hands to the store at the end of a window.
type UsageBatch struct {
	Windows []Window
	Signals []Signals
	Spans   []Usage
}

// Eviction says what became of a trace that the store no longer holds.
type Eviction struct {
	// When is the time at which the first part of the trace was removed.
	When time.Time

	// Why is a short reason, such as "the ring's budget of 256 MiB was full".
	Why string

	// Since says how far back the bounded log of evictions reaches: whether a
	// trace was evicted before that can no longer be told. Zero means that the
	// log still has every eviction.
	Since time.Time
}

// Query selects traces. The zero Query selects all of them.
type Query struct {
	// From and To bound the trace's start: From <= start < To. Zero is unbounded.
	From, To time.Time

	// Service and Name, when not empty, must be those of one and the same span
	// of the trace, exactly.
	Service, Name string

	// MinDuration is the least Summary.Duration.
	MinDuration time.Duration

	// Errors keeps only traces with a span whose status is Error.
	Errors bool

	// Where holds further conditions. One and the same span of the trace meets
	// all of them that are about a span, and Service and Name too; see ParseQuery.
	Where []Condition

	// Order is the order of the list.
	Order Order

	// Limit is the most summaries that are returned; 0 means 100.
	Limit int

	// Cursor continues where a former page ended: Page.Cursor of that page.
	Cursor string
}

// Order is an order of a list of traces.
type Order int

const (
	// NewestFirst orders by Summary.Start, the latest first, ties by id.
	NewestFirst Order = iota

	// LongestFirst orders by Summary.Duration, the greatest first, then as
	// NewestFirst. Unlike that it looks at every block in the time range: about 0.2 s of CPU
	// time for a million spans.
	LongestFirst
)

// String returns the order as ParseQuery takes it.
func (o Order) String() string {
	if o == LongestFirst {
		return "longest"
	}
	return "newest"
}

// Page is one page of a list of traces.
type Page struct {
	Traces []Summary // in the query's order

	// Cursor asks for the next page. It is empty on the last one.
	Cursor string

	// Problems name parts of the store that could not be read, one sentence each.
	Problems []string
}
