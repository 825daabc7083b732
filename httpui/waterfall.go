package httpui

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spanclock/spanclock/profiler/stall"
)

// Names of states in text, and the letter of a bar: capital on the critical
// path, small off it.
var stateText = map[stall.State]struct {
	code    string
	on, off byte
}{
	stall.StateCPU:      {"CPU", 'C', 'c'},
	stall.StateRunnable: {"RUNQ", 'R', 'r'},
	stall.StateSteal:    {"STEAL", 'T', 't'},
	stall.StateLock:     {"LOCK", 'L', 'l'},
	stall.StateChan:     {"CHAN", 'H', 'h'},
	stall.StateSelect:   {"SELECT", 'E', 'e'},
	stall.StateNet:      {"NET", 'N', 'n'},
	stall.StateSyscall:  {"SYS", 'Y', 'y'},
	stall.StateGCAssist: {"GC", 'G', 'g'},
	stall.StateSTW:      {"STW", 'W', 'w'},
	stall.StateSleep:    {"SLEEP", 'S', 's'},
	stall.StateOther:    {"OTHER", 'O', 'o'},
	stall.StateCovered:  {"children", '-', '-'},
	stall.StateUnknown:  {"unknown", '?', '.'},
}

const waterfallLegend = `
Bars: own time by state, where an execution trace tells, else by its main state:
      C CPU  R run queue  T descheduled  L lock  H channel  E select  N network  Y system call
      G GC assist  W world stopped  S sleep  O other  ? unknown  - awaited children
      capital on the critical path, small and . off it; ◆ its end alone decides when its parent ends.
CPU:  the span's own. ≈ estimate (interval) from samples, which have no position in the bar; < no sample fell
      on it, so less than that; ? no CPU profile covered it. NET? is inferred from the span's kind.
`

// traceText is one trace as text: what matters, the budget, the waterfall.
func traceText(a *stall.Analysis, width int, values bool) string {
	var b strings.Builder
	root := a.Nodes[0].Span
	fmt.Fprintf(&b, "%s  %s\n", clip(escape(root.Name), 100), stall.FormatDuration(a.Wall))
	fmt.Fprintf(&b, "%s UTC · %s · %s · trace %s\n", a.Start.UTC().Format("2006-01-02 15:04:05.000"),
		escape(strings.Join(a.Services, ", ")), plural(len(a.Nodes), "span", "spans"), a.Trace.ID)
	b.WriteString(escape(a.Headline.String()) + "\n")
	if len(a.Budget) > 0 {
		b.WriteString("Critical path: " + budgetText(a) + "\n")
	}
	for _, f := range a.Findings {
		b.WriteString("* " + escape(f.Text) + "\n")
	}
	for _, p := range a.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	b.WriteByte('\n')
	writeWaterfall(&b, a, width, values)
	b.WriteString(waterfallLegend)
	return b.String()
}

// budgetText is the budget of the critical path in one line.
func budgetText(a *stall.Analysis) string {
	parts := make([]string, len(a.Budget))
	for i, s := range a.Budget {
		parts[i] = shareText(s, a.Critical)
	}
	return strings.Join(parts, " · ")
}

// shareText is a share with its evidence: "CPU ≈ 60 ms (50–70) 43 %", "NET? 6.3 ms 5 %".
func shareText(s stall.Share, of time.Duration) string {
	code := stateText[s.State].code
	switch {
	case s.Evidence == stall.Sampled && s.Time == 0:
		return fmt.Sprintf("%s < %s", code, stall.FormatDuration(s.High))
	case s.Evidence == stall.Sampled:
		c := stall.CPU{Value: s.Time, Low: s.Low, High: s.High, Samples: 1, Evidence: s.Evidence}
		return fmt.Sprintf("%s %s %s", code, c, stall.FormatPercent(s.Time, of))
	case s.Evidence == stall.Inferred:
		code += "?"
	}
	return fmt.Sprintf("%s %s %s", code, stall.FormatDuration(s.Time), stall.FormatPercent(s.Time, of))
}

// writeWaterfall writes a line a span: its place in the tree, its figures, and
// in what is left of the width its bar.
func writeWaterfall(b *strings.Builder, a *stall.Analysis, width int, values bool) {
	const leastBar = 20
	nameWidth := max(20, width*3/8)
	rows := make([][]string, len(a.Nodes)+1)
	rows[0] = []string{"SPAN", "WALL", "CPU", "CPU %"}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		rows[i+1] = []string{
			clip(label(a, n, values), nameWidth), stall.FormatDuration(n.Wall()), n.CPU.String(), cpuPercent(n.CPU, n.Wall()),
		}
	}
	used := 0
	for column := range rows[0] {
		widest := 0
		for _, r := range rows {
			widest = max(widest, utf8.RuneCountInString(r[column]))
		}
		used += widest + 2
	}
	columns := max(leastBar, width-used)
	rows[0] = append(rows[0], scale(a.Extent, columns))
	for i := range a.Nodes {
		rows[i+1] = append(rows[i+1], bar(&a.Nodes[i], a.Extent, columns))
	}
	writeTable(b, rows, "lrrrl")
}

