package httpui

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

// graphJSON says which service called which.
type graphJSON struct {
	From     string     `json:"from"`
	To       string     `json:"to"`
	Edges    []edgeJSON `json:"edges"`
	Store    storeJSON  `json:"store"`
	Problems []string   `json:"problems"`
}

type edgeJSON struct {
	Caller string `json:"caller"`
	Callee string `json:"callee"`
	Calls  int    `json:"calls"`
	Errors int    `json:"errors"`
	MeanNS int64  `json:"mean_ns"`
	MaxNS  int64  `json:"max_ns"`
}

func (h *handler) serveGraph(w *response) {
	p, bad := readPeriod(w.r.URL.Query())
	if bad != nil {
		w.fail(*bad)
		return
	}
	if w.form == formHTML {
		w.send(http.StatusOK, mimes[".html"], []byte(w.page))
		return
	}
	g, err := h.graphs.get(w.r.Context(), p.key(), func(ctx context.Context) (*graphJSON, error) { return h.graph(ctx, p) })
	switch {
	case err != nil:
		w.fail(h.storeFailure(err))
	case w.form == formJSON:
		w.json(http.StatusOK, g)
	default:
		w.text(http.StatusOK, graphText(g))
	}
}

// graph reads the calls of a period, or of all time when that has no spans.
func (h *handler) graph(ctx context.Context, p period) (*graphJSON, error) {
	st := h.store.Stats()
	from, to := p.bounds(st, time.Now())
	edges, err := h.store.Edges(ctx, from, to)
	if err == nil && len(edges.Edges) == 0 && p.last > 0 {
		from = cmp.Or(st.Oldest, from)
		edges, err = h.store.Edges(ctx, from, to)
	}
	if err != nil {
		return nil, err
	}
	g := &graphJSON{From: formatTime(from), To: formatTime(to), Edges: []edgeJSON{}, Store: h.health(), Problems: append([]string{}, edges.Problems...)}
	for _, e := range edges.Edges {
		if p.service == "" || p.service == e.Caller || p.service == e.Callee {
			g.Edges = append(g.Edges, newEdge(e))
		}
	}
	return g, nil
}

func newEdge(e spanstore.Edge) edgeJSON {
	return edgeJSON{e.Caller, e.Callee, e.Calls, e.Errors, int64(e.Total) / int64(max(1, e.Calls)), int64(e.Max)}
}

func graphText(g *graphJSON) string {
	var b strings.Builder
	b.WriteString(shortTime(g.From) + " to " + shortTime(g.To) + " UTC\n")
	for _, p := range g.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	if len(g.Edges) == 0 {
		b.WriteString("\nNo service called another in this time, as far as the store has the spans of both.\n")
		return b.String()
	}
	b.WriteByte('\n')
	rows := [][]string{{"CALLER", "CALLEE", "CALLS", "ERRORS", "MEAN", "MAX"}}
	for _, e := range g.Edges {
		rows = append(rows, []string{clip(escape(e.Caller), 40), clip(escape(e.Callee), 40), strconv.Itoa(e.Calls), blankZero(e.Errors), nanos(e.MeanNS), nanos(e.MaxNS)})
	}
	writeTable(&b, rows, "llrrrr")
	return b.String()
}
