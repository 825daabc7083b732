package export

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// pprofWriter adds the stacks of traces up.
type pprofWriter struct {
	w         io.Writer
	p         *profile.Profile
	functions map[functionKey]*profile.Function
	locations map[spanstore.Frame]*profile.Location
	end       time.Time
}

type functionKey struct{ name, file string }

// The values of a sample.
const (
	samplesValue = iota
	cpuValue
	waitValue
	values
)

func newPprofWriter(w io.Writer) *pprofWriter {
	return &pprofWriter{
		w: w,
		p: &profile.Profile{
			SampleType:        []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}, {Type: "wait", Unit: "nanoseconds"}},
			DefaultSampleType: "cpu",
			PeriodType:        &profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
			Comments:          []string{"CPU time and waiting of spans, by spanclock; wait is there for spans with exact states only"},
		},
		functions: map[functionKey]*profile.Function{},
		locations: map[spanstore.Frame]*profile.Location{},
	}
}

func (p *pprofWriter) Add(t *spanstore.Trace) error {
	a := stall.Analyze(t)
	p.cover(a)
	for _, w := range t.Windows {
		p.p.Period = max(p.p.Period, int64(w.Period))
	}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		labels := spanLabels(a, i)
		p.cpu(n, labels)
		p.waits(n, labels)
	}
	return nil
}

// cover notes the time that the profile is of.
func (p *pprofWriter) cover(a *stall.Analysis) {
	start, end := a.Start, a.Start.Add(a.Extent)
	if p.p.TimeNanos == 0 || start.UnixNano() < p.p.TimeNanos {
		p.p.TimeNanos = start.UnixNano()
	}
	if end.After(p.end) {
		p.end = end
	}
}

// Close writes the profile.
func (p *pprofWriter) Close() error {
	if p.p.TimeNanos != 0 {
		p.p.DurationNanos = max(0, p.end.UnixNano()-p.p.TimeNanos)
	}
	if err := p.p.CheckValid(); err != nil {
		return fmt.Errorf("make a profile: %w", err)
	}
	if err := p.p.Write(p.w); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return nil
}

func spanLabels(a *stall.Analysis, i int) map[string][]string {
	s := a.Nodes[i].Span
	labels := map[string][]string{
		"span_name": {s.Name}, "span_id": {s.SpanID().String()}, "trace_id": {s.TraceID().String()}, "route": {route(a, i)},
	}
	if service := s.Service(); service != "" {
		labels["service"] = []string{service}
	}
	for k := range labels {
		labels[k][0] = valid(labels[k][0])
	}
	return labels
}

// route is the name of the local root that a span belongs to.
func route(a *stall.Analysis, i int) string {
	for !a.Nodes[i].Span.LocalRoot() && a.Nodes[i].Parent >= 0 {
		i = a.Nodes[i].Parent
	}
	return a.Nodes[i].Span.Name
}

// cpu adds the sampled stacks of a span. Each stands for its share of the span's CPU
// time; what no stack was kept of is added without.
func (p *pprofWriter) cpu(n *stall.Node, labels map[string][]string) {
	u := &n.Usage
	rest, restCPU := int64(u.Samples), int64(u.CPU)
	for _, st := range u.Stacks {
		if st.Samples <= 0 || u.Samples <= 0 {
			continue
		}
		cpu := int64(float64(u.CPU) * float64(st.Samples) / float64(u.Samples))
		p.add(st.Frames, labels, int64(st.Samples), cpu, 0)
		rest, restCPU = rest-int64(st.Samples), restCPU-cpu
	}
	if rest > 0 {
		p.add([]spanstore.Frame{{Func: "(no stack)"}}, labels, rest, max(0, restCPU), 0)
	}
}

func (p *pprofWriter) waits(n *stall.Node, labels map[string][]string) {
	if n.Usage.Exact == nil {
		return
	}
	for _, w := range n.Usage.Exact.Waits {
		if w.Total <= 0 {
			continue
		}
		own := maps.Clone(labels)
		own["state"] = []string{w.State}
		frames := w.Stack
		if len(frames) == 0 {
			frames = []spanstore.Frame{{Func: "(no stack)"}}
		}
		p.add(frames, own, 0, 0, int64(w.Total))
	}
}

func (p *pprofWriter) add(frames []spanstore.Frame, labels map[string][]string, samples, cpu, wait int64) {
	s := &profile.Sample{Value: make([]int64, values), Label: labels}
	s.Value[samplesValue], s.Value[cpuValue], s.Value[waitValue] = samples, cpu, wait
	for _, f := range frames {
		s.Location = append(s.Location, p.location(f))
	}
	p.p.Sample = append(p.p.Sample, s)
}

func (p *pprofWriter) location(f spanstore.Frame) *profile.Location {
	if l := p.locations[f]; l != nil {
		return l
	}
	key := functionKey{f.Func, f.File}
	fn := p.functions[key]
	if fn == nil {
		fn = &profile.Function{ID: uint64(len(p.p.Function) + 1), Name: valid(f.Func), SystemName: valid(f.Func), Filename: valid(f.File)}
		p.functions[key], p.p.Function = fn, append(p.p.Function, fn)
	}
	l := &profile.Location{ID: uint64(len(p.p.Location) + 1), Line: []profile.Line{{Function: fn, Line: int64(f.Line)}}}
	p.locations[f], p.p.Location = l, append(p.p.Location, l)
	return l
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
