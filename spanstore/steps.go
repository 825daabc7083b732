package spanstore

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// MaxSteps and MaxSlowest bound LatencyQuery.Steps and LatencyQuery.Slowest.
const (
	MaxSteps   = 240
	MaxSlowest = 100
)

// Step is what started in one part of a time range.
type Step struct {
	Count, Errors int
	Total         time.Duration // the sum of the durations
}

// EntrySpan is a span that entered a service, named by its trace.
type EntrySpan struct {
	TraceID       trace.TraceID
	Service, Name string
	Start         time.Time
	Duration      time.Duration
	Failed        bool
}

// steps divides a time range into equal parts; the zero steps are none.
type steps struct {
	from, width int64
	n           int
}

func newSteps(q LatencyQuery) steps {
	from, to := bounds(q.From, q.To)
	n := min(q.Steps, MaxSteps)
	if n <= 0 || q.From.IsZero() || q.To.IsZero() || to <= from {
		return steps{}
	}
	n = int(min(int64(n), to-from))
	return steps{from: from, width: (to - from + int64(n) - 1) / int64(n), n: n}
}

// of returns the step that a time between from and to falls into.
func (s steps) of(start int64) int { return min(int((start-s.from)/s.width), s.n-1) }

func (o *operationCounter) addStep(s steps, start, d int64, failed bool) {
	if s.n == 0 {
		return
	}
	if o.steps == nil {
		o.steps = make([]Step, s.n)
	}
	at := &o.steps[s.of(start)]
	at.Count++
	if at.Total += time.Duration(d); at.Total < 0 {
		at.Total = 1<<63 - 1
	}
	if failed {
		at.Errors++
	}
}

func (o *operationCounter) mergeSteps(from []Step) {
	if o.steps == nil {
		o.steps = from // it is not used again
		return
	}
	for i, s := range from {
		at := &o.steps[i]
		at.Count, at.Errors = at.Count+s.Count, at.Errors+s.Errors
		if at.Total += s.Total; at.Total < 0 {
			at.Total = 1<<63 - 1
		}
	}
}

// owners finds the traces of a block's spans, whose column is unpacked when the
// first is asked for.
type owners struct {
	block  *block.Columns
	traces []uint32
	known  bool
}

func (o *owners) of(i int) trace.TraceID {
	if !o.known {
		o.traces, o.known = o.block.Traces(o.traces[:0]), true
	}
	if i >= len(o.traces) {
		return trace.TraceID{} // damaged: the block's Err tells
	}
	return o.block.IDs().Trace(o.traces[i])
}

// entered counts an entry span among those of all services.
func (l *latencyCounter) entered(c *block.Columns, i int, service string, start, d int64, failed bool) {
	if l.steps.n > 0 {
		if l.series == nil {
			l.series = make([]operationCounter, l.steps.n)
		}
		at := &l.series[l.steps.of(start)]
		at.add(d)
		if failed {
			at.errors++
		}
	}
	if n := len(l.slowest); l.most > 0 && (n < l.most || d > int64(l.slowest[n-1].Duration)) {
		l.list(EntrySpan{
			TraceID: l.owners.of(i), Service: strings.Clone(service), Name: strings.Clone(c.String(int(l.names[i]))),
			Start: block.FromUnixNano(start), Duration: time.Duration(d), Failed: failed,
		})
	}
}

// list puts a span at its place among the slowest, the longest first, and forgets what is too many.
func (l *latencyCounter) list(s EntrySpan) {
	at, _ := slices.BinarySearchFunc(l.slowest, s, func(a, b EntrySpan) int {
		return cmp.Or(cmp.Compare(b.Duration, a.Duration), b.Start.Compare(a.Start), slices.Compare(a.TraceID[:], b.TraceID[:]))
	})
	l.slowest = slices.Insert(l.slowest, at, s)
	l.slowest = l.slowest[:min(len(l.slowest), l.most)]
}

func (l *latencyCounter) mergeEntered(o *latencyCounter) {
	for _, s := range o.slowest {
		l.list(s)
	}
	if l.series == nil {
		l.series = o.series
		return
	}
	for i := range o.series {
		l.series[i].histogram.merge(&o.series[i].histogram)
		l.series[i].errors += o.series[i].errors
	}
}
