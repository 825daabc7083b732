package spanstore_test

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// audit compares every trace that there ever was, and then asks for what is there
// in every way.
func (m *sim) audit() {
	held := &model{traces: map[trace.TraceID][]tracetest.SpanStub{}, usage: map[trace.SpanID]spanstore.Usage{}}
	var stubs []tracetest.SpanStub
	l, problems := m.look(), false
	for _, id := range m.m.ids {
		there, tr := m.compare(l, id)
		if len(there) == 0 {
			continue
		}
		held.traces[id] = there
		stubs = append(stubs, there...)
		problems = problems || m.m.doubtful(id) && len(tr.Problems) > 0
		for span, u := range tr.Usage {
			held.usage[span] = u
		}
		for _, w := range tr.Windows {
			if !slices.Contains(held.windows, w) {
				held.windows = append(held.windows, w)
			}
		}
	}
	m.note("audit %d spans in %d traces", len(stubs), len(held.traces))
	m.counts["audits"]++
	if problems || len(stubs) == 0 || m.broken(l) {
		return
	}
	if st := m.s.Stats(); st.Spans != int64(len(stubs)) {
		m.fatal("Stats has %d spans, the traces have %d", st.Spans, len(stubs))
	}
	held.windows = joined(held.windows)
	asked := slices.Clone(stubs) // about anything but what is too long for a query
	for i := range asked {
		asked[i].Attributes = slices.DeleteFunc(slices.Clone(asked[i].Attributes), func(kv attribute.KeyValue) bool { return kv.Key == "fat" })
	}
	for range 3 {
		q := randomQuery(m.g, asked, time.Now().Add(-time.Hour))
		if slices.ContainsFunc(q.Where, func(c spanstore.Condition) bool { return c.Field == "trace.cpu" }) {
			continue // which counts the usage of a trace's evicted spans too
		}
		if got, want := list(m.t, m.s, q), held.list(q); !slices.Equal(got, want) {
			m.fatal("%q, limit %d: got %d traces; want %d: %s", q, q.Limit, len(got), len(want), held.firstDifference(got, want))
		}
		m.counts["queries"]++
	}
	checkAggregates(m.t, m.s, stubs, time.Time{}, time.Time{})
	if m.t.Failed() {
		m.fatal("aggregates differ")
	}
}

// doubtful reports whether damage may have reached a trace.
func (m *simModel) doubtful(id trace.TraceID) bool {
	return slices.ContainsFunc(m.traces[id], func(x *simSpan) bool { return x.doubt })
}

// broken reports whether a damaged segment is still there.
func (m *sim) broken(l look) bool {
	for num := range m.m.hurt {
		if num >= l.from && num <= l.to {
			return true
		}
	}
	return false
}
