package httpui

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui/internal/text"
	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// The most and the default number of lines of a list.
const (
	maxLimit     = 1000
	defaultLimit = 100
)

type listJSON struct {
	Traces   []summaryJSON `json:"traces"`
	Cursor   string        `json:"cursor"`
	Profiler profilerJSON  `json:"profiler"`
	Store    storeJSON     `json:"store"`
	Problems []string      `json:"problems"`
}

type summaryJSON struct {
	TraceID  string   `json:"trace_id"`
	Service  string   `json:"service"`
	Services []string `json:"services"`
	RootName string   `json:"root_name"`
	Rootless bool     `json:"rootless"`

	// InFlight is the request that a rootless trace is of, while it has not ended:
	// the rest of the summary is of what has ended so far.
	InFlight *inFlightJSON `json:"in_flight"`

	Start  string `json:"start"`
	WallNS int64  `json:"wall_ns"`
	cpuJSON
	Spans  int    `json:"spans"`
	Errors int    `json:"errors"`
	Kept   string `json:"kept"`
}

type inFlightJSON struct {
	Service string `json:"service"`
	Name    string `json:"name"`
	AgeNS   int64  `json:"age_ns"`
}

// cpuJSON is a CPU figure, the same keys wherever one stands.
type cpuJSON struct {
	NS       int64          `json:"cpu_ns"`
	LowNS    int64          `json:"cpu_low_ns"`
	HighNS   int64          `json:"cpu_high_ns"`
	Samples  int            `json:"samples"`
	Evidence stall.Evidence `json:"evidence"`
	Reason   string         `json:"cpu_reason"`
	Pending  bool           `json:"cpu_pending"`
}

func newCPU(c stall.CPU) cpuJSON {
	return cpuJSON{int64(c.Value), int64(c.Low), int64(c.High), c.Samples, c.Evidence, c.Reason, c.Pending}
}

type profilerJSON struct {
	Running bool   `json:"running"`
	State   string `json:"state"`

	// LostNS is the time between windows in which nothing was sampled; Covered is
	// the share of the time since the profiler's start that windows cover, null
	// before the first is over.
	LostNS  int64    `json:"lost_ns"`
	Covered *float64 `json:"covered"`

	Governor *governorJSON `json:"governor,omitempty"`
	Exact    *exactJSON    `json:"exact,omitempty"`
}

// serveList answers the list of traces. The page asks for the list itself.
func (h *handler) serveList(w *response) {
	q, bad := readQuery(w.r.URL.Query(), w.values)
	if bad != nil {
		w.fail(*bad)
		return
	}
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	page, err := h.store.Traces(w.r.Context(), q)
	if err != nil {
		f := h.storeFailure(err)
		if errors.Is(err, spanstore.ErrBadCursor) {
			f = badParameter("cursor", q.Cursor, "the cursor of the page before, as it was given")
		}
		w.fail(f)
		return
	}
	list := h.list(page)
	if slices.ContainsFunc(list.Traces, func(t summaryJSON) bool { return t.Pending }) {
		h.wish() // who looks again in a moment sees their CPU time
	}
	if w.form == formJSON {
		w.json(http.StatusOK, list)
		return
	}
	width, bad := textWidth(w.r)
	if bad != nil {
		w.fail(*bad)
		return
	}
	if !w.r.URL.Query().Has("width") {
		width = math.MaxInt32 // lines that grep and awk are to have whole
	}
	next := "Older"
	if q.Order != spanstore.NewestFirst {
		next = "More"
	}
	w.text(http.StatusOK, listText(list, w.r.URL.Query(), next, width))
}

func (h *handler) list(p *spanstore.Page) listJSON {
	st := h.opts.Profiler.Stats()
	list := listJSON{
		Traces:   make([]summaryJSON, len(p.Traces)),
		Cursor:   p.Cursor,
		Profiler: newProfiler(h.opts.Profiler, st),
		Store:    h.health(),
		Problems: append([]string{}, p.Problems...),
	}
	for i := range p.Traces {
		s := &p.Traces[i]
		cpu := stall.SummaryCPU(s)
		if st.Running {
			cpu = stall.SummaryCPULive(s, st.CoveredUntil)
		}
		list.Traces[i] = summaryJSON{
			TraceID:  s.TraceID.String(),
			Service:  s.Service,
			Services: append([]string{}, s.Services...),
			RootName: s.Name,
			Rootless: s.Rootless,
			Start:    formatTime(s.Start),
			WallNS:   int64(s.Duration),
			cpuJSON:  newCPU(cpu),
			Spans:    s.Spans,
			Errors:   s.Errors,
			Kept:     s.Kept,
		}
	}
	h.markInFlight(list.Traces, p.Traces)
	return list
}

