package spantest

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
)

// Selection says which spans of a trace a claim is about. What is claimed of
// several spans must hold for each of them, and there must be one at least, unless
// they are counted.
type Selection struct {
	text string
	is   func(t *Trace, i int) bool
}

// Span selects the spans of this name.
func Span(name string) Selection {
	return Selection{name, func(t *Trace, i int) bool { return t.Nodes[i].Span.Name == name }}
}

// Prefix selects the spans whose name begins so, as those of SELECT do.
func Prefix(name string) Selection {
	return Selection{name + "…", func(t *Trace, i int) bool { return strings.HasPrefix(t.Nodes[i].Span.Name, name) }}
}

// Root selects the trace's root.
func Root() Selection { return Selection{"the root", func(_ *Trace, i int) bool { return i == 0 }} }

// AnySpan selects all spans.
func AnySpan() Selection { return Selection{"any span", func(*Trace, int) bool { return true }} }

// Of selects those of s that belong to a service.
func (s Selection) Of(service string) Selection {
	return s.and("of "+service, func(t *Trace, i int) bool { return t.Nodes[i].Span.Service() == service })
}

// Kind selects those of s of a kind.
func (s Selection) Kind(k trace.SpanKind) Selection {
	return s.and("("+k.String()+")", func(t *Trace, i int) bool { return t.Nodes[i].Span.Kind == k })
}

// With selects those of s that have all these attributes.
func (s Selection) With(attrs ...attribute.KeyValue) Selection {
	return s.and("with "+attrsText(attrs), func(t *Trace, i int) bool { return hasAll(&t.Nodes[i], attrs) })
}

// Failed selects those of s whose status is Error.
func (s Selection) Failed() Selection {
	return s.and("that failed", func(t *Trace, i int) bool { return t.Nodes[i].Span.Status.Code == codes.Error })
}

// In selects those of s that are below a span of another selection, however deep.
func (s Selection) In(above Selection) Selection {
	return s.and("in "+above.text, func(t *Trace, i int) bool {
		for p := t.Nodes[i].Parent; p >= 0; p = t.Nodes[p].Parent {
			if above.is(t, p) {
				return true
			}
		}
		return false
	})
}

// Where selects those of s that meet a condition of the test's own; text says it.
func (s Selection) Where(text string, is func(*stall.Node) bool) Selection {
	return s.and(text, func(t *Trace, i int) bool { return is(&t.Nodes[i]) })
}

func (s Selection) and(text string, is func(t *Trace, i int) bool) Selection {
	return Selection{s.text + " " + text, func(t *Trace, i int) bool { return s.is(t, i) && is(t, i) }}
}

// String returns the selection in words.
func (s Selection) String() string { return s.text }

// in returns the positions of the selected spans in t.Nodes.
func (s Selection) in(t *Trace) (nodes []int) {
	for i := range t.Nodes {
		if s.is(t, i) {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// some is in for claims that need a span.
func (s Selection) some(t *Trace) ([]int, *Failure) {
	nodes := s.in(t)
	if len(nodes) == 0 {
		return nil, undecided("no span is selected by %q", s.text)
	}
	return nodes, nil
}

func hasAll(n *stall.Node, attrs []attribute.KeyValue) bool {
	for _, kv := range attrs {
		if v, ok := n.Span.Attribute(kv.Key); !ok || v.String() != kv.Value.String() || v.Type() != kv.Value.Type() {
			return false
		}
	}
	return true
}

func attrsText(attrs []attribute.KeyValue) string {
	var b strings.Builder
	for i, kv := range attrs {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%s", kv.Key, kv.Value.String())
	}
	return b.String()
}
