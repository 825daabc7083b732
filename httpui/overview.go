package httpui

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

const (
	// overviewSteps is how many parts the time of an overview has: as many as a
	// sparkline has pixels for.
	overviewSteps = 60

	// overviewTraces is how many of the newest traces are looked into for what
	// only single traces tell: CPU, states, error codes. It takes some 0.1 ms
	// each; where that takes longer than overviewTime the rest is left out.
	overviewTraces = 200
	overviewTime   = 400 * time.Millisecond

	overviewSlowest = 20

	// defaultLast is the time that an overview shows when nobody says another.
	defaultLast = time.Hour
)

type overviewJSON struct {
	From   string `json:"from"`
	To     string `json:"to"`
	StepNS int64  `json:"step_ns"`

	// Widened says that there was nothing in the time asked for, or none was and
	// nothing in the last hour: From and To are those of the whole store then.
	Widened bool `json:"widened"`

	Series     []stepJSON      `json:"series"`
	Services   []operationJSON `json:"services"`
	Operations []operationJSON `json:"operations"`
	Slowest    []slowJSON      `json:"slowest"`

	// Sampled is how many of the newest traces CPU, states and error codes are of.
	Sampled  int       `json:"sampled"`
	Store    storeJSON `json:"store"`
	Problems []string  `json:"problems"`
}

// stepJSON is one part of the time, of all requests.
type stepJSON struct {
	Count  int   `json:"count"`
	Errors int   `json:"errors"`
	P50NS  int64 `json:"p50_ns"`
	P95NS  int64 `json:"p95_ns"`
	P99NS  int64 `json:"p99_ns"`
}

// operationJSON is a service, whose Name is empty and whose entry spans count, or
// an operation of one.
type operationJSON struct {
	Service  string `json:"service"`
	Name     string `json:"name"`
	Count    int    `json:"count"`
	Errors   int    `json:"errors"`
	MeanNS   int64  `json:"mean_ns"`
	P50NS    int64  `json:"p50_ns"`
	P95NS    int64  `json:"p95_ns"`
	P99NS    int64  `json:"p99_ns"`
	MaxNS    int64  `json:"max_ns"`
	MaxTrace string `json:"max_trace"`

	Counts  []int     `json:"counts"` // by step
	Fails   []int     `json:"fails"`
	MeansNS []int64   `json:"means_ns"`
	Codes   []codeSum `json:"error_codes"` // of the traces that were looked into

	// Request is what its requests used and did, when it is the root of any of the
	// traces that were looked into.
	Request *requestJSON `json:"request"`
}

type codeSum struct {
	Code  string `json:"code"`
	Count int    `json:"count"`
}

// requestJSON is the mean of some requests of one route. CPU is that of the whole
// trace; states are those of the critical path and add up to it.
type requestJSON struct {
	Traces int   `json:"traces"`
	WallNS int64 `json:"wall_ns"`
	cpuJSON
	States map[stall.State]int64 `json:"states"`

	known int // traces with a CPU figure
	cpu   time.Duration
}

type slowJSON struct {
	TraceID string `json:"trace_id"`
	Service string `json:"service"`
	Name    string `json:"name"`
	Start   string `json:"start"`
	WallNS  int64  `json:"wall_ns"`
	Error   bool   `json:"error"`
}

// period is the time that a view is about.
type period struct {
	from, to time.Time
	last     time.Duration // to's distance from from, when only that was said
	all      bool
	service  string
}

// key names what is asked for, not when.
func (p period) key() string {
	if p.last > 0 || p.all {
		return p.last.String() + "\x00" + p.service
	}
	return p.from.Format(time.RFC3339Nano) + "\x00" + p.to.Format(time.RFC3339Nano) + "\x00" + p.service
}

// readPeriod reads from=, to=, last= and service=; last is a duration, or all.
func readPeriod(v url.Values) (p period, bad *failure) {
	p.service = v.Get("service")
	for name, to := range map[string]*time.Time{"from": &p.from, "to": &p.to} {
		if s := v.Get(name); s != "" && !parseTime(s, to) {
			f := badParameter(name, s, timeWanted)
			return p, &f
		}
	}
	if !p.from.IsZero() || !p.to.IsZero() {
		return p, nil
	}
	switch s := v.Get("last"); s {
	case "":
		p.last = defaultLast
	case "all":
		p.all = true
	default:
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			f := badParameter("last", s, lastWanted)
			return p, &f
		}
		p.last = d
	}
	return p, nil
}

const lastWanted = "a duration such as 15m or 24h, or all"

// bounds gives the period its times; what it leaves open the store tells.
func (p period) bounds(st spanstore.Stats, now time.Time) (from, to time.Time) {
	from, to = p.from, p.to
	if to.IsZero() {
		to = now
	}
	switch {
	case p.last > 0:
		// A store that is younger than that has nothing before its first span.
		if from = to.Add(-p.last); st.Oldest.After(from) {
			from = st.Oldest
		}
	case from.IsZero():
		from = st.Oldest
	}
	if from.IsZero() { // the store is empty
		from = to.Add(-defaultLast)
	}
	if !from.Before(to) {
		from = to.Add(-time.Second)
	}
	return from, to
}

