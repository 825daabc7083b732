package spanstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxNames bounds the operations, and the edges, that are counted apart. Names
// that hold ids would otherwise take memory without end.
const maxNames = 2000

// Latency is what the spans of one service, or of one operation of it, took.
type Latency struct {
	Service string

	// Name is the spans' name; empty for the service as a whole, which counts
	// its entry spans only.
	Name string

	// Count spans ended, of which Errors have the status Error.
	Count, Errors int

	// Total is the sum of their durations, Max the greatest.
	Total, Max time.Duration

	// P50, P95 and P99 are the durations that half, 95 % and 99 % of them do not
	// exceed, within 1.6 %.
	P50, P95, P99 time.Duration

	// MaxTrace is the trace of a span that took Max.
	MaxTrace trace.TraceID
}

// Latencies is what Store.Latencies returns.
type Latencies struct {
	Services   []Latency // by service
	Operations []Latency // by service, then name

	// With LatencyQuery.Steps: Series has the entry spans of all services (that are
	// asked for) step by step, without names, and the other two have the steps of
	// each of Services and of Operations.
	Series                       []Latency
	ServiceSteps, OperationSteps [][]Step

	// Slowest are the longest entry spans, as many as LatencyQuery.Slowest says.
	Slowest []EntrySpan

	// Problems name what could not be read or counted, one sentence each.
	Problems []string

	ops map[operation]*operationCounter
}

// Quantile returns the duration that a share q, from 0 to 1, of the spans of an
// operation do not exceed, within 1.6 %; with an empty name, of the entry spans
// of the service. It is 0 where there are none.
func (l *Latencies) Quantile(service, name string, q float64) time.Duration {
	o := l.ops[operation{service, name, name == ""}]
	if o == nil {
		o = l.ops[operation{service, name, false}] // spans without a name
	}
	if o == nil {
		return 0
	}
	return o.quantile(min(1, max(0, q)))
}

// Edge says how often one service called another: spans of Callee whose parent
// is a span of Caller.
type Edge struct {
	Caller, Callee string

	// Calls is the number of such spans, Errors that of those with the status
	// Error; Total and Max are of their durations.
	Calls, Errors int
	Total, Max    time.Duration
}

// Graph is what Store.Edges returns.
type Graph struct {
	Edges []Edge // by caller, then callee

	// Problems name what could not be read or counted, one sentence each.
	Problems []string
}

// Services returns the names of the services that have spans in the store,
// sorted. The index has them: it costs next to nothing.
func (s *Store) Services(ctx context.Context) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	set := map[string]bool{}
	for _, v := range sn.views {
		for _, name := range v.services {
			set[strings.Clone(name)] = true
		}
	}
	for _, info := range sn.infos {
		for _, name := range info.services {
			set[name] = true
		}
	}
	return sortedKeys(set), sn.err()
}

// Operations returns the names of a service's spans, sorted, at most 2,000. It
// costs what Latencies of that service does.
func (s *Store) Operations(ctx context.Context, service string) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	all, err := s.Latencies(ctx, LatencyQuery{Service: service})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all.Operations))
	for i, o := range all.Operations {
		names[i] = o.Name
	}
	return names, nil
}

