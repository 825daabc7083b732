package spantest

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/spanclock/spanclock/profiler/stall"
)

// maxOutline is how many lines an outline of a failure has; those with marks are
// always there.
const maxOutline = 60

// shape says what an outline has.
type shape struct {
	times bool
	marks []Mark
	attrs []attribute.Key
}

// Outline returns the shape of the trace, a line for each span: names, kinds,
// nesting, failures, and the attributes of these keys; no times. Siblings that look
// the same stand on one line with their number.
func (t *Trace) Outline(attrs ...attribute.Key) string { return t.outline(shape{attrs: attrs}) }

func (t *Trace) outline(s shape) string {
	if !s.times {
		var b strings.Builder
		t.writeShape(&b, s)
		return b.String()
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	left := 0
	for i := range t.Nodes {
		n := &t.Nodes[i]
		notes := marksAt(s.marks, i)
		if i >= maxOutline && len(notes) == 0 {
			left++
			continue
		}
		mark, note := " ", ""
		if len(notes) > 0 {
			mark, note = ">", "<- "+strings.Join(notes, "; ")
		}
		fmt.Fprintf(w, "%s %s%s\t%s\tself %s\t%s\n", mark, strings.Repeat("  ", n.Depth), t.label(n, s), duration(n.Wall()), duration(n.Self), note)
	}
	w.Flush()
	if left > 0 {
		fmt.Fprintf(&b, "  … and %d more spans\n", left)
	}
	return trimLines(b.String())
}

// label is a span without its times.
func (t *Trace) label(n *stall.Node, s shape) string {
	parts := []string{n.Span.Name}
	if len(t.Services) > 1 {
		parts[0] = n.Span.Service() + ": " + parts[0]
	}
	if k := kindText(n.Span.Kind); k != "" {
		parts = append(parts, "("+k+")")
	}
	if n.Span.Status.Code == codes.Error {
		parts = append(parts, "failed")
	}
	for _, key := range s.attrs {
		if v, ok := n.Span.Attribute(key); ok {
			parts = append(parts, fmt.Sprintf("%s=%s", key, v.String()))
		}
	}
	return strings.ReplaceAll(strings.Join(parts, " "), "\n", `\n`)
}

// writeShape writes the tree without times. Those that overlap may end up in either
// order, so siblings are put in the order of their start only as far as one began
// when the other had ended; else by their text.
func (t *Trace) writeShape(b *strings.Builder, s shape) {
	children := map[int][]int{}
	for i := range t.Nodes {
		children[t.Nodes[i].Parent] = append(children[t.Nodes[i].Parent], i)
	}
	var text func(i, depth int) string
	list := func(nodes []int, depth int) string {
		var lines []string
		for _, group := range t.inOrder(nodes) {
			var texts []string
			for _, i := range group {
				texts = append(texts, text(i, depth))
			}
			slices.Sort(texts)
			lines = append(lines, texts...)
		}
		return counted(lines)
	}
	text = func(i, depth int) string {
		n := &t.Nodes[i]
		line := strings.Repeat("  ", depth) + t.label(n, s)
		if !n.Awaited {
			line += " (not awaited)"
		}
		return line + "\n" + list(children[i], depth+1)
	}
	b.WriteString(list(children[-1], 0))
}

// inOrder puts spans, which are sorted by start, into groups: a group begins when
// all before it had ended. What happens in one instant, as it does under fake time,
// has no order.
func (t *Trace) inOrder(nodes []int) (groups [][]int) {
	var from, until time.Duration // of the last group
	for _, i := range nodes {
		n := &t.Nodes[i]
		if len(groups) == 0 || n.Start >= until && n.Start > from {
			groups, from = append(groups, nil), n.Start
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], i)
		until = max(until, n.End)
	}
	return groups
}

// counted joins texts, where the same follows itself as one with its number.
func counted(texts []string) string {
	var b strings.Builder
	for i := 0; i < len(texts); {
		n := 1
		for i+n < len(texts) && texts[i+n] == texts[i] {
			n++
		}
		head, below, _ := strings.Cut(texts[i], "\n")
		if n > 1 {
			head += fmt.Sprintf(" ×%d", n)
		}
		b.WriteString(head + "\n" + below)
		i += n
	}
	return b.String()
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}

func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}
