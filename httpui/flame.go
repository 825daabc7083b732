package httpui

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// maxFlameStacks bounds the stacks of either kind in one answer, the greatest.
const maxFlameStacks = 5000

// flameJSON is where the time of many spans went: by state for each group, and by
// the stacks in which they were on CPU or waited.
type flameJSON struct {
	By       string           `json:"by"`
	Groups   []flameGroupJSON `json:"groups"`
	Frames   []frameJSON      `json:"frames"`
	Stacks   []flameStackJSON `json:"stacks"`
	Problems []string         `json:"problems"`
}

// flameGroupJSON is an operation, a route, or an operation in one build. Times are
// means of one span, or of one request of a route.
type flameGroupJSON struct {
	Service  string `json:"service"`
	Name     string `json:"name"`
	Revision string `json:"revision"`
	Spans    int    `json:"spans"`
	WallNS   int64  `json:"wall_ns"`

	// CPU is that of the CPUSpans that a CPU profile watched.
	CPUNS    int64          `json:"cpu_ns"`
	LowNS    int64          `json:"cpu_low_ns"`
	HighNS   int64          `json:"cpu_high_ns"`
	CPUSpans int            `json:"cpu_spans"`
	Samples  int            `json:"samples"`
	Evidence stall.Evidence `json:"evidence"`

	// States are those of the ExactSpans, which slow ones are likelier to be among.
	// They add up to ExactWallNS, unless spans of a route ran side by side. Of a route
	// without any they are what samples tell: CPU time, and the rest of WallNS.
	ExactSpans    int                            `json:"exact_spans"`
	ExactWallNS   int64                          `json:"exact_wall_ns"`
	States        map[stall.State]int64          `json:"states"`
	StateEvidence map[stall.State]stall.Evidence `json:"state_evidence"`

	// P99WallNS is what 99 % of all spans do not exceed; P99States are of those at it
	// or beyond that have exact states, P99Spans of them.
	P99WallNS int64                 `json:"p99_wall_ns"`
	P99Spans  int                   `json:"p99_spans"`
	P99States map[stall.State]int64 `json:"p99_states"`
}

// flameStackJSON is a stack and how much of its group's time was spent in it, all
// spans together.
type flameStackJSON struct {
	Group  int         `json:"group"`
	Kind   string      `json:"kind"` // cpu or wait
	State  stall.State `json:"state"`
	NS     int64       `json:"ns"`
	Count  int         `json:"count"`  // samples, or waits
	P99NS  int64       `json:"p99_ns"` // of a wait: in the P99Spans
	Frames []int       `json:"frames"` // positions in the answer's frames, leaf first
}

// groupings are the values of by=, and the first is what none means.
var groupings = []struct {
	name string
	by   spanstore.Grouping
}{{"name", spanstore.ByName}, {"route", spanstore.ByRoute}, {"build", spanstore.ByBuild}}

// serveFlame answers where the time of all spans went.
func (h *handler) serveFlame(w *response) {
	q, by, key, bad := readFlame(w.r.URL.Query())
	if bad != nil {
		w.fail(*bad)
		return
	}
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	h.wish() // who looks again in a moment sees what the running window has
	p, err := h.profiles.get(w.r.Context(), key, func(ctx context.Context) (*spanstore.Profiles, error) { return h.store.Profiles(ctx, q) })
	if err != nil {
		w.fail(h.storeFailure(err))
		return
	}
	f := newFlame(p, by)
	if w.form == formJSON {
		w.json(http.StatusOK, f)
		return
	}
	width, bad := textWidth(w.r)
	if bad != nil {
		w.fail(*bad)
		return
	}
	if !w.r.URL.Query().Has("width") {
		width = math.MaxInt32
	}
	w.text(http.StatusOK, flameText(f, width))
}

// readFlame returns a query, and a key that is the same for the same question asked
// again. Without a time it is about all that there is.
func readFlame(v url.Values) (q spanstore.ProfileQuery, by, key string, bad *failure) {
	if v.Get("last") == "" {
		v.Set("last", "all")
	}
	p, bad := readPeriod(v)
	q.Service, q.Name, by = p.service, v.Get("name"), cmp.Or(v.Get("by"), groupings[0].name)
	q.From, q.To = p.from, p.to
	if p.last > 0 {
		q.From = time.Now().Add(-p.last)
	}
	for _, g := range groupings {
		if g.name == by {
			q.By = g.by
			return q, by, strings.Join([]string{by, q.Name, p.key()}, "\x00"), bad
		}
	}
	f := badParameter("by", by, "name, route or build")
	return q, by, "", &f
}

func newFlame(p *spanstore.Profiles, by string) flameJSON {
	f := flameJSON{By: by, Groups: make([]flameGroupJSON, len(p.Profiles)), Frames: []frameJSON{}, Stacks: []flameStackJSON{}, Problems: append([]string{}, p.Problems...)}
	var stacks flameStacks
	for i := range p.Profiles {
		f.Groups[i] = newFlameGroup(&p.Profiles[i], by == "route")
		stacks.add(&p.Profiles[i], i)
	}
	var cut bool
	if f.Stacks, cut = stacks.greatest(); cut {
		f.Problems = append(f.Problems, "there are more stacks than an answer holds: the least are left out; service= and name= ask for less")
	}
	f.Frames = stacks.number(f.Stacks)
	return f
}

