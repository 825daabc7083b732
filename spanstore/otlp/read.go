package otlp

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// DefaultMaxBytes is Options.MaxBytes when that is zero: about 300,000 spans.
const DefaultMaxBytes = 256 << 20

// Options bound what Read takes. Nil and the zero value mean the defaults.
type Options struct {
	// MaxBytes is the largest input that is read; Read takes some five times
	// as much memory. Zero means DefaultMaxBytes.
	MaxBytes int64
}

// ErrTooLarge is returned by Read for an input of more than Options.MaxBytes.
var ErrTooLarge = errors.New("the input is too large")

// Read reads all traces of an input: one JSON object or several, one after the
// other. Traces are in the order in which they first appear, their spans as
// spanstore.Trace says. An input without a span gives no trace and no error.
func Read(r io.Reader, o *Options) ([]*spanstore.Trace, error) {
	most := int64(DefaultMaxBytes)
	if o != nil && o.MaxBytes > 0 {
		most = o.MaxBytes
	}
	limited := &io.LimitedReader{R: r, N: most + 1}
	d := json.NewDecoder(limited)
	u := unpacker{traces: map[trace.TraceID]*building{}}
	for n := 1; ; n++ {
		var req request
		err := d.Decode(&req)
		if limited.N <= 0 {
			return nil, fmt.Errorf("read OTLP JSON: %w: it has more than %d bytes", ErrTooLarge, most)
		}
		if err == io.EOF {
			return u.finish(), nil
		}
		if err == nil {
			err = u.request(&req)
		}
		if err != nil {
			return nil, fmt.Errorf("read OTLP JSON: object %d: %w", n, describe(err))
		}
	}
}

// describe makes sentences of encoding/json's errors that do without the names of Go types.
func describe(err error) error {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ):
		return fmt.Errorf("a JSON %s stands at %s, byte %d, where it cannot be", typ.Value, cmp.Or(typ.Field, "its top"), typ.Offset)
	case errors.As(err, &syntax):
		return fmt.Errorf("this is no JSON: %v, byte %d", err, syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON ends too soon")
	}
	return err
}

// unpacker makes traces of requests.
type unpacker struct {
	traces map[trace.TraceID]*building
	order  []*building
}

// building is a trace of which more may come.
type building struct {
	spanstore.Trace

	// open are the spans of which it is not known whether their parent is remote.
	open map[int]bool
}

func (u *unpacker) trace(id trace.TraceID) *building {
	b := u.traces[id]
	if b == nil {
		b = &building{open: map[int]bool{}}
		b.ID, b.Usage = id, map[trace.SpanID]spanstore.Usage{}
		u.traces[id], u.order = b, append(u.order, b)
	}
	return b
}

func (u *unpacker) request(req *request) error {
	for i, rs := range req.ResourceSpans {
		if rs == nil {
			continue
		}
		var res *resource.Resource
		if rs.Resource != nil {
			res = resource.NewWithAttributes(rs.SchemaURL, unpackAttributes(rs.Resource.Attributes, 0)...)
		}
		for k, ss := range rs.ScopeSpans {
			if ss == nil {
				continue
			}
			scope := instrumentation.Scope{
				Name: ss.Scope.Name, Version: ss.Scope.Version, SchemaURL: ss.SchemaURL,
				Attributes: attribute.NewSet(unpackAttributes(ss.Scope.Attributes, 0)...),
			}
			for n := range ss.Spans {
				if err := u.span(&ss.Spans[n], res, scope); err != nil {
					return fmt.Errorf("resourceSpans[%d].scopeSpans[%d].spans[%d].%w", i, k, n, err)
				}
			}
		}
	}
	return u.measured(req.Spanclock)
}

