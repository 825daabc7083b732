package otlp

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// measured puts what was measured to the spans of its object. What belongs to no
// span or trace there is left out.
func (u *unpacker) measured(m *measured) error {
	if m == nil {
		return nil
	}
	if m.Version != version {
		for _, b := range u.order {
			b.problem(fmt.Sprintf("What was measured is in version %d of the file's format, which this program cannot read.", m.Version))
		}
		return nil
	}
	frames := frames(each(m.Frames, func(f *frame) spanstore.Frame { return spanstore.Frame(*f) }))
	for i := range m.Traces {
		id, err := trace.TraceIDFromHex(m.Traces[i].TraceID)
		if err != nil {
			return fmt.Errorf("spanclock.traces[%d].traceId: %.40q is none", i, m.Traces[i].TraceID)
		}
		if b := u.traces[id]; b != nil {
			if err := b.add(&m.Traces[i], frames); err != nil {
				return fmt.Errorf("spanclock.traces[%d].%w", i, err)
			}
		}
	}
	return nil
}

func (b *building) problem(text string) {
	if !slices.Contains(b.Problems, text) {
		b.Problems = append(b.Problems, text)
	}
}

func (b *building) add(m *measuredTrace, all frames) error {
	b.Kept = cmp.Or(b.Kept, m.Kept)
	for _, p := range m.Problems {
		b.problem(p)
	}
	for _, w := range m.Windows {
		b.Windows = append(b.Windows, spanstore.Window{
			Start: w.Start.time(), End: w.End.time(), Period: w.Period, Samples: w.Samples, Labeled: w.Labeled,
			Process: w.Process, RootsOnly: w.RootsOnly, Hole: w.Hole,
		})
	}
	for _, s := range m.Signals {
		b.Signals = append(b.Signals, spanstore.Signals{Start: s.Start.time(), End: s.End.time(), Values: s.Values})
	}
	at := make(map[trace.SpanID]int, len(b.Spans))
	for i := range slices.Backward(b.Spans) {
		at[b.Spans[i].SpanID()] = i // the first of those that repeat an id
	}
	for i := range m.Spans {
		id, err := trace.SpanIDFromHex(m.Spans[i].SpanID)
		if err != nil {
			return fmt.Errorf("spans[%d].spanId: %.40q is none", i, m.Spans[i].SpanID)
		}
		k, ok := at[id]
		if !ok {
			continue
		}
		b.Spans[k].ChildSpanCount = max(0, m.Spans[i].Children)
		if !m.Spans[i].Measured {
			continue
		}
		usage, err := m.Spans[i].usage(all)
		if err != nil {
			return fmt.Errorf("spans[%d].%w", i, err)
		}
		usage.TraceID, usage.SpanID = b.ID, id
		b.Usage[id] = usage
	}
	return nil
}

func (m *measuredSpan) usage(all frames) (spanstore.Usage, error) {
	u := spanstore.Usage{Samples: m.Samples, CPU: m.CPU, LateSamples: m.Late}
	for i, s := range m.Stacks {
		frames, err := all.stack(s.Frames)
		if err != nil {
			return u, fmt.Errorf("stacks[%d]: %w", i, err)
		}
		u.Stacks = append(u.Stacks, spanstore.Stack{Frames: frames, Samples: s.Samples})
	}
	if m.Exact == nil {
		return u, nil
	}
	var err error
	u.Exact, err = m.Exact.unpack(all)
	return u, err
}

func (e *exact) unpack(all frames) (*spanstore.Exact, error) {
	out := &spanstore.Exact{
		Start: e.Start.time(), End: e.End.time(), Running: e.Running, Goroutines: e.Goroutines,
		Stolen: e.Stolen, StolenLow: e.StolenLow, StolenHigh: e.StolenHigh,
	}
	at := time.Duration(0)
	for i, s := range e.Segments {
		if s.From < at || s.To <= s.From {
			return nil, fmt.Errorf("exact.segments[%d]: from %d to %d is not in order", i, s.From, s.To)
		}
		x := spanstore.StateSegment{From: s.From, To: s.To, State: s.State, Stolen: s.Stolen, Wait: -1}
		if s.Wait != nil {
			if x.Wait = *s.Wait; x.Wait < 0 || x.Wait >= len(e.Waits) {
				return nil, fmt.Errorf("exact.segments[%d].wait: %d of %d", i, x.Wait, len(e.Waits))
			}
		}
		out.Segments, at = append(out.Segments, x), s.To
	}
	for i, w := range e.Waits {
		stack, err := all.stack(w.Stack)
		waker, err2 := all.stack(w.Waker)
		span, err3 := optional(trace.SpanIDFromHex, w.WakerSpan)
		if err != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("exact.waits[%d]: a frame or span that there is not", i)
		}
		out.Waits = append(out.Waits, spanstore.Wait{State: w.State, Total: w.Total, Count: w.Count, Stack: stack, Waker: waker, WakerSpan: span})
	}
	return out, nil
}

// frames are all frames of an object.
type frames []spanstore.Frame

func (f frames) stack(at []int) ([]spanstore.Frame, error) {
	if len(at) == 0 {
		return nil, nil
	}
	out := make([]spanstore.Frame, len(at))
	for i, n := range at {
		if n < 0 || n >= len(f) {
			return nil, fmt.Errorf("frame %d of %d", n, len(f))
		}
		out[i] = f[n]
	}
	return out, nil
}
