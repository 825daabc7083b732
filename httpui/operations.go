package httpui

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/httpui/internal/text"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// traceOperationsJSON compares the operations of a trace with what the store has of
// them.
type traceOperationsJSON struct {
	TraceID    string               `json:"trace_id"`
	Operations []traceOperationJSON `json:"operations"`
	Problems   []string             `json:"problems"`
}

// traceOperationJSON is one name of one service: first the spans of the trace, then
// all that the store has.
type traceOperationJSON struct {
	Service string `json:"service"`
	Name    string `json:"name"`

	Spans      int   `json:"spans"`
	SpanErrors int   `json:"span_errors"`
	WallNS     int64 `json:"wall_ns"` // of the spans together; what runs side by side counts twice
	SelfNS     int64 `json:"self_ns"`
	CPUNS      int64 `json:"cpu_ns"` // of the spans whose CPU time is known
	UnknownCPU int   `json:"cpu_unknown"`
	CriticalNS int64 `json:"critical_ns"`
	LongestNS  int64 `json:"longest_ns"`

	Count       int     `json:"count"`
	Errors      int     `json:"errors"`
	MaxNS       int64   `json:"max_ns"`
	Percentiles []int64 `json:"percentiles_ns"` // what 1, 2, ... 99 % do not exceed
}

// maxTraceOperations is how many operations of a trace are compared: those that take
// most of it.
const maxTraceOperations = 500

func (h *handler) serveOperations(w *response, id trace.TraceID) {
	width, bad := textWidth(w.r)
	if bad != nil {
		w.fail(*bad)
		return
	}
	t := h.read(w, id)
	if t == nil {
		return
	}
	if w.form == formHTML {
		w.redirect("../" + id.String() + "#operations=1")
		return
	}
	// Who goes through the spans of a trace shall not have the store read for each.
	all, err := h.past.get(w.r.Context(), "", func(ctx context.Context) (*spanstore.Latencies, error) {
		return h.store.Latencies(ctx, spanstore.LatencyQuery{})
	})
	if err != nil {
		w.fail(h.storeFailure(err))
		return
	}
	j := newTraceOperations(h.analyze(t), all)
	if w.form == formJSON {
		w.json(http.StatusOK, j)
		return
	}
	w.text(http.StatusOK, traceOperationsText(j, width))
}

// newTraceOperations adds up the spans of a trace by operation, the one first that the
// end of the trace hung on longest.
func newTraceOperations(a *stall.Analysis, past *spanstore.Latencies) traceOperationsJSON {
	byName := map[[2]string]*traceOperationJSON{}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		key := [2]string{n.Span.Service(), n.Span.Name}
		o := byName[key]
		if o == nil {
			o = &traceOperationJSON{Service: key[0], Name: key[1], Percentiles: []int64{}}
			byName[key] = o
		}
		o.add(n)
	}
	j := traceOperationsJSON{TraceID: a.Trace.ID.String(), Operations: []traceOperationJSON{}, Problems: append([]string{}, past.Problems...)}
	for _, o := range byName {
		j.Operations = append(j.Operations, *o)
	}
	slices.SortFunc(j.Operations, func(a, b traceOperationJSON) int {
		return cmp.Or(cmp.Compare(b.CriticalNS, a.CriticalNS), cmp.Compare(b.WallNS, a.WallNS), strings.Compare(a.Service, b.Service), strings.Compare(a.Name, b.Name))
	})
	if more := len(j.Operations) - maxTraceOperations; more > 0 {
		j.Operations = j.Operations[:maxTraceOperations]
		j.Problems = append(j.Problems, plural(more, "operation is", "operations are")+" left out.")
	}
	for i := range j.Operations {
		j.Operations[i].compare(past)
	}
	return j
}

func (o *traceOperationJSON) add(n *stall.Node) {
	o.Spans++
	if n.Span.Status.Code == codes.Error {
		o.SpanErrors++
	}
	o.WallNS += int64(n.Wall())
	o.SelfNS += int64(n.Self)
	o.CriticalNS += int64(n.CriticalTime())
	o.LongestNS = max(o.LongestNS, int64(n.Wall()))
	if n.CPU.Evidence == stall.None {
		o.UnknownCPU++
	} else {
		o.CPUNS += int64(n.CPU.Value)
	}
}

// compare adds what the store has of the operation.
func (o *traceOperationJSON) compare(past *spanstore.Latencies) {
	i, ok := slices.BinarySearchFunc(past.Operations, o, func(l spanstore.Latency, o *traceOperationJSON) int {
		return cmp.Or(cmp.Compare(l.Service, o.Service), cmp.Compare(l.Name, o.Name))
	})
	if !ok {
		return
	}
	l := past.Operations[i]
	o.Count, o.Errors, o.MaxNS = l.Count, l.Errors, int64(l.Max)
	for p := 1; p <= 99; p++ {
		o.Percentiles = append(o.Percentiles, int64(past.Quantile(o.Service, o.Name, float64(p)/100)))
	}
}

// traceOperationsText is the comparison as a table.
func traceOperationsText(j traceOperationsJSON, width int) string {
	var b strings.Builder
	rows := [][]string{{"OPERATION", "SPANS", "ERR", "WALL", "SELF", "CRITICAL", "LONGEST", "IN STORE", "P50", "P95"}}
	for _, o := range j.Operations {
		dur := func(ns int64) string { return stall.FormatDuration(time.Duration(ns)) }
		row := []string{clip(escape(o.Name), max(16, width-86)) + " [" + clip(escape(o.Service), 16) + "]",
			strconv.Itoa(o.Spans), strconv.Itoa(o.SpanErrors), dur(o.WallNS), dur(o.SelfNS), dur(o.CriticalNS), dur(o.LongestNS), strconv.Itoa(o.Count), "?", "?"}
		if len(o.Percentiles) > 0 {
			row[8], row[9] = dur(o.Percentiles[49]), dur(o.Percentiles[94])
		}
		rows = append(rows, row)
	}
	writeTableWithin(&b, width, rows, "lrrrrrrrrr", text.Give{Column: 0, Least: 28}, text.Give{Column: 6}, text.Give{Column: 2}, text.Give{Column: 9}, text.Give{Column: 4}, text.Give{Column: 0, Least: 16})
	for _, p := range j.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	return b.String()
}
