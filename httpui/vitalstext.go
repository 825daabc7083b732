package httpui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// vitalsText is the health as lines of a name and a figure, in groups.
func vitalsText(v vitalsJSON) string {
	var b strings.Builder
	for _, p := range v.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	group := func(title string, rows ...[]string) {
		b.WriteString(title + "\n")
		rows = slices.DeleteFunc(rows, func(r []string) bool { return r[1] == "" })
		for i := range rows {
			rows[i] = []string{"  " + rows[i][0], escape(rows[i][1])}
		}
		writeTable(&b, rows, "ll")
		b.WriteByte('\n')
	}
	group("build", []string{"main", v.Build.Main}, []string{"revision", v.Build.Revision}, []string{"spanclock", v.Build.Spanclock},
		[]string{"go", fmt.Sprintf("%s %s/%s, GOMAXPROCS %d", v.Build.Go, v.Build.OS, v.Build.Arch, v.Build.GOMAXPROCS)},
		[]string{"store format", strconv.Itoa(v.Build.Format)})
	if v.Store.Open {
		group("store", ringRows(v)...)
	} else {
		b.WriteString("store\n  " + strings.ReplaceAll(v.Store.nothing(false), "\n", "\n  ") + "\n\n")
	}
	group("profiler", profilerRows(v)...)
	for _, m := range v.Signals.Missing {
		b.WriteString("signal missing: " + escape(m) + "\n")
	}
	return b.String()
}

func ringRows(v vitalsJSON) [][]string {
	r, s := v.Ring, v.Store
	where := r.Dir
	if s.InMemory {
		where = "in memory"
	}
	rows := [][]string{
		{"directory", where},
		{"bytes", mebibytes(s.Bytes) + " of " + mebibytes(s.MaxBytes) + percentOf(s.Bytes, s.MaxBytes)},
		{"memory", mebibytes(r.MemoryBytes) + " of " + mebibytes(r.MaxMemory) + percentOf(r.MemoryBytes, r.MaxMemory)},
		{"spans", fmt.Sprintf("%d in %s and %s", s.Spans, plural(int(r.Blocks), "block", "blocks"), plural(r.Segments, "segment", "segments"))},
		{"oldest", shortTime(r.Oldest)},
		{"came in", fmt.Sprintf("%d, of these durable %d, queued %d", r.Accepted, r.Durable, r.Queued)},
		{"dropped", fmt.Sprintf("%d: queue full %d, disk %d, not encodable %d, after Close %d", s.Dropped, r.Dropped["queue"], r.Dropped["disk"], r.Dropped["broken"], r.Dropped["closed"])},
		{"evicted", fmt.Sprintf("%s in %s", plural(int(s.EvictedSpans), "span", "spans"), plural(int(r.EvictedSegments), "segment", "segments"))},
		{"kept", fmt.Sprintf("%s, %s, %s", plural(r.KeptTraces, "trace", "traces"), plural(int(r.KeptSpans), "span", "spans"), mebibytes(r.KeptBytes))},
		{"lost to damage", fmt.Sprintf("%d; set aside %s, %s", r.Lost, plural(int(r.DamagedSegments), "segment", "segments"), mebibytes(r.DamagedBytes))},
		{"clipped", fmt.Sprintf("%d; redaction failed %d, usage dropped %d", r.Clipped, r.RedactFailed, r.UsageDropped)},
		{"written", fmt.Sprintf("%s in %s", mebibytes(r.WrittenBytes), plural(int(r.Commits), "commit", "commits"))},
		{"last error", s.LastError},
	}
	if e := r.LastEviction; e != nil {
		rows = append(rows, []string{"last eviction", shortTime(e.When) + ": " + e.Why})
	}
	return rows
}

func profilerRows(v vitalsJSON) [][]string {
	p, s := v.Profiler, v.Sampling
	rows := [][]string{{"state", p.State}}
	if p.Covered != nil {
		rows = append(rows, []string{"covered", fmt.Sprintf("%.1f %% of the time; %s lost between windows, %s in holes", 100**p.Covered, nanos(s.LostNS), nanos(s.MissedNS))})
	}
	if g := p.Governor; g != nil {
		rows = append(rows,
			[]string{"own CPU", fmt.Sprintf("%.2f %% of a budget of %.2g %%; profiler %s, store %s since the start", 100*g.Cost, 100*g.Budget, nanos(g.ProfilerCPU), nanos(g.StoreCPU))},
			[]string{"governor", strings.TrimSuffix(g.Level+": "+g.Why, ": ")})
	}
	if x := p.Exact; x != nil {
		state := "armed"
		if !x.Armed {
			state = "not armed: " + x.Why
		}
		rows = append(rows, []string{"exact states", fmt.Sprintf("%s; of %d slow requests %d captured, %d missed", state, x.Slow, x.Captured, x.Missed)})
	}
	if v.Profiler.Running || s.Windows > 0 {
		rows = append(rows,
			[]string{"samples", fmt.Sprintf("%d in %s: %d on spans, %d late, %d unattributed, %d our own", s.Samples, plural(int(s.Windows), "window", "windows"), s.Labeled, s.Late, s.Unattributed, s.Own)},
			[]string{"in flight", fmt.Sprintf("%s; %d had to make room, %d were too old", plural(s.LiveSpans, "span", "spans"), s.DroppedSpans, s.AgedSpans)},
			[]string{"signals", strings.Join(v.Signals.Known, " ")})
	}
	return append(rows, []string{"last error", s.LastError})
}

func percentOf(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%.0f %%)", 100*float64(part)/float64(whole))
}
