package spanstore

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Exact is what the goroutines of one span did, from event to event, as an
// execution trace of the process tells it. The time is the span's own, its child
// spans on the same goroutine excluded.
type Exact struct {
	// From and To say for which part of the span's time this is known, since the
	// span's start: an execution trace reaches back some seconds only. A span that
	// is covered whole has 0 and its duration, within some microseconds.
	From, To time.Duration

	// Segments say what the span did when, in order and without overlap. What is
	// between them belongs to child spans.
	Segments []StateSegment

	// Running is how long the span's goroutines ran, all together: it may exceed
	// the span's time. Stolen is the part of it that their threads were not on
	// CPU, an estimate between StolenLow and StolenHigh.
	Running, Stolen, StolenLow, StolenHigh time.Duration

	// Goroutines is how many worked for the span.
	Goroutines int

	// Waits are the places where it was blocked, the longest first.
	Waits []Wait
}

// StateSegment is a stretch of a span's time in one state.
type StateSegment struct {
	From, To time.Duration // since the span's start

	// State is a word that the store attaches no meaning to; package stall lists
	// them. It is never "steal": that is Stolen.
	State string

	// Stolen is how much of the segment the thread was not on CPU though Go ran
	// the goroutine: the kernel ran something else. It is an estimate.
	Stolen time.Duration

	// Wait is the position in Exact.Waits of what was waited for, -1 for none.
	Wait int
}

// Wait is a place where a span was blocked, or waited for a processor.
type Wait struct {
	State string
	Total time.Duration
	Count int

	// Stack says where, Waker where the goroutine was that ended the last of the
	// waits, leaf first; nil when that is not known. WakerSpan is the span that
	// this goroutine worked for, if any. Frames are shared between results: read
	// only.
	Stack, Waker []Frame
	WakerSpan    trace.SpanID
}