// markInFlight tells traces whose root is yet to end from those whose root is
// elsewhere, or lost.
func (h *handler) markInFlight(out []summaryJSON, traces []spanstore.Summary) {
	now, requests := time.Now(), h.inFlight(traces)
	for i := range traces {
		if r, ok := requests[traces[i].TraceID]; ok {
			out[i].InFlight = &inFlightJSON{r.Service, r.Name, int64(max(0, now.Sub(r.Start)))}
		}
	}
}

// inFlight gives those of some traces whose root is yet to end.
func (h *handler) inFlight(traces []spanstore.Summary) map[trace.TraceID]profiler.Request {
	var rootless []trace.TraceID
	for i := range traces {
		if traces[i].Rootless {
			rootless = append(rootless, traces[i].TraceID)
		}
	}
	return h.opts.Profiler.InFlight(rootless)
}

func newProfiler(p *profiler.Profiler, st profiler.Stats) profilerJSON {
	j := profilerJSON{Running: st.Running, State: st.State, LostNS: int64(st.Lost), Governor: newGovernor(p, st), Exact: newExact(p, st)}
	if all := st.Covered + st.Lost + st.Missed; all > 0 {
		share := float64(st.Covered) / float64(all)
		j.Covered = &share
	}
	return j
}

// readQuery turns the list's parameters into a query; all of them hold at once.
// It names the first that is wrong, and what it takes. Values says whether the
// request may see attribute values.
func readQuery(v url.Values, values bool) (q spanstore.Query, bad *failure) {
	if q, bad = readText(v.Get("q"), values); bad != nil {
		return q, bad
	}
	q.Service, q.Name, q.Cursor, q.Limit = v.Get("service"), v.Get("name"), v.Get("cursor"), defaultLimit
	read := func(name, want string, parse func(string) bool) {
		if s := v.Get(name); s != "" && bad == nil && !parse(s) {
			f := badParameter(name, s, want)
			bad = &f
		}
	}
	read("min", "a duration such as 50ms or 1.5s, not negative", func(s string) bool {
		d, err := time.ParseDuration(s)
		q.MinDuration = d
		return err == nil && d >= 0
	})
	read("errors", "1 for traces with an error only, 0 for all", func(s string) bool {
		b, err := strconv.ParseBool(s)
		q.Errors = b
		return err == nil
	})
	read("from", timeWanted, func(s string) bool {
		var t time.Time
		ok := parseTime(s, &t)
		if t.After(q.From) {
			q.From = t
		}
		return ok
	})
	read("to", timeWanted, func(s string) bool {
		var t time.Time
		ok := parseTime(s, &t)
		if q.To.IsZero() || t.Before(q.To) {
			q.To = t
		}
		return ok
	})
	read("last", lastWanted, func(s string) bool {
		d, err := time.ParseDuration(s)
		if from := time.Now().Add(-d); s != "all" && from.After(q.From) {
			q.From = from
		}
		return s == "all" || err == nil && d > 0
	})
	read("on", "root or entry", func(s string) bool {
		q.Where = append(q.Where, spanstore.Condition{Field: s, Op: spanstore.OpHas})
		return s == "root" || s == "entry"
	})
	read("order", "newest or longest", func(s string) bool {
		q.Order = map[string]spanstore.Order{"longest": spanstore.LongestFirst}[s]
		return s == "newest" || s == "longest"
	})
	read("limit", fmt.Sprintf("a number from 1 to %d", maxLimit), func(s string) bool {
		n, err := strconv.Atoi(s)
		q.Limit = n
		return err == nil && n >= 1 && n <= maxLimit
	})
	return q, bad
}

// readText parses the text form of a query. What a query finds tells of the
// values that it compares, so who may not see those may not ask.
func readText(text string, values bool) (spanstore.Query, *failure) {
	q, err := spanstore.ParseQuery(text)
	var at *spanstore.QueryError
	switch {
	case errors.As(err, &at):
		return q, &failure{
			status: http.StatusBadRequest, Column: at.Column,
			Error: fmt.Sprintf("bad query, column %d: %s", at.Column, at.Message),
			Hint:  `q takes terms such as service=orders name~"GET /api" duration>100ms status=error http.response.status_code>=500 cpu<10%.`,
		}
	case !values && slices.ContainsFunc(q.Where, spanstore.Condition.AsksValue):
		return q, &failure{
			status: http.StatusForbidden, Error: "this request may not ask for the values of attributes",
			Hint: "httpui.Options.Authorize hides values from it. has: and a key asks whether there is one.",
		}
	}
	return q, nil
}