func newFlameGroup(p *spanstore.Profile, route bool) flameGroupJSON {
	g := flameGroupJSON{
		Service: p.Service, Name: p.Name, Revision: p.Revision, Spans: p.Spans, WallNS: mean(p.Wall, p.Spans),
		CPUNS: int64(p.CPU.Value), LowNS: int64(p.CPU.Low), HighNS: int64(p.CPU.High), CPUSpans: p.CPU.Spans, Samples: p.CPU.Samples,
		Evidence: stall.Sampled, ExactSpans: p.Exact.Spans, ExactWallNS: mean(p.Exact.Wall, p.Exact.Spans), StateEvidence: map[stall.State]stall.Evidence{},
		States: meanStates(&p.Exact, route), P99WallNS: int64(p.P99), P99Spans: p.Slowest.Spans, P99States: meanStates(&p.Slowest, route),
	}
	if p.CPU.Spans == 0 {
		g.Evidence = stall.None
	} else if route && p.Exact.Spans == 0 {
		g.States = map[stall.State]int64{stall.StateCPU: min(g.CPUNS, g.WallNS), stall.StateUnknown: max(0, g.WallNS-g.CPUNS)}
		g.StateEvidence[stall.StateCPU], g.StateEvidence[stall.StateUnknown] = stall.Sampled, stall.None
		return g
	}
	for s := range g.States {
		switch s {
		case stall.StateSteal:
			g.StateEvidence[s] = stall.Inferred
		case stall.StateUnknown:
			g.StateEvidence[s] = stall.None
		default:
			g.StateEvidence[s] = stall.Exact
		}
	}
	return g
}

func mean(sum time.Duration, n int) int64 { return int64(sum) / int64(max(1, n)) }

// meanStates divides the wall time of a mean span. What is stolen was running for
// Go. Children cover what is not a span's own; a route has its children's time.
func meanStates(p *spanstore.StateProfile, route bool) map[stall.State]int64 {
	out := map[stall.State]int64{}
	if p.Spans == 0 {
		return out
	}
	sum := map[stall.State]time.Duration{}
	known := time.Duration(0)
	for s, d := range p.States {
		sum[stall.State(s)] += d
		known += d
	}
	sum[stall.StateCPU] -= p.Stolen
	sum[stall.StateSteal] += p.Stolen
	own := p.Own
	if route {
		own = p.Wall
	}
	sum[stall.StateCovered] += p.Wall - own
	sum[stall.StateUnknown] += own - known
	for s, d := range sum {
		if d > 0 {
			out[s] = mean(d, p.Spans)
		}
	}
	return out
}

// flameStacks collects stacks, whose frames are numbered once those are left out
// that are too many.
type flameStacks struct {
	cpu, waits []flameStack
}

type flameStack struct {
	flameStackJSON
	frames []spanstore.Frame
}

func (s *flameStacks) add(p *spanstore.Profile, group int) {
	for _, st := range p.Usage.Stacks {
		ns := int64(float64(p.Usage.CPU) * float64(st.Samples) / float64(max(1, p.Usage.Samples)))
		s.cpu = append(s.cpu, flameStack{flameStackJSON{Group: group, Kind: "cpu", State: stall.StateCPU, NS: ns, Count: st.Samples}, st.Frames})
	}
	slow := map[waitPlace]time.Duration{}
	for i := range p.Slowest.Waits {
		slow[placeOf(&p.Slowest.Waits[i])] = p.Slowest.Waits[i].Total
	}
	for i := range p.Exact.Waits {
		w := &p.Exact.Waits[i]
		s.waits = append(s.waits, flameStack{flameStackJSON{
			Group: group, Kind: "wait", State: stall.State(w.State), NS: int64(w.Total), Count: w.Count, P99NS: int64(slow[placeOf(w)]),
		}, w.Stack})
	}
}

// waitPlace names a wait: within one spanstore.Profiles equal stacks are the same.
type waitPlace struct {
	state string
	stack *spanstore.Frame
}

func placeOf(w *spanstore.WaitSum) waitPlace {
	if len(w.Stack) == 0 {
		return waitPlace{state: w.State}
	}
	return waitPlace{w.State, &w.Stack[0]}
}

// greatest returns the stacks with the most time of either kind.
func (s *flameStacks) greatest() (out []flameStackJSON, cut bool) {
	out = []flameStackJSON{}
	for _, list := range []*[]flameStack{&s.cpu, &s.waits} {
		slices.SortStableFunc(*list, func(a, b flameStack) int { return cmp.Compare(b.NS, a.NS) })
		if len(*list) > maxFlameStacks {
			*list, cut = (*list)[:maxFlameStacks], true
		}
		for _, st := range *list {
			out = append(out, st.flameStackJSON)
		}
	}
	return out, cut
}

// number gives the stacks, which greatest returned, the positions of their frames.
func (s *flameStacks) number(stacks []flameStackJSON) (frames []frameJSON) {
	frames = []frameJSON{}
	at := map[spanstore.Frame]int{}
	for i, st := range slices.Concat(s.cpu, s.waits) {
		stacks[i].Frames = make([]int, len(st.frames))
		for k, f := range st.frames {
			n, known := at[f]
			if !known {
				n = len(frames)
				at[f] = n
				frames = append(frames, frameJSON{f.Func, f.File, f.Line})
			}
			stacks[i].Frames[k] = n
		}
	}
	return frames
}
