package httpui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

const (
	// maxShares is how many traces are analysed for one answer, sharesTime how
	// long that may take: the list is there already, and its bars may miss some.
	maxShares  = 200
	sharesTime = time.Second
)

// shareListJSON has the states of the critical path of each trace that was asked for.
// One that is too large, gone, or not done in time is not in it.
type shareListJSON struct {
	Traces map[string]traceShareJSON `json:"traces"`
}

type traceShareJSON struct {
	CriticalNS int64       `json:"critical_ns"`
	Budget     []shareJSON `json:"budget"`
}

// serveShares answers the bars of a list of traces.
func (h *handler) serveShares(w *response) {
	ids := strings.FieldsFunc(strings.Join(w.r.URL.Query()["trace"], ","), func(c rune) bool { return c == ',' })
	if len(ids) > maxShares {
		w.fail(badParameter("trace", fmt.Sprintf("%d ids", len(ids)), fmt.Sprintf("at most %d trace ids, separated by commas", maxShares)))
		return
	}
	ctx, cancel := context.WithTimeout(w.r.Context(), sharesTime)
	defer cancel()
	out := shareListJSON{Traces: map[string]traceShareJSON{}}
	for _, hex := range ids {
		id, err := trace.TraceIDFromHex(hex)
		if err != nil {
			w.fail(badParameter("trace", hex, "trace ids of 32 hex digits, separated by commas"))
			return
		}
		d, err := h.digest(ctx, id, 0)
		if err != nil && !errors.Is(err, spanstore.ErrNotFound) {
			if ctx.Err() != nil && w.r.Context().Err() == nil {
				break
			}
			w.fail(h.storeFailure(err))
			return
		}
		if d != nil {
			out.Traces[hex] = traceShareJSON{d.critical, d.budget}
		}
	}
	if w.form == formText {
		w.text(http.StatusOK, sharesText(ids, out))
		return
	}
	w.json(http.StatusOK, out)
}

func sharesText(ids []string, all shareListJSON) string {
	var b strings.Builder
	rows := [][]string{{"TRACE", "CRITICAL PATH", "STATES"}}
	for _, id := range ids {
		if t, ok := all.Traces[id]; ok {
			var words []string
			for _, s := range t.Budget {
				words = append(words, fmt.Sprintf("%s %s", s.State, nanos(s.NS)))
			}
			rows = append(rows, []string{id, nanos(t.CriticalNS), strings.Join(words, ", ")})
		}
	}
	writeTable(&b, rows, "lrl")
	return b.String()
}