// serveOverview answers what the services do, taken together.
func (h *handler) serveOverview(w *response) {
	p, bad := readPeriod(w.r.URL.Query())
	width, badWidth := textWidth(w.r)
	if bad = cmp.Or(bad, badWidth); bad != nil {
		w.fail(*bad)
		return
	}
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	o, err := h.overviews.get(w.r.Context(), p.key(), func(ctx context.Context) (*overviewJSON, error) { return h.overview(ctx, p) })
	if err != nil {
		w.fail(h.storeFailure(err))
		return
	}
	if !w.values {
		o = o.hidden()
	}
	if w.form == formJSON {
		w.json(http.StatusOK, o)
		return
	}
	w.text(http.StatusOK, overviewText(o, width))
}

// overview reads the store. When there is nothing in a period that counts from
// now it takes all that there is.
func (h *handler) overview(ctx context.Context, p period) (*overviewJSON, error) {
	o, err := h.overviewOf(ctx, p)
	if err == nil && p.last > 0 && len(o.Operations) == 0 && h.store.Stats().Spans > 0 {
		p.last, p.all = 0, true
		if o, err = h.overviewOf(ctx, p); err == nil {
			o.Widened = true
		}
	}
	return o, err
}

func (h *handler) overviewOf(ctx context.Context, p period) (*overviewJSON, error) {
	h.wish()
	from, to := p.bounds(h.store.Stats(), time.Now())
	var sample routeSample
	var sampling sync.WaitGroup
	sampling.Go(func() { sample = h.sample(ctx, from, to, p.service) })
	l, err := h.store.Latencies(ctx, spanstore.LatencyQuery{From: from, To: to, Service: p.service, Steps: overviewSteps, Slowest: overviewSlowest})
	sampling.Wait()
	if sample.fault != nil {
		panic(sample.fault)
	}
	if err != nil {
		return nil, err
	}
	o := &overviewJSON{
		From: formatTime(from), To: formatTime(to), StepNS: int64(to.Sub(from)) / int64(max(1, len(l.Series))),
		Series: []stepJSON{}, Slowest: []slowJSON{},
		Services: newOperations(l.Services, l.ServiceSteps, sample), Operations: newOperations(l.Operations, l.OperationSteps, sample),
		Sampled: sample.traces, Store: h.health(), Problems: append([]string{}, l.Problems...),
	}
	for _, s := range l.Series {
		o.Series = append(o.Series, stepJSON{s.Count, s.Errors, int64(s.P50), int64(s.P95), int64(s.P99)})
	}
	for _, s := range l.Slowest {
		o.Slowest = append(o.Slowest, slowJSON{s.TraceID.String(), s.Service, s.Name, formatTime(s.Start), int64(s.Duration), s.Failed})
	}
	return o, nil
}

func newOperations(all []spanstore.Latency, steps [][]spanstore.Step, sample routeSample) []operationJSON {
	out := make([]operationJSON, len(all))
	for i, l := range all {
		o := operationJSON{
			Service: l.Service, Name: l.Name, Count: l.Count, Errors: l.Errors, MeanNS: int64(l.Total) / int64(max(1, l.Count)),
			P50NS: int64(l.P50), P95NS: int64(l.P95), P99NS: int64(l.P99), MaxNS: int64(l.Max), MaxTrace: l.MaxTrace.String(),
			Codes: []codeSum{}, Request: sample.routes[route{l.Service, l.Name}],
		}
		for _, s := range steps[i] {
			o.Counts, o.Fails = append(o.Counts, s.Count), append(o.Fails, s.Errors)
			o.MeansNS = append(o.MeansNS, int64(s.Total)/int64(max(1, s.Count)))
		}
		for code, n := range sample.codes[route{l.Service, l.Name}] {
			o.Codes = append(o.Codes, codeSum{code, n})
		}
		slices.SortFunc(o.Codes, func(a, b codeSum) int { return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Code, b.Code)) })
		o.Codes = o.Codes[:min(len(o.Codes), 5)]
		out[i] = o
	}
	slices.SortStableFunc(out, func(a, b operationJSON) int { return cmp.Compare(b.MeanNS*int64(b.Count), a.MeanNS*int64(a.Count)) })
	return out
}

// hidden is the overview for who may not see attribute values, which the error
// codes are.
func (o *overviewJSON) hidden() *overviewJSON {
	c := *o
	for _, list := range []*[]operationJSON{&c.Services, &c.Operations} {
		*list = slices.Clone(*list)
		for i := range *list {
			if op := &(*list)[i]; len(op.Codes) > 0 {
				op.Codes = []codeSum{{hidden, sumCodes(op.Codes)}}
			}
		}
	}
	return &c
}

func sumCodes(codes []codeSum) (n int) {
	for _, c := range codes {
		n += c.Count
	}
	return n
}
