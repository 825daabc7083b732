package httpui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

type traceJSON struct {
	traceHead
	Spans []rowJSON `json:"spans"`
}

// traceHead is what is said of a trace as a whole.
type traceHead struct {
	TraceID    string   `json:"trace_id"`
	Service    string   `json:"service"`
	Services   []string `json:"services"`
	RootName   string   `json:"root_name"`
	Rootless   bool     `json:"rootless"`
	Start      string   `json:"start"`
	WallNS     int64    `json:"wall_ns"`
	ExtentNS   int64    `json:"extent_ns"`
	CriticalNS int64    `json:"critical_ns"`
	cpuJSON
	Headline headlineJSON  `json:"headline"`
	Budget   []shareJSON   `json:"budget"`
	Findings []findingJSON `json:"findings"`
	Problems []string      `json:"problems"`
	Pending  bool          `json:"pending"`
	Kept     string        `json:"kept"`
	Windows  []windowJSON  `json:"windows"`
	Signals  []signalsJSON `json:"signals"`
	Values   bool          `json:"values"`
}

type headlineJSON struct {
	Strong string `json:"strong"`
	Rest   string `json:"rest"`
}

type shareJSON struct {
	State    stall.State    `json:"state"`
	NS       int64          `json:"ns"`
	LowNS    int64          `json:"low_ns"`
	HighNS   int64          `json:"high_ns"`
	Evidence stall.Evidence `json:"evidence"`
}

// rowJSON is one span of the waterfall. Rows come in display order.
type rowJSON struct {
	SpanID     string `json:"span_id"`
	ParentID   string `json:"parent_id"`
	Service    string `json:"service"`
	Name       string `json:"name"`
	Detail     string `json:"detail"`
	Kind       string `json:"kind"`
	Status     string `json:"status"`
	StatusText string `json:"status_text"`
	Depth      int    `json:"depth"`
	Children   int    `json:"children"`
	Awaited    bool   `json:"awaited"`
	LocalRoot  bool   `json:"local_root"`
	StartNS    int64  `json:"start_ns"`
	WallNS     int64  `json:"wall_ns"`
	SelfNS     int64  `json:"self_ns"`
	Self       []pair `json:"self"`
	cpuJSON
	TotalCPUNS    int64                          `json:"total_cpu_ns"`
	TotalLowNS    int64                          `json:"total_cpu_low_ns"`
	TotalHighNS   int64                          `json:"total_cpu_high_ns"`
	TotalSamples  int                            `json:"total_samples"`
	TotalEvidence stall.Evidence                 `json:"total_evidence"`
	States        map[stall.State]int64          `json:"states"`
	StateEvidence map[stall.State]stall.Evidence `json:"state_evidence"`
	Critical      []pair                         `json:"critical"`
	DecidesEnd    bool                           `json:"decides_end"`
	Events        int                            `json:"events"`
	HasError      bool                           `json:"has_error"`

	// What an execution trace tells; absent without one.
	Exact    *pair         `json:"exact,omitempty"` // the part of the trace's time that it covers
	Timeline []stretchJSON `json:"timeline,omitempty"`
}

// stretchJSON is a part of a span's self time in one state.
type stretchJSON struct {
	FromNS   int64       `json:"from_ns"`
	ToNS     int64       `json:"to_ns"`
	State    stall.State `json:"state"`
	StolenNS int64       `json:"stolen_ns"` // the part in which the kernel ran something else
	Wait     int         `json:"wait"`      // position in the span's waits, -1 for none
}

// pair is a segment: from and to, nanoseconds from the trace's start.
type pair [2]int64

type findingJSON struct {
	Kind    string   `json:"kind"`
	Text    string   `json:"text"`
	SpanIDs []string `json:"span_ids"`
	SavesNS int64    `json:"saves_ns"`
}

type windowJSON struct {
	StartNS int64  `json:"start_ns"`
	EndNS   int64  `json:"end_ns"`
	Hole    string `json:"hole"`

	RootsOnly bool `json:"roots_only"`
}

// How long an answer waits for CPU samples that a running window still holds.
const (
	textWait = 3 * time.Second  // curl asks once
	maxWait  = 10 * time.Second // about a window
)

