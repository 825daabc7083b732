package spanstore

import (
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// Exact is what the goroutines of one span did, from event to event, as an
// execution trace of the process tells it. The time is the span's own, its child
// spans on the same goroutine excluded.
type Exact struct {
	// Start and End say for which part of the span's time this is known: an
	// execution trace reaches back some seconds only. Of a span that is covered
	// whole they are its own, within some microseconds.
	Start, End time.Time

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
	From, To time.Duration // since Exact.Start

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

// packExact puts e in the codec's form; stack returns the number of a stack.
func packExact(e *Exact, stack func([]Frame) int64) *block.Exact {
	if e == nil {
		return nil
	}
	out := &block.Exact{
		From: block.UnixNano(e.Start), To: block.UnixNano(e.End), Running: int64(e.Running), Goroutines: int64(e.Goroutines),
		Stolen: int64(e.Stolen), StolenLow: int64(e.StolenLow), StolenHigh: int64(e.StolenHigh),
	}
	waits := e.Waits[:min(len(e.Waits), maxExactWaits)]
	at := time.Duration(0)
	for _, s := range e.Segments[:min(len(e.Segments), maxExactSegments)] {
		if s.From < at || s.To <= s.From {
			continue // not in order: what follows would be misread
		}
		x := block.ExactSegment{From: int64(s.From), To: int64(s.To), State: s.State, Stolen: int64(s.Stolen), Wait: int64(s.Wait)}
		if s.Wait < 0 || s.Wait >= len(waits) {
			x.Wait = -1
		}
		out.Segments, at = append(out.Segments, x), s.To
	}
	for i := range waits {
		w := &waits[i]
		out.Waits = append(out.Waits, block.ExactWait{
			State: w.State, Total: int64(w.Total), Count: int64(w.Count), Stack: stack(w.Stack), Waker: stack(w.Waker), WakerSpan: w.WakerSpan,
		})
	}
	return out
}

// maxExactSegments and maxExactWaits bound what is kept of one span.
const (
	maxExactSegments = 1 << 14
	maxExactWaits    = 256
)

func unpackExact(u *block.Usage, e *block.Exact) *Exact {
	out := &Exact{
		Start: block.FromUnixNano(e.From), End: block.FromUnixNano(e.To), Running: time.Duration(e.Running), Goroutines: int(e.Goroutines),
		Stolen: time.Duration(e.Stolen), StolenLow: time.Duration(e.StolenLow), StolenHigh: time.Duration(e.StolenHigh),
	}
	for _, s := range e.Segments {
		out.Segments = append(out.Segments, StateSegment{
			From: time.Duration(s.From), To: time.Duration(s.To), State: s.State, Stolen: time.Duration(s.Stolen), Wait: int(s.Wait),
		})
	}
	for _, w := range e.Waits {
		out.Waits = append(out.Waits, Wait{
			State: w.State, Total: time.Duration(w.Total), Count: int(w.Count), WakerSpan: w.WakerSpan,
			Stack: framesOf(u, w.Stack), Waker: framesOf(u, w.Waker),
		})
	}
	return out
}
