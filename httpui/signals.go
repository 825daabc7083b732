package httpui

import (
	"fmt"
	"time"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// signalsJSON are the figures of the process in one stretch of a trace's time.
type signalsJSON struct {
	StartNS int64            `json:"start_ns"`
	EndNS   int64            `json:"end_ns"`
	Values  map[string]int64 `json:"values"`
}

// maxSignals is how many stretches an answer has at most: more than a drawing has
// pixels for. Neighbours are joined to get there.
const maxSignals = 600

func newSignals(all []spanstore.Signals, start time.Time) []signalsJSON {
	out := []signalsJSON{}
	each := (len(all) + maxSignals - 1) / maxSignals
	for i := 0; i < len(all); i += each {
		j := signalsJSON{StartNS: int64(all[i].Start.Sub(start)), Values: map[string]int64{}}
		for _, s := range all[i:min(i+each, len(all))] {
			j.EndNS = int64(s.End.Sub(start))
			join(j.Values, s.Values)
		}
		out = append(out, j)
	}
	return out
}

// join adds the figures of one stretch to those of the one before: sums of what
// adds up, the greatest of what does not.
func join(to, from map[string]int64) {
	for name, v := range from {
		switch name {
		case profiler.SignalRunnable, profiler.SignalGoroutines, profiler.SignalThreads, profiler.SignalGCPauseMax:
			to[name] = max(to[name], v)
		default:
			to[name] += v
		}
	}
}

// governorJSON is what the profiler's background work costs, and what follows.
type governorJSON struct {
	Level       string  `json:"level"`
	Why         string  `json:"why"`
	Since       string  `json:"since"`
	Budget      float64 `json:"budget"` // shares of the CPU time that the process may use
	Cost        float64 `json:"cost"`
	ProfilerCPU int64   `json:"profiler_cpu_ns"`
	StoreCPU    int64   `json:"store_cpu_ns"`
}

// newGovernor returns nil where there is no profiler.
func newGovernor(p *profiler.Profiler, st profiler.Stats) *governorJSON {
	if p == nil {
		return nil
	}
	g := st.Governor
	return &governorJSON{g.Level.String(), g.Why, formatTime(g.Since), g.Budget, g.Cost, int64(g.ProfilerCPU), int64(g.StoreCPU)}
}

// exactJSON is what the execution traces of slow requests gave. Why says why none are
// taken, when Armed is false. Share is that of the slow requests of which the exact
// states were stored, null while none was slow.
type exactJSON struct {
	Armed     bool     `json:"armed"`
	Why       string   `json:"why"`
	Slow      int64    `json:"slow"`
	Captured  int64    `json:"captured"`
	Missed    int64    `json:"missed"`
	Share     *float64 `json:"captured_share"`
	Spans     int64    `json:"spans"`
	Snapshots int64    `json:"snapshots"`
	LastBytes int64    `json:"last_bytes"`
	LastCPUNS int64    `json:"last_cpu_ns"`
	Events    float64  `json:"events_per_second"`
}

func newExact(p *profiler.Profiler, st profiler.Stats) *exactJSON {
	if p == nil {
		return nil
	}
	x := st.Exact
	j := &exactJSON{Armed: x.Armed, Why: x.Why, Slow: x.Slow, Captured: x.Captured, Missed: x.Missed, Spans: x.Spans,
		Snapshots: x.Snapshots, LastBytes: x.LastBytes, LastCPUNS: int64(x.LastCPU), Events: x.Events}
	if x.Slow > 0 {
		share := float64(x.Captured) / float64(x.Slow)
		j.Share = &share
	}
	return j
}

// line is the same as text, "" where there is no profiler.
func (x *exactJSON) line() string {
	if x == nil {
		return ""
	}
	s := " · exact states"
	if x.Slow > 0 {
		s += fmt.Sprintf(" of %d of %s", x.Captured, plural(int(x.Slow), "slow request", "slow requests"))
	}
	if !x.Armed {
		return s + ": off, " + escape(x.Why)
	}
	return s + ": on"
}