// serveTrace answers one trace. The page asks for its data itself; it is told
// here only whether there is any, so that its status is true.
func (h *handler) serveTrace(w *response, id trace.TraceID) {
	width, bad := textWidth(w.r)
	if bad != nil {
		w.fail(*bad)
		return
	}
	t := h.read(w, id)
	switch {
	case t == nil:
	case w.form == formHTML:
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
	case w.form == formJSON && w.r.URL.Query().Has("columns"):
		w.json(http.StatusOK, newColumns(h.analyze(t), w.values))
	case w.form == formJSON:
		w.json(http.StatusOK, newTrace(h.analyze(t), w.values))
	default:
		w.text(http.StatusOK, traceText(h.analyze(t), width, w.values))
	}
}

// read returns a trace, or nil when it has answered why it cannot.
func (h *handler) read(w *response, id trace.TraceID) *spanstore.Trace {
	return h.readFor(w, id, w.form)
}

// readFor is read for an answer that waits for samples as the form does.
func (h *handler) readFor(w *response, id trace.TraceID, f form) *spanstore.Trace {
	wait, bad := waitFor(w.r, f)
	if bad != nil {
		w.fail(*bad)
		return nil
	}
	t, err := h.store.Trace(w.r.Context(), id)
	if err == nil && h.refresh(w.r.Context(), t, wait) {
		t, err = h.store.Trace(w.r.Context(), id)
	}
	switch {
	case errors.Is(err, spanstore.ErrNotFound):
		w.fail(h.notFound(id))
		return nil
	case err != nil:
		w.fail(h.storeFailure(err))
		return nil
	}
	return t
}

func (h *handler) analyze(t *spanstore.Trace) *stall.Analysis {
	if st := h.opts.Profiler.Stats(); st.Running {
		return stall.AnalyzeLive(t, st.CoveredUntil)
	}
	return stall.Analyze(t)
}

// waitFor reads ?wait=. Text waits without being asked; a page never does, it
// asks again.
func waitFor(r *http.Request, f form) (time.Duration, *failure) {
	wait := time.Duration(0)
	if f == formText {
		wait = textWait
	}
	if s := r.URL.Query().Get("wait"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > maxWait {
			bad := badParameter("wait", s, fmt.Sprintf("a duration from 0s to %v", maxWait))
			return 0, &bad
		}
		wait = d
	}
	if f == formHTML {
		wait = 0
	}
	return wait, nil
}

// refresh has the profiler end its window early when that may hold samples of t.
// Without a wait it only says that somebody is interested. It reports whether
// the store may know more now.
func (h *handler) refresh(ctx context.Context, t *spanstore.Trace, wait time.Duration) bool {
	st := h.opts.Profiler.Stats()
	if !st.Running || !latestEnd(t).After(st.CoveredUntil) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, wait) // done at once when wait is 0
	defer cancel()
	_ = h.opts.Profiler.Refresh(ctx) // a wait that was too short shows as pending
	return wait > 0
}

// wish tells the profiler that somebody looks, so that the running window ends
// early. It does not wait.
func (h *handler) wish() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.opts.Profiler.Refresh(ctx)
}

func latestEnd(t *spanstore.Trace) (end time.Time) {
	for i := range t.Spans {
		if e := t.Spans[i].End; e.After(end) {
			end = e
		}
	}
	return end
}

// notFound says what is known of a trace that the store does not hold.
func (h *handler) notFound(id trace.TraceID) failure {
	f := failure{status: http.StatusNotFound, Error: fmt.Sprintf("trace %s is not in the store", id)}
	e, gone := h.store.Evicted(id)
	switch {
	case h.store == nil:
		f.Hint = storeJSON{}.nothing(false)
	case gone:
		f.Error = fmt.Sprintf("trace %s is no longer in the store: it was evicted at %s (%s)", id, e.When.UTC().Format(time.RFC3339), e.Why)
		f.Hint = "A larger spanstore.Options.MaxBytes or MaxAge keeps traces longer."
		f.Evicted = &evicted{formatTime(e.When), e.Why}
	case e.Since.IsZero():
		f.Hint = "It was not evicted. It was never recorded here, or none of its spans has ended yet."
	default:
		f.Hint = fmt.Sprintf("It was not evicted since %s; whether it was before that can no longer be told. Else it was never recorded here, or none of its spans has ended yet.",
			e.Since.UTC().Format(time.RFC3339))
	}
	return f
}

func newTrace(a *stall.Analysis, values bool) traceJSON {
	t := traceJSON{newHead(a, values), make([]rowJSON, len(a.Nodes))}
	for i := range a.Nodes {
		t.Spans[i] = newRow(a, &a.Nodes[i], values)
	}
	return t
}