func (u *unpacker) span(in *span, res *resource.Resource, scope instrumentation.Scope) error {
	id, err := trace.TraceIDFromHex(strings.ToLower(in.TraceID))
	if err != nil {
		return fmt.Errorf("traceId: %.40q is not 32 hex digits, not all zero", in.TraceID)
	}
	own, err := trace.SpanIDFromHex(strings.ToLower(in.SpanID))
	if err != nil {
		return fmt.Errorf("spanId: %.40q is not 16 hex digits, not all zero", in.SpanID)
	}
	out := spanstore.Span{
		SpanContext: context(id, own, in.TraceState, in.Flags&^flagRemote),
		Name:        in.Name, Kind: trace.SpanKind(in.Kind), Start: in.Start.time(), End: in.End.time(),
		Attributes:        unpackAttributes(in.Attributes, 0),
		DroppedAttributes: int(in.DroppedAttributes), DroppedEvents: int(in.DroppedEvents), DroppedLinks: int(in.DroppedLinks),
		Status: unpackStatus(in.Status), Resource: res, Scope: scope,
	}
	for _, e := range in.Events {
		out.Events = append(out.Events, sdktrace.Event{
			Name: e.Name, Time: e.Time.time(), Attributes: unpackAttributes(e.Attributes, 0), DroppedAttributeCount: int(e.DroppedAttributes),
		})
	}
	for i, l := range in.Links {
		linked, err := optional(trace.TraceIDFromHex, l.TraceID)
		to, err2 := optional(trace.SpanIDFromHex, l.SpanID)
		if err != nil || err2 != nil {
			return fmt.Errorf("links[%d]: its ids are not 32 and 16 hex digits", i)
		}
		out.Links = append(out.Links, sdktrace.Link{
			SpanContext: context(linked, to, l.TraceState, l.Flags),
			Attributes:  unpackAttributes(l.Attributes, 0), DroppedAttributeCount: int(l.DroppedAttributes),
		})
	}
	parent, err := optional(trace.SpanIDFromHex, in.ParentSpanID)
	if err != nil {
		return fmt.Errorf("parentSpanId: %.40q is not 16 hex digits", in.ParentSpanID)
	}
	b := u.trace(id)
	if parent.IsValid() {
		out.Parent = context(id, parent, "", in.Flags)
		if in.Flags&flagRemoteKnown == 0 {
			b.open[len(b.Spans)] = true
		}
	}
	b.Spans = append(b.Spans, out)
	return nil
}

// optional reads an id that may be absent, or all zero, which says the same.
func optional[T any](read func(string) (T, error), text string) (id T, err error) {
	if strings.Trim(text, "0") == "" {
		return id, nil
	}
	return read(strings.ToLower(text))
}

// context makes a span context. A trace state that is none is left out.
func context(id trace.TraceID, span trace.SpanID, state string, flags count) trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.TraceFlags(flags), Remote: flags&flagRemote != 0}
	c.TraceState, _ = trace.ParseTraceState(state)
	return trace.NewSpanContext(c)
}

func unpackStatus(s status) sdktrace.Status {
	out := sdktrace.Status{Description: s.Message}
	switch s.Code {
	case codeOK:
		out.Code = codes.Ok
	case codeError:
		out.Code = codes.Error
	}
	return out
}

// finish puts each trace in order.
func (u *unpacker) finish() []*spanstore.Trace {
	out := make([]*spanstore.Trace, 0, len(u.order))
	for _, b := range u.order {
		t := &b.Trace
		if len(b.open) > 0 {
			remoteParents(t, func(i int) bool { return b.open[i] })
		}
		slices.SortStableFunc(t.Spans, func(x, y spanstore.Span) int {
			return cmp.Or(x.Start.Compare(y.Start), y.End.Compare(x.End))
		})
		slices.SortStableFunc(t.Windows, func(x, y spanstore.Window) int { return x.Start.Compare(y.Start) })
		slices.SortStableFunc(t.Signals, func(x, y spanstore.Signals) int { return x.Start.Compare(y.Start) })
		out = append(out, t)
	}
	return out
}

// RemoteParents decides which parents are remote, for spans from a format that does not
// say so.
func RemoteParents(t *spanstore.Trace) { remoteParents(t, func(int) bool { return true }) }

// remoteParents does so for those spans of which it is open.
func remoteParents(t *spanstore.Trace, open func(i int) bool) {
	resources := make(map[trace.SpanID]*resource.Resource, len(t.Spans))
	for i := range t.Spans {
		resources[t.Spans[i].SpanID()] = t.Spans[i].Resource
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Root() || !open(i) {
			continue
		}
		res, here := resources[s.Parent.SpanID()]
		entry := s.Kind == trace.SpanKindServer || s.Kind == trace.SpanKindConsumer
		s.Parent = s.Parent.WithRemote(here && !res.Equal(s.Resource) || !here && entry)
	}
}
