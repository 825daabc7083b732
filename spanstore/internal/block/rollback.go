package block

// mark is where the columns ended before the span being added.
type mark struct {
	events, links, linkIDs int
	last                   int64
	min, max, longest      int64
	errors, clipped        int
	untimed                int
}

func (e *Encoder) begin() {
	e.left = e.limits.SpanBytes
	e.undo = mark{
		events: len(e.eventTimes), links: len(e.linkCols[0]), linkIDs: len(e.linkIDs),
		last: e.last, min: e.min, max: e.max, longest: e.longest, errors: e.errors, clipped: e.clipped,
		untimed: e.untimed,
	}
}

// rollBack takes a span that was added in part out again.
func (e *Encoder) rollBack() {
	n, u := e.n, &e.undo
	e.spanIDs, e.parents, e.linkIDs = cut(e.spanIDs, 8*n), cut(e.parents, 8*n), cut(e.linkIDs, u.linkIDs)
	e.ends, e.durations = cut(e.ends, n), cut(e.durations, n)
	e.rows = cut(e.rows, n)
	e.eventTimes = cut(e.eventTimes, u.events)
	for i := range e.eventCols {
		e.eventCols[i] = cut(e.eventCols[i], u.events)
	}
	for i := range e.linkCols {
		e.linkCols[i] = cut(e.linkCols[i], u.links)
	}
	e.spanAttrs.rollBack(n)
	e.eventAttrs.rollBack(u.events)
	e.linkAttrs.rollBack(u.links)
	e.last, e.min, e.max, e.longest, e.errors, e.clipped = u.last, u.min, u.max, u.longest, u.errors, u.clipped
	e.untimed = u.untimed
}

// cut shortens s to n, if it is longer.
func cut[T any](s []T, n int) []T { return s[:min(n, len(s))] }