func sortedKeys(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// LatencyQuery selects spans. The zero LatencyQuery selects all of them.
type LatencyQuery struct {
	// From and To bound the span's start: From <= start < To. Zero is unbounded.
	From, To time.Time

	// Service, when not empty, is that of the span.
	Service string

	// Steps divides the time from From to To, which must both be set, into as many
	// equal parts, MaxSteps at most. Slowest is how many of the longest entry
	// spans are listed, MaxSlowest at most.
	Steps, Slowest int
}

// Latencies returns how long the spans of each service and of each operation
// took. It reads the blocks in the time range, which takes about 0.1 s of CPU
// time for a million spans, shared by up to eight processors. At most 2,000 operations are told apart, those
// met first; a Problem says so when there are more.
func (s *Store) Latencies(ctx context.Context, q LatencyQuery) (*Latencies, error) {
	if s == nil {
		return &Latencies{}, nil
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	from, to := bounds(q.From, q.To)
	all := &latencyCounter{most: min(q.Slowest, MaxSlowest)}
	blocks := sn.scanBlocks()
	err = sn.eachColumns(blocks, placesBetween(blocks, from, to, q.Service), func() columnsVisitor {
		return &latencyCounter{from: from, to: to, service: q.Service, steps: newSteps(q), most: min(q.Slowest, MaxSlowest)}
	}, func(v columnsVisitor) { all.merge(v.(*latencyCounter)) })
	if err != nil {
		return nil, err
	}
	l := all.latencies(newSteps(q))
	l.ops = all.ops
	l.Problems = sn.problems
	if all.left > 0 {
		l.Problems = append(l.Problems, fmt.Sprintf("there are more than %d operations: %d spans are counted with their service alone", maxNames, all.left))
	}
	return l, nil
}

// latencies gives what was counted, sorted.
func (l *latencyCounter) latencies(s steps) *Latencies {
	out := &Latencies{Slowest: l.slowest}
	keys := slices.SortedFunc(maps.Keys(l.ops), func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.name, b.name))
	})
	for _, key := range keys {
		o := l.ops[key]
		list, steps := &out.Operations, &out.OperationSteps
		if key.whole {
			list, steps = &out.Services, &out.ServiceSteps
		}
		*list = append(*list, o.latency(key))
		if s.n > 0 {
			*steps = append(*steps, o.steps)
		}
	}
	for i := range s.n {
		one := operationCounter{}
		if l.series != nil {
			one = l.series[i]
		}
		out.Series = append(out.Series, one.latency(operation{}))
	}
	return out
}

// bounds returns a time range in Unix nanoseconds.
func bounds(from, to time.Time) (least, most int64) {
	least, most = math.MinInt64, math.MaxInt64
	if !from.IsZero() {
		least = block.UnixNano(from)
	}
	if !to.IsZero() {
		most = block.UnixNano(to)
	}
	return least, most
}

// placesBetween returns the places of the blocks that may have spans of the
// service, if one is named, that start between two times.
func placesBetween(blocks []scanBlock, from, to int64, service string) (places []int) {
	for i, b := range blocks {
		switch {
		case !b.untimed && (b.max < from || b.min >= to):
		case service != "" && b.info != nil && !slices.Contains(b.info.services, service):
		default:
			places = append(places, i)
		}
	}
	return places
}

// columnsVisitor looks at blocks, one after the other.
type columnsVisitor interface {
	visit(c *block.Columns, place int)
}

// eachColumns shows the blocks at some places to one of several visitors, which visitor returns,
// at the same time, then gives those to merge.
func (sn *snapshot) eachColumns(blocks []scanBlock, places []int, visitor func() columnsVisitor, merge func(columnsVisitor)) error {
	var mu sync.Mutex // guards visitors
	var visitors []columnsVisitor
	eachBlock(sn, blocks, places, func() func(int) error {
		v, scanner := visitor(), block.NewScanner(sn.s.codec)
		mu.Lock()
		visitors = append(visitors, v)
		mu.Unlock()
		return func(i int) error {
			c, err := blocks[places[i]].columns(sn, scanner)
			if err != nil {
				return err
			}
			v.visit(c, places[i])
			return c.Err()
		}
	})
	for _, v := range visitors {
		merge(v)
	}
	return sn.err()
}

// operation names what is counted apart.
type operation struct {
	service, name string
	whole         bool // the entry spans of the service
}

type operationCounter struct {
	histogram
	errors int
	slow   trace.TraceID // of a span that took max
	steps  []Step
}

