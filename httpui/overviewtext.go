package httpui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spanclock/spanclock/httpui/internal/text"
	"github.com/spanclock/spanclock/profiler/stall"
)

// overviewText is the overview as tables.
func overviewText(o *overviewJSON, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s UTC · %s\n", shortTime(o.From), shortTime(o.To), o.Store.line())
	if o.Widened {
		b.WriteString("Nothing in the time asked for: this is all that the store has.\n")
	}
	for _, p := range o.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	if len(o.Operations) == 0 {
		b.WriteString("\n" + o.Store.nothing(o.Store.Spans > 0) + "\n")
		return b.String()
	}
	counts := make([]int, len(o.Series))
	for i, s := range o.Series {
		counts[i] = s.Count
	}
	fmt.Fprintf(&b, "requests %s  each %s\n\n", sparkline(counts), stall.FormatDuration(time.Duration(o.StepNS)))
	writeOperations(&b, "SERVICE", o.Services, o, width)
	b.WriteByte('\n')
	writeOperations(&b, "OPERATION", o.Operations, o, width)
	if len(o.Slowest) > 0 {
		b.WriteString("\nSlowest\n")
		rows := [][]string{{"WALL", "START (UTC)", "SERVICE", "OPERATION", "TRACE"}}
		for _, s := range o.Slowest {
			rows = append(rows, []string{nanos(s.WallNS), shortTime(s.Start), clip(escape(s.Service), 30), clip(escape(s.Name), 50), s.TraceID})
		}
		writeTableWithin(&b, width, rows, "rllll", text.Give{Column: 3, Least: 16}, text.Give{Column: 2}, text.Give{Column: 3, Least: 8})
	}
	fmt.Fprintf(&b, "\nCPU/REQ, STATES and ERRORS' codes are of the newest %s, and of as many that failed.\n", plural(o.Sampled, "trace", "traces"))
	b.WriteString("Other times: ?last=15m, ?last=all, ?from=&to=. One service: ?service=.\n")
	return b.String()
}

func writeOperations(b *strings.Builder, title string, list []operationJSON, o *overviewJSON, width int) {
	rows := [][]string{{title, "COUNT", "RATE", "ERRORS", "P50", "P95", "P99", "MAX", "CPU/REQ", "STATES"}}
	seconds := float64(o.StepNS) * float64(len(o.Series)) / 1e9
	for _, op := range list {
		name := op.Service
		if op.Name != "" {
			name += " " + op.Name
		}
		cpu, states := "", ""
		if r := op.Request; r != nil {
			c := stall.CPU{Value: time.Duration(r.NS), Low: time.Duration(r.LowNS), High: time.Duration(r.HighNS), Samples: r.Samples, Evidence: r.Evidence}
			cpu, states = c.String(), statesText(r.States)
		}
		errors := blankZero(op.Errors)
		if len(op.Codes) > 0 {
			errors += " (" + clip(escape(op.Codes[0].Code), 20) + ")"
		}
		rows = append(rows, []string{
			clip(escape(name), max(20, width/3)), strconv.Itoa(op.Count), rate(float64(op.Count) / max(seconds, 1e-9)), errors,
			nanos(op.P50NS), nanos(op.P95NS), nanos(op.P99NS), nanos(op.MaxNS), cpu, states,
		})
	}
	writeTableWithin(b, width, rows, "lrrrrrrrll", text.Give{Column: 9, Least: 24}, text.Give{Column: 0, Least: 26}, text.Give{Column: 9},
		text.Give{Column: 7}, text.Give{Column: 3, Least: 9}, text.Give{Column: 5}, text.Give{Column: 2}, text.Give{Column: 0, Least: 16})
}

func nanos(ns int64) string { return stall.FormatDuration(time.Duration(ns)) }

// rate gives a number of requests in a second, or a minute when they are few.
func rate(perSecond float64) string {
	if perSecond < 0.995 {
		return strconv.FormatFloat(perSecond*60, 'f', 1, 64) + "/min"
	}
	return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
}

// statesText gives the largest states as shares: net 71 %, cpu 20 %.
func statesText(states map[stall.State]int64) string {
	type part struct {
		state stall.State
		ns    int64
	}
	var parts []part
	all := int64(0)
	for s, ns := range states {
		parts, all = append(parts, part{s, ns}), all+ns
	}
	slices.SortFunc(parts, func(a, b part) int {
		if a.ns != b.ns {
			return int(max(-1, min(1, b.ns-a.ns)))
		}
		return strings.Compare(string(a.state), string(b.state))
	})
	var words []string
	for _, p := range parts[:min(len(parts), 3)] {
		if p.ns > 0 {
			words = append(words, string(p.state)+" "+stall.FormatPercent(time.Duration(p.ns), time.Duration(all)))
		}
	}
	return strings.Join(words, ", ")
}

var blocks = []rune("▁▂▃▄▅▆▇█")

// sparkline draws counts in one line; what is nothing stays blank.
func sparkline(counts []int) string {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	line := make([]rune, len(counts))
	for i, n := range counts {
		line[i] = ' '
		if n > 0 {
			line[i] = blocks[(n*len(blocks)-1)/most]
		}
	}
	return string(line)
}
