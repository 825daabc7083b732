package otlp

import (
	"encoding/json"
	"fmt"
	"io"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Write writes traces as one JSON object on one line. For more traces than should be
// in memory together it may be called for one after the other.
func Write(w io.Writer, traces ...*spanstore.Trace) error {
	b, err := Marshal(traces...)
	if err != nil {
		return err
	}
	if _, err = w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write OTLP JSON: %w", err)
	}
	return nil
}

// Marshal returns traces as one JSON object. A nil trace is left out.
func Marshal(traces ...*spanstore.Trace) ([]byte, error) {
	p := packer{
		resources: map[resourceKey]*resourceSpans{}, scopes: map[scopeKey]*scopeSpans{},
		measured: measured{Version: version}, frames: map[spanstore.Frame]int{},
	}
	p.out.ResourceSpans = []*resourceSpans{}
	for _, t := range traces {
		if t == nil {
			continue
		}
		for i := range t.Spans {
			group := p.group(t.Spans[i].Resource, &t.Spans[i].Scope)
			group.Spans = append(group.Spans, packSpan(&t.Spans[i]))
		}
		p.measured.Traces = append(p.measured.Traces, p.measure(t))
	}
	p.out.Spanclock = &p.measured
	b, err := json.Marshal(p.out)
	if err != nil {
		return nil, fmt.Errorf("encode OTLP JSON: %w", err)
	}
	return b, nil
}

// packer groups spans by resource and scope, and numbers stack frames.
type packer struct {
	out       request
	resources map[resourceKey]*resourceSpans
	scopes    map[scopeKey]*scopeSpans
	measured  measured
	frames    map[spanstore.Frame]int // positions in measured.Frames
}

type resourceKey struct {
	none       bool
	attributes attribute.Distinct
	url        string
}

type scopeKey struct {
	in                 resourceKey
	name, version, url string
	attributes         attribute.Distinct
}

// group returns the group of the spans of a resource and scope.
func (p *packer) group(res *resource.Resource, scope *instrumentation.Scope) *scopeSpans {
	in := resourceKey{none: res == nil}
	if res != nil {
		in.attributes, in.url = res.Equivalent(), res.SchemaURL()
	}
	key := scopeKey{in, scope.Name, scope.Version, scope.SchemaURL, scope.Attributes.Equivalent()}
	if g := p.scopes[key]; g != nil {
		return g
	}
	parent := p.resources[in]
	if parent == nil {
		parent = &resourceSpans{SchemaURL: in.url}
		if res != nil {
			parent.Resource = &resourceJSON{packAttributes(res.Attributes(), 0)}
		}
		p.resources[in], p.out.ResourceSpans = parent, append(p.out.ResourceSpans, parent)
	}
	g := &scopeSpans{
		Scope:     scopeJSON{scope.Name, scope.Version, packAttributes(scope.Attributes.ToSlice(), 0)},
		SchemaURL: scope.SchemaURL,
	}
	p.scopes[key], parent.ScopeSpans = g, append(parent.ScopeSpans, g)
	return g
}

func packSpan(s *spanstore.Span) span {
	out := span{
		TraceID: hexTrace(s.TraceID()), SpanID: hexSpan(s.SpanID()), ParentSpanID: hexSpan(s.Parent.SpanID()),
		TraceState: s.SpanContext.TraceState().String(),
		Flags:      packFlags(s.SpanContext.TraceFlags(), s.Parent.IsRemote()),
		Name:       s.Name, Kind: kind(s.Kind), Start: nanosOf(s.Start), End: nanosOf(s.End),
		Attributes: packAttributes(s.Attributes, 0), DroppedAttributes: countOf(s.DroppedAttributes),
		DroppedEvents: countOf(s.DroppedEvents), DroppedLinks: countOf(s.DroppedLinks),
		Status: packStatus(s.Status),
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, event{nanosOf(e.Time), e.Name, packAttributes(e.Attributes, 0), countOf(e.DroppedAttributeCount)})
	}
	for _, l := range s.Links {
		c := l.SpanContext
		out.Links = append(out.Links, link{
			TraceID: hexTrace(c.TraceID()), SpanID: hexSpan(c.SpanID()), TraceState: c.TraceState().String(),
			Attributes: packAttributes(l.Attributes, 0), DroppedAttributes: countOf(l.DroppedAttributeCount),
			Flags: packFlags(c.TraceFlags(), c.IsRemote()),
		})
	}
	return out
}

func packFlags(f trace.TraceFlags, remote bool) count {
	out := count(f) | flagRemoteKnown
	if remote {
		out |= flagRemote
	}
	return out
}

func packStatus(s sdktrace.Status) status {
	out := status{Message: s.Description}
	switch s.Code {
	case codes.Ok:
		out.Code = codeOK
	case codes.Error:
		out.Code = codeError
	}
	return out
}

// hexTrace and hexSpan are empty for an id of zeros, which is none.
func hexTrace(id trace.TraceID) string {
	if !id.IsValid() {
		return ""
	}
	return id.String()
}

func hexSpan(id trace.SpanID) string {
	if !id.IsValid() {
		return ""
	}
	return id.String()
}