const timeWanted = "a time as in RFC 3339, such as 2026-11-20T09:41:07Z"

// parseTime takes the space that an unescaped + in a query turns into for the
// sign of the zone that it was.
func parseTime(s string, to *time.Time) bool {
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "+", 1))
	*to = t
	return err == nil
}

// formatTime gives t as JSON and text have it. Unlike time.Time's own encoding it
// cannot fail, whatever a span claims.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// storeFailure says what an error of the store means for who looks.
func (h *handler) storeFailure(err error) failure {
	switch {
	case errors.Is(err, spanstore.ErrClosed):
		return failure{status: http.StatusServiceUnavailable, Error: "the span store is closed", Hint: "The service is shutting down, or has closed its store."}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return failure{status: http.StatusServiceUnavailable, Error: "the request ended before the store was read"}
	}
	return failure{status: http.StatusInternalServerError, Error: "the span store could not be read", Hint: err.Error()}
}

// narrow is the width, in columns, below which a list has no room for dates.
const narrow = 110

// listText is the list as a table; next names the page that follows.
func listText(l listJSON, query url.Values, next string, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s · profiler %s%s · %s\n", plural(len(l.Traces), "trace", "traces"), escape(l.Profiler.State), l.Profiler.Exact.line(), l.Store.line())
	for _, p := range l.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	if len(l.Traces) == 0 {
		b.WriteString("\n" + l.Store.nothing(len(query) > 0) + "\n")
		return b.String()
	}
	b.WriteByte('\n')
	rows := [][]string{{"START (UTC)", "WALL", "CPU", "CPU %", "SPANS", "ERRORS", "SERVICE", "ROOT", "TRACE"}}
	when := func(s string) string { return s }
	if width < narrow { // then the date is what can be done without
		rows[0][0] = "UTC"
		when = func(s string) string { return s[strings.IndexByte(s, ' ')+1:] }
	}
	for _, t := range l.Traces {
		cpu := stall.CPU{Value: time.Duration(t.NS), Low: time.Duration(t.LowNS), High: time.Duration(t.HighNS), Samples: t.Samples, Evidence: t.Evidence, Pending: t.Pending}
		rows = append(rows, []string{
			when(shortTime(t.Start)), stall.FormatDuration(time.Duration(t.WallNS)), cpu.String(),
			cpuPercent(cpu, time.Duration(t.WallNS)), strconv.Itoa(t.Spans), blankZero(t.Errors),
			clip(escape(t.Service), 30), clip(escape(rootName(t)), 50), t.TraceID,
		})
	}
	align := "lrrrrrlll"
	if slices.ContainsFunc(l.Traces, func(t summaryJSON) bool { return t.Kept != "" }) {
		align += "l"
		rows[0] = append(rows[0], "KEPT")
		for i, t := range l.Traces {
			rows[i+1] = append(rows[i+1], t.Kept)
		}
	}
	writeTableWithin(&b, width, rows, align, text.Give{Column: 7, Least: 24}, text.Give{Column: 4}, text.Give{Column: 3}, text.Give{Column: 6},
		text.Give{Column: 5}, text.Give{Column: 2}, text.Give{Column: 7, Least: 9})
	b.WriteString("\nCPU: ≈ estimate (interval) from samples; < no sample fell on it; … the profile window is still running, ask again;\n     ? no CPU profile covered it. One trace: trace/<id>.\n")
	if l.Cursor != "" {
		query.Set("cursor", l.Cursor)
		b.WriteString(next + ": ?" + query.Encode() + "\n")
	}
	return b.String()
}

// shortTime is a formatted time without what a reader of a table can do without.
func shortTime(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.Format("2006-01-02 15:04:05.000")
}

func rootName(t summaryJSON) string {
	switch {
	case t.InFlight != nil:
		return t.InFlight.Name + " (in flight)"
	case t.Rootless:
		return t.RootName + " (root missing)"
	}
	return t.RootName
}

// cpuPercent is the share of wall that samples showed to be CPU time; nothing
// where there is only a bound.
func cpuPercent(c stall.CPU, wall time.Duration) string {
	if c.Evidence == stall.None || c.Evidence == stall.Sampled && c.Samples == 0 {
		return ""
	}
	if c.Value > wall && c.Low <= wall {
		return "≤100 %" // one sample of 10 ms on a span of 3 ms
	}
	return stall.FormatPercent(c.Value, wall)
}

func blankZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
