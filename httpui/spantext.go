package httpui

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// spanText is one span whole, as text.
func spanText(s spanJSON, n *stall.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", clip(escape(s.Name), 200), stall.FormatDuration(n.Wall()))
	fmt.Fprintf(&b, "%s UTC · %s · %s span · status %s", n.Span.Start.UTC().Format("2006-01-02 15:04:05.000000000"), escape(s.Service), s.Kind, s.Status)
	if s.StatusText != "" {
		b.WriteString(": " + escape(s.StatusText))
	}
	fmt.Fprintf(&b, "\nspan %s · parent %s · trace %s\n\n", s.SpanID, orNone(s.ParentID), s.TraceID)

	rows := [][]string{
		{"Wall", stall.FormatDuration(n.Wall()), ""},
		{"Self", stall.FormatDuration(n.Self), stall.FormatPercent(n.Self, n.Wall())},
		{"CPU", n.CPU.String(), strings.TrimSpace(cpuPercent(n.CPU, n.Wall()) + " " + evidenceText(n.CPU))},
	}
	if s.Children > 0 {
		rows = append(rows, []string{"CPU with children", n.TotalCPU.String(), evidenceText(n.TotalCPU)})
	}
	writeTable(&b, rows, "lrl")
	states := make([]string, len(n.States))
	for i, st := range n.States {
		states[i] = shareText(st, n.Wall())
	}
	if len(states) > 0 {
		b.WriteString("States: " + strings.Join(states, " · ") + exactText(n) + "\n")
	}
	if s.LateSamples > 0 {
		fmt.Fprintf(&b, "%s after the span had ended: work that it left behind, not counted above.\n", plural(s.LateSamples, "sample fell on it", "samples fell on it"))
	}

	writeAttributes(&b, "Attributes", s.Attributes, s.Dropped.Attributes)
	writeEvents(&b, s.Events, s.Dropped.Events)
	writeLinks(&b, s.Links, s.Dropped.Links)
	writeAttributes(&b, "Resource", s.Resource, 0)
	writeScope(&b, s)
	writeStacks(&b, s.Stacks)
	if e := n.Usage.Exact; e != nil {
		writeWaits(&b, e.Waits)
	}
	return b.String()
}

// exactText says for which part of the span its states are exact; nothing where that
// is all of it, or none.
func exactText(n *stall.Node) string {
	const edge = time.Millisecond // the execution trace's own notes are as far off on a busy machine
	e := n.Usage.Exact
	if e == nil || len(n.Timeline) == 0 {
		return ""
	}
	before, after := e.Start.Sub(n.Span.Start), n.Span.End.Sub(e.End)
	known := stall.FormatDuration(e.End.Sub(e.Start))
	switch {
	case before > edge && after > edge:
		return fmt.Sprintf(" (exact for %s of it, from %s on)", known, stall.FormatDuration(before))
	case before > edge:
		return fmt.Sprintf(" (exact for the last %s)", known)
	case after > edge:
		return fmt.Sprintf(" (exact for the first %s)", known)
	}
	return ""
}

func orNone(id string) string {
	if id == "" {
		return "none"
	}
	return id
}

func evidenceText(c stall.CPU) string {
	s := string(c.Evidence)
	if c.Evidence == stall.Sampled {
		s = plural(c.Samples, "sample", "samples")
	}
	if c.Reason != "" {
		s += "; " + escape(c.Reason)
	}
	return s
}

func writeAttributes(b *strings.Builder, title string, list []attributeJSON, dropped int) {
	if len(list) == 0 && dropped == 0 {
		return
	}
	b.WriteString("\n" + title + droppedText(dropped) + "\n")
	writeValues(b, "  ", list)
}

// writeValues writes one attribute a line, and the further lines of a value that
// has several, such as a stack trace, below it.
func writeValues(b *strings.Builder, indent string, list []attributeJSON) {
	for _, a := range list {
		lines := strings.Split(strings.TrimRight(valueText(a.Value), "\n"), "\n")
		fmt.Fprintf(b, "%s%s = %s\n", indent, escape(a.Key), escape(lines[0]))
		for _, l := range lines[1:] {
			fmt.Fprintf(b, "%s  | %s\n", indent, escape(strings.ReplaceAll(l, "\t", "    ")))
		}
	}
}

func valueText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	j, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(j)
}

func droppedText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d dropped by the SDK's limits)", n)
}

func writeEvents(b *strings.Builder, events []eventJSON, dropped int) {
	if len(events) == 0 && dropped == 0 {
		return
	}
	b.WriteString("\nEvents" + droppedText(dropped) + "\n")
	for _, e := range events {
		fmt.Fprintf(b, "  %s  %s%s\n", stall.FormatDuration(time.Duration(e.TimeNS)), escape(e.Name), droppedText(e.Dropped))
		writeValues(b, "    ", e.Attributes)
	}
}

func writeLinks(b *strings.Builder, links []linkJSON, dropped int) {
	if len(links) == 0 && dropped == 0 {
		return
	}
	b.WriteString("\nLinks" + droppedText(dropped) + "\n")
	for _, l := range links {
		fmt.Fprintf(b, "  trace %s span %s %s%s\n", l.TraceID, l.SpanID, escape(l.TraceState), droppedText(l.Dropped))
		writeValues(b, "    ", l.Attributes)
	}
}

func writeScope(b *strings.Builder, s spanJSON) {
	fmt.Fprintf(b, "\nScope %s %s\n", escape(s.Scope.Name), escape(s.Scope.Version))
	writeValues(b, "  ", s.Scope.Attributes)
	if s.TraceState != "" {
		b.WriteString("Trace state " + escape(s.TraceState) + "\n")
	}
}

func writeStacks(b *strings.Builder, stacks []stackJSON) {
	if len(stacks) == 0 {
		return
	}
	b.WriteString("\nCPU in this span, most frequent stacks first, leaf first\n")
	for _, s := range stacks {
		b.WriteString("  " + plural(s.Samples, "sample", "samples") + "\n")
		for _, f := range s.Frames {
			writeFrame(b, f.Func, f.File, f.Line)
		}
	}
}

func writeFrame(b *strings.Builder, function, file string, line int) {
	fmt.Fprintf(b, "    %s  %s\n", escape(function), escape(file+":"+strconv.Itoa(line)))
}

// writeWaits writes where the span waited, and who let it go on.
func writeWaits(b *strings.Builder, waits []spanstore.Wait) {
	if len(waits) == 0 {
		return
	}
	b.WriteString("\nWaiting in this span, the longest first, leaf first\n")
	for _, w := range waits {
		code := escape(w.State)
		if t, ok := stateText[stall.State(w.State)]; ok {
			code = t.code
		}
		fmt.Fprintf(b, "  %s %s, %s", code, stall.FormatDuration(w.Total), plural(w.Count, "time", "times"))
		if at := stall.Place(w.Waker); at != "" {
			b.WriteString("; it went on after " + escape(at))
		}
		if w.WakerSpan.IsValid() {
			b.WriteString(", in span " + w.WakerSpan.String())
		}
		b.WriteByte('\n')
		for _, f := range w.Stack {
			writeFrame(b, f.Func, f.File, f.Line)
		}
	}
}
