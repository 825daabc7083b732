package otlp

import (
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// version is that of the part "spanclock".
const version = 1

// measured is what OTLP has no place for.
type measured struct {
	Version int             `json:"version"`
	Frames  []frame         `json:"frames,omitempty"`
	Traces  []measuredTrace `json:"traces,omitempty"`
}

type frame struct {
	Func string `json:"func"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

type measuredTrace struct {
	TraceID  string         `json:"traceId"`
	Kept     string         `json:"kept,omitempty"`
	Problems []string       `json:"problems,omitempty"`
	Windows  []window       `json:"windows,omitempty"`
	Signals  []signals      `json:"signals,omitempty"`
	Spans    []measuredSpan `json:"spans,omitempty"`
}

type window struct {
	Start     nanos         `json:"start"`
	End       nanos         `json:"end"`
	Period    time.Duration `json:"period,omitempty"`
	Samples   int           `json:"samples,omitempty"`
	Labeled   int           `json:"labeled,omitempty"`
	Process   time.Duration `json:"process,omitempty"`
	RootsOnly bool          `json:"rootsOnly,omitempty"`
	Hole      string        `json:"hole,omitempty"`
}

type signals struct {
	Start  nanos            `json:"start"`
	End    nanos            `json:"end"`
	Values map[string]int64 `json:"values"`
}

type measuredSpan struct {
	SpanID   string        `json:"spanId"`
	Children int           `json:"children,omitempty"`
	Samples  int           `json:"samples,omitempty"`
	CPU      time.Duration `json:"cpu,omitempty"`
	Late     int           `json:"late,omitempty"`
	Stacks   []stack       `json:"stacks,omitempty"`
	Exact    *exact        `json:"exact,omitempty"`

	// Measured says that there is a usage even where all its figures are zero.
	Measured bool `json:"measured,omitempty"`
}

type stack struct {
	Frames  []int `json:"frames"`
	Samples int   `json:"samples"`
}

type exact struct {
	Start      nanos         `json:"start"`
	End        nanos         `json:"end"`
	Running    time.Duration `json:"running,omitempty"`
	Stolen     time.Duration `json:"stolen,omitempty"`
	StolenLow  time.Duration `json:"stolenLow,omitempty"`
	StolenHigh time.Duration `json:"stolenHigh,omitempty"`
	Goroutines int           `json:"goroutines,omitempty"`
	Segments   []segment     `json:"segments,omitempty"`
	Waits      []wait        `json:"waits,omitempty"`
}

type segment struct {
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
	State  string        `json:"state"`
	Stolen time.Duration `json:"stolen,omitempty"`
	Wait   *int          `json:"wait,omitempty"` // nil for none
}

type wait struct {
	State     string        `json:"state"`
	Total     time.Duration `json:"total,omitempty"`
	Count     int           `json:"count,omitempty"`
	Stack     []int         `json:"stack,omitempty"`
	Waker     []int         `json:"waker,omitempty"`
	WakerSpan string        `json:"wakerSpan,omitempty"`
}

func (p *packer) measure(t *spanstore.Trace) measuredTrace {
	out := measuredTrace{TraceID: hexTrace(t.ID), Kept: t.Kept, Problems: t.Problems}
	for _, w := range t.Windows {
		out.Windows = append(out.Windows, window{nanosOf(w.Start), nanosOf(w.End), w.Period, w.Samples, w.Labeled, w.Process, w.RootsOnly, w.Hole})
	}
	for _, s := range t.Signals {
		out.Signals = append(out.Signals, signals{nanosOf(s.Start), nanosOf(s.End), s.Values})
	}
	seen := map[trace.SpanID]bool{} // usage belongs to the first of those that repeat an id
	for i := range t.Spans {
		s := &t.Spans[i]
		u, ok := t.Usage[s.SpanID()]
		if (ok || s.ChildSpanCount > 0) && !seen[s.SpanID()] {
			out.Spans = append(out.Spans, p.measureSpan(s, u, ok))
		}
		seen[s.SpanID()] = true
	}
	return out
}

func (p *packer) measureSpan(s *spanstore.Span, u spanstore.Usage, used bool) measuredSpan {
	out := measuredSpan{SpanID: hexSpan(s.SpanID()), Children: s.ChildSpanCount}
	if !used {
		return out
	}
	out.Measured, out.Samples, out.CPU, out.Late = true, u.Samples, u.CPU, u.LateSamples
	for _, st := range u.Stacks {
		out.Stacks = append(out.Stacks, stack{p.stack(st.Frames), st.Samples})
	}
	if u.Exact != nil {
		out.Exact = p.exact(u.Exact)
	}
	return out
}

func (p *packer) exact(e *spanstore.Exact) *exact {
	out := &exact{
		Start: nanosOf(e.Start), End: nanosOf(e.End), Running: e.Running, Goroutines: e.Goroutines,
		Stolen: e.Stolen, StolenLow: e.StolenLow, StolenHigh: e.StolenHigh,
	}
	for _, s := range e.Segments {
		x := segment{From: s.From, To: s.To, State: s.State, Stolen: s.Stolen}
		if s.Wait >= 0 {
			x.Wait = new(s.Wait)
		}
		out.Segments = append(out.Segments, x)
	}
	for _, w := range e.Waits {
		out.Waits = append(out.Waits, wait{w.State, w.Total, w.Count, p.stack(w.Stack), p.stack(w.Waker), hexSpan(w.WakerSpan)})
	}
	return out
}

// stack returns the positions of frames in the list of all.
func (p *packer) stack(frames []spanstore.Frame) []int {
	out := make([]int, len(frames))
	for i, f := range frames {
		at, ok := p.frames[f]
		if !ok {
			at = len(p.measured.Frames)
			p.frames[f], p.measured.Frames = at, append(p.measured.Frames, frame(f))
		}
		out[i] = at
	}
	return out
}