func (o *operationCounter) latency(of operation) Latency {
	return Latency{
		Service: of.service, Name: of.name, Count: int(o.count), Errors: o.errors,
		Total: time.Duration(o.total), Max: time.Duration(o.max),
		P50: o.quantile(0.50), P95: o.quantile(0.95), P99: o.quantile(0.99),
		MaxTrace: o.slow,
	}
}

// latencyCounter counts the spans of many blocks.
type latencyCounter struct {
	from, to int64
	service  string
	ops      map[operation]*operationCounter
	left     int // spans of operations that are too many

	steps   steps
	series  []operationCounter // of all entry spans, by step
	slowest []EntrySpan        // the longest first
	most    int                // that slowest takes

	// Of the block: which counter a resource and a name have, as a table that
	// forgets.
	recent               [256]recentOperation
	names, res, statuses []uint32
	parents              []block.Parent
	remote               []bool
	owners               owners
}

type recentOperation struct {
	key uint64
	set bool
	to  *operationCounter
}

func (l *latencyCounter) visit(c *block.Columns, _ int) {
	table := c.ResourceTable()
	l.names, l.res, l.statuses = c.Names(l.names[:0]), c.Resources(l.res[:0]), c.Statuses(l.statuses[:0])
	l.parents, l.remote = c.Parents(l.parents[:0], l.remote[:0])
	starts, ends := c.Times()
	l.recent = [256]recentOperation{}
	l.owners = owners{block: c, traces: l.owners.traces}
	for i := range c.Len() {
		service := ""
		if r := l.res[i] - 1; int(r) < len(table) {
			service = table[r].Service
		}
		if starts[i] < l.from || starts[i] >= l.to || l.service != "" && service != l.service {
			continue
		}
		d, failed := wall(starts[i], ends[i]), codes.Code(l.statuses[i]) == codes.Error
		l.count(l.operation(c, l.res[i], l.names[i], service), i, starts[i], d, failed)
		if l.parents[i] == block.NoParent || l.remote[i] {
			l.count(l.counter(operation{service: service, whole: true}), i, starts[i], d, failed)
			l.entered(c, i, service, starts[i], d, failed)
		}
	}
}

// count counts span i of the block.
func (l *latencyCounter) count(o *operationCounter, i int, start, d int64, failed bool) {
	if o == nil {
		l.left++
		return
	}
	if o.count == 0 || d > o.max {
		o.slow = l.owners.of(i)
	}
	o.add(d)
	o.addStep(l.steps, start, d, failed)
	if failed {
		o.errors++
	}
}

// operation returns the counter of a resource and a name of the block.
func (l *latencyCounter) operation(c *block.Columns, resource, name uint32, service string) *operationCounter {
	key := uint64(resource)<<32 | uint64(name)
	r := &l.recent[(name+resource*31)%uint32(len(l.recent))]
	if !r.set || r.key != key {
		*r = recentOperation{key, true, l.counter(operation{service: service, name: c.String(int(name))})}
	}
	return r.to
}

// counter returns nil when there are too many.
func (l *latencyCounter) counter(of operation) *operationCounter {
	o := l.ops[of]
	most := maxNames
	if of.whole {
		most *= 2 // services go before what they do
	}
	if o == nil && len(l.ops) < most {
		if l.ops == nil {
			l.ops = map[operation]*operationCounter{}
		}
		o = &operationCounter{}
		l.ops[operation{strings.Clone(of.service), strings.Clone(of.name), of.whole}] = o
	}
	return o
}

func (l *latencyCounter) merge(o *latencyCounter) {
	l.left += o.left
	l.mergeEntered(o)
	for key, from := range o.ops {
		if to := l.counter(key); to != nil {
			if to.count == 0 || from.max > to.max {
				to.slow = from.slow
			}
			to.mergeSteps(from.steps)
			to.merge(&from.histogram)
			to.errors += from.errors
		} else {
			l.left += int(from.count)
		}
	}
}