func newHead(a *stall.Analysis, values bool) traceHead {
	root := a.Nodes[0].Span
	t := traceHead{
		TraceID:    a.Trace.ID.String(),
		Service:    root.Service(),
		Services:   append([]string{}, a.Services...),
		RootName:   root.Name,
		Rootless:   a.Rootless,
		Start:      formatTime(a.Start),
		WallNS:     int64(a.Wall),
		ExtentNS:   int64(a.Extent),
		CriticalNS: int64(a.Critical),
		cpuJSON:    newCPU(a.CPU),
		Headline:   headlineJSON{escape(a.Headline.Strong), escape(a.Headline.Rest)},
		Budget:     newShares(a.Budget),
		Findings:   []findingJSON{},
		Problems:   append([]string{}, a.Problems...),
		Pending:    a.Pending,
		Kept:       a.Trace.Kept,
		Windows:    []windowJSON{},
		Signals:    newSignals(a.Trace.Signals, a.Start),
		Values:     values,
	}
	// A sentence has names of spans in its midst: what turns the direction would turn it all.
	for _, f := range a.Findings {
		j := findingJSON{Kind: f.Kind, Text: escape(f.Text), SpanIDs: []string{}, SavesNS: int64(f.Saves)}
		for _, i := range f.Spans {
			j.SpanIDs = append(j.SpanIDs, a.Nodes[i].Span.SpanID().String())
		}
		t.Findings = append(t.Findings, j)
	}
	for _, w := range a.Trace.Windows {
		t.Windows = append(t.Windows, windowJSON{int64(w.Start.Sub(a.Start)), int64(w.End.Sub(a.Start)), w.Hole, w.RootsOnly})
	}
	return t
}

func newRow(a *stall.Analysis, n *stall.Node, values bool) rowJSON {
	s := n.Span
	row := rowJSON{
		SpanID:        s.SpanID().String(),
		Service:       s.Service(),
		Name:          s.Name,
		Detail:        detail(s, values),
		Kind:          kindName(s.Kind),
		Status:        statusName(s.Status.Code),
		StatusText:    hide(s.Status.Description, values),
		Depth:         n.Depth,
		Children:      n.Children,
		Awaited:       n.Awaited,
		LocalRoot:     s.LocalRoot(),
		StartNS:       int64(n.Start),
		WallNS:        int64(n.Wall()),
		SelfNS:        int64(n.Self),
		Self:          pairs(n.SelfSegments),
		cpuJSON:       newCPU(n.CPU),
		TotalCPUNS:    int64(n.TotalCPU.Value),
		TotalLowNS:    int64(n.TotalCPU.Low),
		TotalHighNS:   int64(n.TotalCPU.High),
		TotalSamples:  n.TotalCPU.Samples,
		TotalEvidence: n.TotalCPU.Evidence,
		States:        make(map[stall.State]int64, len(n.States)),
		StateEvidence: make(map[stall.State]stall.Evidence, len(n.States)),
		Critical:      pairs(n.Critical),
		DecidesEnd:    n.DecidesEnd,
		Events:        len(s.Events),
		HasError:      s.Status.Code == codes.Error,
	}
	if !s.Root() {
		row.ParentID = s.Parent.SpanID().String()
	}
	for _, st := range n.States {
		row.States[st.State] = int64(st.Time)
		row.StateEvidence[st.State] = st.Evidence
	}
	if s, ok := exactRange(a, n); ok {
		row.Exact = &pair{int64(s.From), int64(s.To)}
	}
	for _, x := range n.Timeline {
		row.Timeline = append(row.Timeline, stretchJSON{int64(x.From), int64(x.To), x.State, int64(x.Stolen), x.Wait})
	}
	return row
}

func pairs(segs []stall.Segment) []pair {
	p := make([]pair, len(segs))
	for i, s := range segs {
		p[i] = pair{int64(s.From), int64(s.To)}
	}
	return p
}

func kindName(k trace.SpanKind) string {
	if k == trace.SpanKindUnspecified {
		k = trace.SpanKindInternal
	}
	return k.String()
}

func statusName(c codes.Code) string { return strings.ToLower(c.String()) }

// textWidth reads ?width=, the columns of an answer in text.
func textWidth(r *http.Request) (int, *failure) {
	const least, most, usual = 60, 500, 120
	s := r.URL.Query().Get("width")
	if s == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		bad := badParameter("width", s, fmt.Sprintf("a number of columns from %d to %d", least, most))
		return 0, &bad
	}
	return n, nil
}
