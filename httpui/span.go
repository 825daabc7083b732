package httpui

import (
	"fmt"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// spanJSON is one span whole. Its events hide the number of events of the row.
type spanJSON struct {
	TraceID string `json:"trace_id"`
	rowJSON
	Start       string          `json:"start"`
	End         string          `json:"end"`
	Attributes  []attributeJSON `json:"attributes"`
	Resource    []attributeJSON `json:"resource"`
	Scope       scopeJSON       `json:"scope"`
	Events      []eventJSON     `json:"events"`
	Links       []linkJSON      `json:"links"`
	TraceState  string          `json:"trace_state"`
	Flags       int             `json:"flags"`
	Dropped     droppedJSON     `json:"dropped"`
	ChildCount  int             `json:"child_count"`
	LateSamples int             `json:"late_samples"`
	Stacks      []stackJSON     `json:"stacks"`
	Waits       []waitJSON      `json:"waits"`
	Goroutines  int             `json:"goroutines"` // that worked for the span; 0 is not known
	Pending     bool            `json:"pending"`
	Values      bool            `json:"values"`
}

type scopeJSON struct {
	Name       string          `json:"name"`
	Version    string          `json:"version"`
	SchemaURL  string          `json:"schema_url"`
	Attributes []attributeJSON `json:"attributes"`
}

type eventJSON struct {
	Name       string          `json:"name"`
	TimeNS     int64           `json:"time_ns"` // from the trace's start
	Attributes []attributeJSON `json:"attributes"`
	Dropped    int             `json:"dropped"`
}

type linkJSON struct {
	TraceID    string          `json:"trace_id"`
	SpanID     string          `json:"span_id"`
	TraceState string          `json:"trace_state"`
	Attributes []attributeJSON `json:"attributes"`
	Dropped    int             `json:"dropped"`
}

type droppedJSON struct {
	Attributes int `json:"attributes"`
	Events     int `json:"events"`
	Links      int `json:"links"`
}

type stackJSON struct {
	Frames  []frameJSON `json:"frames"` // leaf first
	Samples int         `json:"samples"`
}

// waitJSON is a place where the span was blocked, or waited for a CPU.
type waitJSON struct {
	State     string      `json:"state"`
	TotalNS   int64       `json:"total_ns"`
	Count     int         `json:"count"`
	Frames    []frameJSON `json:"frames"`     // where, leaf first
	Waker     []frameJSON `json:"waker"`      // where the goroutine was that ended the last of them
	WakerSpan string      `json:"waker_span"` // the span that it worked for, if any
}

type frameJSON struct {
	Func string `json:"func"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// serveSpan answers one span whole.
func (h *handler) serveSpan(w *response, id trace.TraceID, span trace.SpanID) {
	t := h.read(w, id)
	if t == nil {
		return
	}
	if !slices.ContainsFunc(t.Spans, func(s spanstore.Span) bool { return s.SpanID() == span }) {
		w.fail(failure{
			status: http.StatusNotFound,
			Error:  fmt.Sprintf("span %s is not in trace %s", span, id),
			Hint:   "It may not have ended yet, or the ring has evicted it while other spans of its trace are still there.",
		})
		return
	}
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	a := h.analyze(t)
	n := find(a, span)
	if w.form == formJSON {
		w.json(http.StatusOK, newSpan(a, n, w.values))
		return
	}
	w.text(http.StatusOK, spanText(newSpan(a, n, w.values), n))
}

// find returns the first span with the id: the one that its usage belongs to.
// The trace has one.
func find(a *stall.Analysis, id trace.SpanID) *stall.Node {
	i := slices.IndexFunc(a.Nodes, func(n stall.Node) bool { return n.Span.SpanID() == id })
	return &a.Nodes[i]
}

func newSpan(a *stall.Analysis, n *stall.Node, values bool) spanJSON {
	s := n.Span
	j := spanJSON{
		TraceID:    s.TraceID().String(),
		rowJSON:    newRow(a, n, values),
		Start:      formatTime(s.Start),
		End:        formatTime(s.End),
		Attributes: newAttributes(s.Attributes, values, ""),
		Resource:   newAttributes(resourceAttributes(s), values, "service.name"),
		Scope: scopeJSON{s.Scope.Name, s.Scope.Version, s.Scope.SchemaURL,
			newAttributes(s.Scope.Attributes.ToSlice(), values, "")},
		Events:      make([]eventJSON, len(s.Events)),
		Links:       make([]linkJSON, len(s.Links)),
		TraceState:  hide(s.SpanContext.TraceState().String(), values),
		Flags:       int(s.SpanContext.TraceFlags()),
		Dropped:     droppedJSON{s.DroppedAttributes, s.DroppedEvents, s.DroppedLinks},
		ChildCount:  s.ChildSpanCount,
		LateSamples: n.Usage.LateSamples,
		Stacks:      newStacks(n.Usage.Stacks),
		Waits:       []waitJSON{},
		Pending:     a.Pending,
		Values:      values,
	}
	if e := n.Usage.Exact; e != nil {
		j.Waits, j.Goroutines = newWaits(e.Waits), e.Goroutines
	}
	for i, e := range s.Events {
		j.Events[i] = eventJSON{e.Name, int64(e.Time.Sub(a.Start)), newAttributes(e.Attributes, values, ""), e.DroppedAttributeCount}
	}
	for i, l := range s.Links {
		j.Links[i] = newLink(l, values)
	}
	return j
}

func newLink(l sdktrace.Link, values bool) linkJSON {
	return linkJSON{
		TraceID:    l.SpanContext.TraceID().String(),
		SpanID:     l.SpanContext.SpanID().String(),
		TraceState: hide(l.SpanContext.TraceState().String(), values),
		Attributes: newAttributes(l.Attributes, values, ""),
		Dropped:    l.DroppedAttributeCount,
	}
}

func newStacks(stacks []spanstore.Stack) []stackJSON {
	list := make([]stackJSON, len(stacks))
	for i, s := range stacks {
		list[i] = stackJSON{newFrames(s.Frames), s.Samples}
	}
	return list
}

func newWaits(waits []spanstore.Wait) []waitJSON {
	list := make([]waitJSON, len(waits))
	for i, w := range waits {
		list[i] = waitJSON{State: w.State, TotalNS: int64(w.Total), Count: w.Count, Frames: newFrames(w.Stack), Waker: newFrames(w.Waker)}
		if w.WakerSpan.IsValid() {
			list[i].WakerSpan = w.WakerSpan.String()
		}
	}
	return list
}

func newFrames(frames []spanstore.Frame) []frameJSON {
	list := make([]frameJSON, len(frames))
	for i, f := range frames {
		list[i] = frameJSON{f.Func, f.File, f.Line}
	}
	return list
}

func resourceAttributes(s *spanstore.Span) []attribute.KeyValue {
	if s.Resource == nil {
		return nil
	}
	return s.Resource.Attributes()
}
