package export

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// traceEvent is an event of the Trace Event Format. Times are microseconds.
type traceEvent struct {
	Name     string         `json:"name"`
	Phase    string         `json:"ph"`
	Category string         `json:"cat,omitempty"`
	Time     float64        `json:"ts"`
	Duration *float64       `json:"dur,omitempty"`
	Process  int            `json:"pid"`
	Track    int            `json:"tid"`
	ID       int            `json:"id,omitempty"`
	Scope    string         `json:"s,omitempty"`  // of an instant
	Bind     string         `json:"bp,omitempty"` // of the end of an arrow
	Args     map[string]any `json:"args,omitempty"`
}

// perfettoWriter lays traces out on one line of time.
type perfettoWriter struct {
	list      listWriter
	start     time.Time // of the first trace
	begun     bool
	processes map[string]*process
	tracks    int // of all processes
	arrows    int
	counted   map[time.Time]bool // signals that are there already
}

// process is a service.
type process struct {
	id    int
	lanes lanes
}

func newPerfettoWriter(w io.Writer) *perfettoWriter {
	return &perfettoWriter{
		list:      listWriter{w: w, before: `{"displayTimeUnit":"ns","traceEvents":[` + "\n", after: "\n]}\n"},
		processes: map[string]*process{}, counted: map[time.Time]bool{},
	}
}

func (p *perfettoWriter) Close() error { return p.list.close() }

func (p *perfettoWriter) Add(t *spanstore.Trace) error {
	a := stall.Analyze(t)
	if len(a.Nodes) == 0 {
		return nil
	}
	if !p.begun {
		p.start, p.begun = a.Start, true
	}
	events := p.spans(a)
	events = append(events, p.signals(a)...)
	slices.SortStableFunc(events, func(x, y traceEvent) int {
		return cmp.Or(cmp.Compare(x.Time, y.Time), cmp.Compare(length(y), length(x)))
	})
	for i := range events {
		if err := p.list.add(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

func length(e traceEvent) float64 {
	if e.Duration == nil {
		return -1 // an instant, or an arrow, comes after the slice that it is in
	}
	return *e.Duration
}

// at returns a time of the trace in microseconds of the file.
func (p *perfettoWriter) at(a *stall.Analysis, d time.Duration) float64 {
	return max(0, float64(a.Start.Sub(p.start)+d)/1e3)
}

func (p *perfettoWriter) spans(a *stall.Analysis) (events []traceEvent) {
	tracks, named := p.place(a)
	events = append(events, named...)
	for i := range a.Nodes {
		n := &a.Nodes[i]
		pid := p.processes[n.Span.Service()].id
		slice := func(name, category string, from, to time.Duration, args map[string]any) traceEvent {
			start := p.at(a, from)
			d := p.at(a, to) - start
			return traceEvent{Name: name, Phase: "X", Category: category, Time: start, Duration: &d, Process: pid, Track: tracks[i], Args: args}
		}
		events = append(events, slice(n.Span.Name, "span", n.Start, n.End, spanArgs(n)))
		for _, s := range n.Timeline {
			events = append(events, slice(string(s.State), "state", s.From, s.To, stateArgs(n, s)))
		}
		for _, e := range n.Span.Events {
			if at := e.Time.Sub(a.Start); at >= n.Start && at <= n.End {
				events = append(events, traceEvent{
					Name: e.Name, Phase: "i", Category: "event", Scope: "t", Time: p.at(a, at), Process: pid, Track: tracks[i], Args: attributeArgs(e.Attributes),
				})
			}
		}
		if n.Parent >= 0 && tracks[n.Parent] != tracks[i] {
			events = append(events, p.arrow(a, n, tracks[n.Parent], tracks[i], pid)...)
		}
	}
	return events
}

// arrow leads from the parent to a span on another track.
func (p *perfettoWriter) arrow(a *stall.Analysis, n *stall.Node, from, to, pid int) []traceEvent {
	parent := &a.Nodes[n.Parent]
	p.arrows++
	begin := min(max(n.Start, parent.Start), parent.End)
	e := traceEvent{Name: "child", Category: "child", ID: p.arrows}
	s, f := e, e
	s.Phase, s.Time, s.Process, s.Track = "s", p.at(a, begin), p.processes[parent.Span.Service()].id, from
	f.Phase, f.Time, f.Process, f.Track, f.Bind = "f", p.at(a, max(n.Start, begin)), pid, to, "e"
	return []traceEvent{s, f}
}

// place finds a track for each span, and returns events that name new
// processes and tracks.
func (p *perfettoWriter) place(a *stall.Analysis) (tracks []int, named []traceEvent) {
	tracks = make([]int, len(a.Nodes))
	var own []int // spans that begin a track of their own, or continue another's
	for i, stays := range staying(a) {
		if stays {
			tracks[i] = -1 // its parent's
		} else {
			own = append(own, i)
		}
	}
	slices.SortStableFunc(own, func(x, y int) int { return cmp.Compare(a.Nodes[x].Start, a.Nodes[y].Start) })
	for _, i := range own {
		n := &a.Nodes[i]
		proc := p.processes[n.Span.Service()]
		if proc == nil {
			proc = &process{id: len(p.processes) + 1}
			p.processes[n.Span.Service()] = proc
			named = append(named, name("process_name", proc.id, 0, cmp.Or(n.Span.Service(), "(no service)")))
		}
		track := proc.lanes.take(p.at(a, n.Start))
		if track == 0 {
			p.tracks++
			proc.lanes.count++
			track = p.tracks
			named = append(named, name("thread_name", proc.id, track, fmt.Sprintf("track %d", proc.lanes.count)))
		}
		proc.lanes.put(p.at(a, n.End), track)
		tracks[i] = track
	}
	for i := range tracks {
		if tracks[i] < 0 {
			tracks[i] = tracks[a.Nodes[i].Parent] // parents come first
		}
	}
	return tracks, named
}

// staying says of each span whether it lies on its parent's track: it is awaited, in
// the parent's time and process, and after the sibling before it there.
func staying(a *stall.Analysis) []bool {
	stays := make([]bool, len(a.Nodes))
	taken := make([]time.Duration, len(a.Nodes)) // up to where a span's track is taken by children
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if n.Parent < 0 {
			continue
		}
		parent := &a.Nodes[n.Parent]
		if n.Awaited && n.Start >= parent.Start && n.End <= parent.End && n.Start >= taken[n.Parent] && n.Span.Service() == parent.Span.Service() {
			stays[i], taken[n.Parent] = true, n.End
		}
	}
	return stays
}

func name(what string, pid, tid int, text string) traceEvent {
	return traceEvent{Name: what, Phase: "M", Process: pid, Track: tid, Args: map[string]any{"name": text}}
}

// signals are counters of the first process.
func (p *perfettoWriter) signals(a *stall.Analysis) (events []traceEvent) {
	pid := p.processes[a.Nodes[0].Span.Service()].id
	for _, s := range a.Trace.Signals {
		if p.counted[s.Start] {
			continue
		}
		p.counted[s.Start] = true
		for key, n := range s.Values {
			events = append(events, traceEvent{Name: key, Phase: "C", Category: "signal", Time: p.at(a, s.Start.Sub(a.Start)), Process: pid, Args: map[string]any{"value": n}})
		}
	}
	slices.SortFunc(events, func(x, y traceEvent) int { return cmp.Compare(x.Name, y.Name) })
	return events
}