// label is a span's name in its place in the tree, with what is special about it.
func label(a *stall.Analysis, n *stall.Node, values bool) string {
	const deepest = 12 // levels that are shown by indentation
	indent := strings.Repeat("  ", min(n.Depth, deepest))
	if n.Depth > deepest {
		indent += fmt.Sprintf("[%d] ", n.Depth)
	}
	s := indent
	if statusName(n.Span.Status.Code) == "error" {
		s += "ERROR "
	}
	s += escape(n.Span.Name)
	if service := n.Span.Service(); service != "" && (n.Parent < 0 || a.Nodes[n.Parent].Span.Service() != service) {
		s += " [" + escape(service) + "]"
	}
	if !n.Awaited {
		s += " (not awaited)"
	}
	if d := detail(n.Span, values); d != "" {
		s += " " + escape(d)
	}
	return s
}

// scale is the line above the bars: where the time begins and ends.
func scale(extent time.Duration, columns int) string {
	end := stall.FormatDuration(extent)
	return "0" + strings.Repeat(" ", max(1, columns-1-utf8.RuneCountInString(end))) + end
}

// bar draws one span. Each column shows what took most of its time, so that
// nothing wins by being drawn last; a span too short for a column gets one.
func bar(n *stall.Node, extent time.Duration, columns int) string {
	kinds := parts(n)
	line := []byte(strings.Repeat(" ", columns))
	most := make([]float64, columns)
	per := max(1, float64(extent)/float64(columns))
	for _, k := range kinds {
		inColumn := make([]float64, columns)
		for _, s := range k.segments {
			share(inColumn, float64(s.From)/per, float64(s.To)/per)
		}
		for i, t := range inColumn {
			if t > most[i] {
				line[i], most[i] = k.letter, t
			}
		}
	}
	from := min(columns-1, int(float64(n.Start)/per))
	if n.Wall() == 0 {
		line[from] = '|'
	}
	drawn := strings.TrimRight(string(line), " ")
	if n.DecidesEnd {
		drawn += "◆"
	}
	return drawn
}

// share adds to each column how much of it lies between from and to.
func share(columns []float64, from, to float64) {
	for i := int(from); i < len(columns) && float64(i) < to; i++ {
		columns[i] += min(to, float64(i+1)) - max(from, float64(i))
	}
}

// part is what of a span is drawn with one letter.
type part struct {
	letter   byte
	segments []stall.Segment
}

// parts divides a span: its own time by state where an execution trace tells what
// it did when, and by the main state else, on the critical path and off it; and the
// time of its children.
func parts(n *stall.Node) (out []part) {
	add := func(state stall.State, segs []stall.Segment) {
		on, off := split(segs, n.Critical)
		out = append(out, part{stateText[state].on, on}, part{stateText[state].off, off})
	}
	if len(n.Timeline) == 0 {
		add(mainState(n), n.SelfSegments)
		return append(out, part{'-', n.CoveredSegments})
	}
	known := make([]stall.Segment, len(n.Timeline))
	byState := map[stall.State][]stall.Segment{}
	for i, s := range n.Timeline {
		known[i] = s.Segment
		byState[s.State] = append(byState[s.State], s.Segment)
	}
	for _, state := range slices.Sorted(maps.Keys(byState)) {
		add(state, byState[state])
	}
	_, rest := split(n.SelfSegments, known)
	add(stall.StateUnknown, rest)
	return append(out, part{'-', n.CoveredSegments})
}

// split returns the parts of segs that lie in those of cut, and those that do not.
// Both are sorted and without overlap.
func split(segs, cut []stall.Segment) (in, out []stall.Segment) {
	for _, s := range segs {
		for len(cut) > 0 && cut[0].To <= s.From {
			cut = cut[1:]
		}
		for i := 0; i < len(cut) && cut[i].From < s.To; i++ {
			if s.From < cut[i].From {
				out = append(out, stall.Segment{From: s.From, To: cut[i].From})
			}
			in = append(in, stall.Segment{From: max(s.From, cut[i].From), To: min(s.To, cut[i].To)})
			s.From = min(s.To, cut[i].To)
		}
		if s.From < s.To {
			out = append(out, s)
		}
	}
	return in, out
}

// mainState is what a span did for most of its own time.
func mainState(n *stall.Node) stall.State {
	state, most := stall.StateUnknown, time.Duration(0)
	for _, s := range n.States {
		if s.State != stall.StateCovered && s.Time > most {
			state, most = s.State, s.Time
		}
	}
	return state
}
