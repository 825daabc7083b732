package httpui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spanclock/spanclock/httpui/internal/text"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

const (
	flameBar  = 20 // letters
	flameRows = 15 // stacks of either kind
)

// flameText is where time went as tables: the groups, then the stacks with the most
// time.
func flameText(f flameJSON, width int) string {
	var b strings.Builder
	what := map[string][2]string{"name": {"operation", "operations"}, "route": {"route", "routes"}, "build": {"operation in one build", "operations, builds apart"}}[f.By]
	fmt.Fprintf(&b, "%s\n", plural(len(f.Groups), what[0], what[1]))
	for _, p := range f.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	if len(f.Groups) == 0 {
		b.WriteString("\nNo span matches.\n")
		return b.String()
	}
	b.WriteByte('\n')
	writeGroups(&b, f, width)
	b.WriteString(flameLegend(f.Groups))
	writeFlameStacks(&b, f, "wait", "\nWaiting, the most first\n", width)
	writeFlameStacks(&b, f, "cpu", "\nOn CPU, the most first\n", width)
	return b.String()
}

func writeGroups(b *strings.Builder, f flameJSON, width int) {
	rows := [][]string{{"SERVICE", "NAME", "SPANS", "WALL", "CPU", "EXACT", "STATES (MEAN)", "", "P99", "STATES BEYOND P99", ""}}
	align := "llrrrrllrll"
	if f.By == "build" {
		rows[0] = append(rows[0], "BUILD")
		align += "l"
	}
	for _, g := range f.Groups {
		cpu := stall.CPU{Value: time.Duration(g.CPUNS), Low: time.Duration(g.LowNS), High: time.Duration(g.HighNS), Samples: g.Samples, Evidence: g.Evidence}
		row := []string{
			clip(escape(g.Service), 30), clip(escape(g.Name), 40), strconv.Itoa(g.Spans), stall.FormatDuration(time.Duration(g.WallNS)), cpu.String(), blankZero(g.ExactSpans),
			stateBar(g.States), mostStates(g.States, 3), stall.FormatDuration(time.Duration(g.P99WallNS)), stateBar(g.P99States), mostStates(g.P99States, 2),
		}
		if f.By == "build" {
			row = append(row, clip(escape(g.Revision), 16))
		}
		rows = append(rows, row)
	}
	writeTableWithin(b, width, rows, align, text.Give{Column: 10}, text.Give{Column: 9}, text.Give{Column: 7}, text.Give{Column: 8},
		text.Give{Column: 1, Least: 16}, text.Give{Column: 0, Least: 8}, text.Give{Column: 5}, text.Give{Column: 1, Least: 10})
}

// byTime orders states, CPU first, then the greatest.
func byTime(states map[stall.State]int64) []stall.State {
	return slices.SortedFunc(maps.Keys(states), func(a, b stall.State) int {
		switch stall.StateCPU {
		case a:
			return -1
		case b:
			return 1
		}
		return cmp.Or(cmp.Compare(states[b], states[a]), cmp.Compare(a, b))
	})
}

// stateBar draws shares as letters, twenty in all.
func stateBar(states map[stall.State]int64) string {
	var all, at int64
	for _, ns := range states {
		all += ns
	}
	if all == 0 {
		return ""
	}
	var b strings.Builder
	for _, s := range byTime(states) {
		at += states[s]
		for until := (at*flameBar + all/2) / all; int64(b.Len()) < until; {
			b.WriteByte(letterOf(s))
		}
	}
	return b.String()
}

func letterOf(s stall.State) byte {
	if t, ok := stateText[s]; ok {
		return t.on
	}
	return stateText[stall.StateOther].on
}

// mostStates names the n greatest shares with their times.
func mostStates(states map[stall.State]int64, n int) string {
	order := slices.SortedFunc(maps.Keys(states), func(a, b stall.State) int {
		return cmp.Or(cmp.Compare(states[b], states[a]), cmp.Compare(a, b))
	})
	words := make([]string, 0, n)
	for _, s := range order[:min(n, len(order))] {
		words = append(words, fmt.Sprintf("%c %s", letterOf(s), stall.FormatDuration(time.Duration(states[s]))))
	}
	return strings.Join(words, ", ")
}

// flameLegend explains the letters that were used.
func flameLegend(groups []flameGroupJSON) string {
	used := map[stall.State]int64{}
	exact := false
	for _, g := range groups {
		exact = exact || g.ExactSpans > 0
		for _, states := range []map[stall.State]int64{g.States, g.P99States} {
			for s := range states {
				used[s] = 1
			}
		}
	}
	if !exact {
		return "\nWALL and CPU are means. No span has exact states: profiler.Options.Exact takes them of slow requests; of a route C is CPU time, ? the rest.\n"
	}
	words := []string{}
	for _, s := range byTime(used) {
		if t, ok := stateText[s]; ok {
			words = append(words, fmt.Sprintf("%c %s", t.on, t.code))
		}
	}
	return "\nWALL and CPU are means of all spans, states those of the EXACT ones, which slow ones are likelier to be among (of a route without any, CPU time and the rest).\n" +
		"States: " + strings.Join(words, ", ") + ". STEAL is an estimate.\n"
}

// flameSpot is where the time of stacks goes, as far as a line of text tells them
// apart.
type flameSpot struct {
	group        int
	state, where string
}

// writeFlameStacks writes where a kind of stack has the most time.
func writeFlameStacks(b *strings.Builder, f flameJSON, kind, title string, width int) {
	var order []flameSpot
	sums := map[flameSpot]flameStackJSON{}
	for _, s := range f.Stacks {
		if s.Kind != kind {
			continue
		}
		at := flameSpot{s.Group, string(s.State), f.where(s)}
		sum, known := sums[at]
		if !known {
			order = append(order, at)
		}
		sum.NS, sum.Count = sum.NS+s.NS, sum.Count+s.Count
		sums[at] = sum
	}
	slices.SortStableFunc(order, func(x, y flameSpot) int { return cmp.Compare(sums[y].NS, sums[x].NS) })
	rows := [][]string{{"TIME", "COUNT", "STATE", "NAME", "WHERE"}}
	for _, at := range order[:min(len(order), flameRows)] {
		code := at.state
		if t, ok := stateText[stall.State(code)]; ok {
			code = t.code
		}
		rows = append(rows, []string{
			stall.FormatDuration(time.Duration(sums[at].NS)), strconv.Itoa(sums[at].Count), escape(code), clip(escape(f.Groups[at.group].Name), 40), escape(at.where),
		})
	}
	if len(rows) > 1 {
		b.WriteString(title)
		writeTableWithin(b, width, rows, "rrlll", text.Give{Column: 4, Least: 30}, text.Give{Column: 3, Least: 16}, text.Give{Column: 4, Least: 20})
	}
}

// where names a stack's place; what computes does so on many lines.
func (f *flameJSON) where(s flameStackJSON) string {
	frames := make([]spanstore.Frame, len(s.Frames))
	for i, n := range s.Frames {
		frames[i] = spanstore.Frame{Func: f.Frames[n].Func, File: f.Frames[n].File, Line: f.Frames[n].Line}
		if s.Kind == "cpu" {
			frames[i].File = ""
		}
	}
	return stall.Place(frames)
}
