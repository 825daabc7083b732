package main

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// pageSize is how many summaries a command asks for at a time.
const pageSize = 1000

// parseQuery reads a query; the words of several arguments are one.
func parseQuery(args ...string) (spanstore.Query, error) {
	q, err := spanstore.ParseQuery(strings.Join(args, " "))
	if err != nil {
		return q, exitError{exitUsage, err}
	}
	return q, nil
}

// each calls f with the summaries that a query selects, at most so many when most is
// not 0, in its order.
func (a *app) each(ctx context.Context, s *spanstore.Store, q spanstore.Query, most int, f func(*spanstore.Summary) error) error {
	for n := 0; ; {
		q.Limit = pageSize
		if most > 0 {
			q.Limit = min(pageSize, most-n)
		}
		page, err := s.Traces(ctx, q)
		if err != nil {
			var bad *spanstore.QueryError
			if errors.As(err, &bad) {
				return exitError{exitUsage, err}
			}
			return err
		}
		a.trouble("", page.Problems...)
		for i := range page.Traces {
			if err := f(&page.Traces[i]); err != nil {
				return err
			}
		}
		n += len(page.Traces)
		if q.Cursor = page.Cursor; q.Cursor == "" || most > 0 && n >= most {
			return nil
		}
	}
}

// ids returns the traces that a query selects, oldest last unless the query says
// otherwise.
func (a *app) ids(ctx context.Context, s *spanstore.Store, q spanstore.Query, most int) (ids []trace.TraceID, err error) {
	p := a.progress("found traces:")
	defer p.done()
	err = a.each(ctx, s, q, most, func(t *spanstore.Summary) error {
		ids = append(ids, t.TraceID)
		p.at(len(ids), 0)
		return nil
	})
	return ids, err
}

// parseIDs reads trace ids.
func parseIDs(args []string) (ids []trace.TraceID, err error) {
	for _, arg := range args {
		id, err := trace.TraceIDFromHex(strings.ToLower(arg))
		if err != nil {
			return nil, wrongf("%q is no trace id: it has 32 hex digits, not all zero", arg)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
