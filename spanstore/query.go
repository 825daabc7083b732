package spanstore

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

const defaultLimit = 100

// Traces returns summaries of the traces that q selects, newest start first,
// ties by id. With Service or Errors a trace can be missed whose span that
// matches ended long before the root began, as clocks that disagree make it. Blocks are read from the newest on, and no further than the page
// needs; each costs about 0.1 ms unless it is cached.
func (s *Store) Traces(ctx context.Context, q Query) (*Page, error) {
	if s == nil {
		return &Page{}, nil
	}
	before, err := parseCursor(q.Cursor)
	if err != nil {
		return nil, err
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	return newScan(sn, q, before).run()
}

// position is a place in the order of a list: start descending, id ascending.
type position struct {
	start int64
	id    trace.TraceID
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(o.start, p.start), slices.Compare(p.id[:], o.id[:]))
}

// newest lies before every trace.
var newest = position{start: math.MaxInt64}

func (p position) cursor() string { return fmt.Sprintf("%d-%s", p.start, p.id) }

func parseCursor(s string) (position, error) {
	if s == "" {
		return newest, nil
	}
	bad := fmt.Errorf("%w %q: leave it out to start at the newest trace", ErrBadCursor, s)
	cut := strings.LastIndexByte(s, '-')
	if cut < 0 {
		return newest, bad
	}
	start, err := strconv.ParseInt(s[:cut], 10, 64)
	if err != nil {
		return newest, bad
	}
	id, err := hex.DecodeString(s[cut+1:])
	if err != nil || len(id) != 16 {
		return newest, bad
	}
	return position{start, trace.TraceID(id)}, nil
}

// found gathers what is known of one trace.
type found struct {
	id          trace.TraceID
	spans, errs int
	services    []string
	matched     bool // a span has the service and name that the query asks for

	root, first rootSpan // first is the earliest span, should no root come
	hasRoot     bool
	latest      int64 // greatest end
	complete    bool
	blocks      []int // the places of the blocks that were added
}

type rootSpan struct {
	start, end    int64
	service, name string
}

// position is where the trace stands in the list, as far as is known.
func (f *found) position() position {
	if f.hasRoot {
		return position{f.root.start, f.id}
	}
	return position{f.first.start, f.id}
}

// scan answers one query. It folds blocks into traces from the newest block on.
// A trace that no block so far has told of has spans only in blocks that end no
// later than the frontier, so it did not start later either: once a page's worth
// of traces start after the frontier, they are the page.
type scan struct {
	sn     *snapshot
	q      Query
	from   int64 // q.From and q.To in Unix nanoseconds
	to     int64
	before position
	blocks []scanBlock // the one with the latest end first
	done   int         // the blocks before this place were looked at
	found  map[trace.TraceID]*found
	names  map[string]string
}

// scanBlock is a block in memory or on disk.
type scanBlock struct {
	max  int64
	info *blockInfo   // nil in memory
	mem  *block.Spans // nil on disk
}

func (b scanBlock) spans(sn *snapshot) *block.Spans {
	if b.mem != nil {
		return b.mem
	}
	return sn.spans(b.info)
}

func newScan(sn *snapshot, q Query, before position) *scan {
	sc := &scan{
		sn: sn, q: q, before: before, from: math.MinInt64, to: math.MaxInt64,
		found: map[trace.TraceID]*found{}, names: map[string]string{},
	}
	if !q.From.IsZero() {
		sc.from = block.UnixNano(q.From)
	}
	if !q.To.IsZero() {
		sc.to = block.UnixNano(q.To)
	}
	for _, v := range sn.views {
		if b := sn.view(v); b != nil {
			_, greatest := b.Bounds()
			sc.blocks = append(sc.blocks, scanBlock{max: greatest, mem: b})
		}
	}
	for _, info := range sn.infos {
		sc.blocks = append(sc.blocks, scanBlock{max: info.max, info: info})
	}
	slices.SortStableFunc(sc.blocks, func(a, b scanBlock) int { return cmp.Compare(b.max, a.max) })
	return sc
}

func (sc *scan) run() (*Page, error) {
	var page []*found
	for i, b := range sc.blocks {
		if err := sc.sn.err(); err != nil {
			return nil, err
		}
		if sc.wanted(b) {
			sc.fold(i, nil)
		}
		sc.done = i + 1
		frontier := int64(math.MinInt64)
		if i+1 < len(sc.blocks) {
			frontier = sc.blocks[i+1].max
		}
		// Looking costs a pass over all traces met: not after every block.
		if i%8 == 7 || i < 8 || i+1 == len(sc.blocks) || frontier < sc.from {
			if page = sc.settled(frontier); len(page) > sc.q.Limit || frontier < sc.from {
				break
			}
		}
	}
	if err := sc.sn.err(); err != nil {
		return nil, err
	}
	return sc.page(page), nil
}

// wanted reports whether the block may hold the span that makes a trace match.
func (sc *scan) wanted(b scanBlock) bool {
	switch {
	case b.info == nil:
		return true
	case b.info.min > min(sc.before.start, sc.to):
		return false // all its traces that start early enough have spans elsewhere
	case sc.q.Service != "" && !slices.Contains(b.info.services, sc.q.Service):
		return false
	case sc.q.Errors && b.info.errors == 0:
		return false
	}
	return true
}

// fold adds the spans of the block at a place to what is known; only those of
// one trace when that is given.
func (sc *scan) fold(place int, only *found) {
	b := sc.blocks[place].spans(sc.sn)
	if b == nil {
		return
	}
	at := make([]*found, b.Traces())
	for t := range at {
		id := b.TraceID(t)
		if only != nil && id != only.id {
			continue
		}
		f := sc.found[id]
		if f == nil {
			f = &found{id: id, latest: math.MinInt64}
			sc.found[id] = f
		}
		if !slices.Contains(f.blocks, place) {
			f.blocks = append(f.blocks, place)
			at[t] = f
		}
	}
	for i := range b.Len() {
		if f := at[b.Trace(i)]; f != nil {
			sc.add(f, b, i)
		}
	}
}

func (sc *scan) add(f *found, b *block.Spans, i int) {
	service, name := sc.own(b.Service(i)), sc.own(b.Name(i))
	sp := rootSpan{b.Start(i), b.End(i), service, name}
	if f.spans == 0 || sp.start < f.first.start {
		f.first = sp
	}
	if !b.ParentID(i).IsValid() && (!f.hasRoot || sp.start < f.root.start) {
		f.root, f.hasRoot = sp, true
	}
	f.latest = max(f.latest, sp.end)
	f.spans++
	if b.Failed(i) {
		f.errs++
	}
	if at, ok := slices.BinarySearch(f.services, service); !ok {
		f.services = slices.Insert(f.services, at, service)
	}
	q := &sc.q
	f.matched = f.matched || (q.Service == "" || q.Service == service) && (q.Name == "" || q.Name == name)
}

// own returns s in memory of the query's own, so that names do not keep whole
// blocks.
func (sc *scan) own(s string) string {
	o, ok := sc.names[s]
	if !ok {
		o = strings.Clone(s)
		sc.names[o] = o
	}
	return o
}

// settled returns the traces of the page, in order, as far as they are certain:
// complete, matching, and later than the frontier. What cannot come into any
// page is forgotten.
func (sc *scan) settled(frontier int64) (out []*found) {
	for id, f := range sc.found {
		// A block that was passed over may hold the root of a trace, which then
		// starts later than its spans so far.
		sure := f.position().start > frontier || frontier == math.MinInt64
		if !sure && (f.complete || !sc.passedOver()) {
			continue
		}
		sc.finish(f)
		sure = f.position().start > frontier || frontier == math.MinInt64
		switch {
		case sure && sc.matches(f):
			out = append(out, f)
		case sure && !sc.ahead(f):
			delete(sc.found, id)
		}
	}
	slices.SortFunc(out, func(a, b *found) int { return a.position().compare(b.position()) })
	return out
}

// passedOver reports whether the query skips blocks for what is in them.
func (sc *scan) passedOver() bool { return sc.q.Service != "" || sc.q.Errors }

// ahead reports whether a block that the scan has yet to come to holds spans of
// the trace, which would be found again.
func (sc *scan) ahead(f *found) bool {
	return slices.ContainsFunc(f.blocks, func(place int) bool { return place >= sc.done })
}

// finish reads the parts of a trace in blocks that the scan has passed over or
// not come to.
func (sc *scan) finish(f *found) {
	if f.complete {
		return
	}
	f.complete = true
	fp := fingerprint(f.id)
	for place, b := range sc.blocks {
		if !slices.Contains(f.blocks, place) && (b.info == nil || b.info.mayHold(fp)) {
			sc.fold(place, f)
		}
	}
}

func (sc *scan) matches(f *found) bool {
	p := f.position()
	return f.matched && p.compare(sc.before) > 0 && p.start >= sc.from && p.start < sc.to &&
		f.duration() >= sc.q.MinDuration && (!sc.q.Errors || f.errs > 0)
}

// duration is 0 for a trace whose times are not known.
func (f *found) duration() time.Duration {
	start, end := f.first.start, f.latest
	if f.hasRoot {
		start, end = f.root.start, f.root.end
	}
	if start == block.ZeroTime || end == block.ZeroTime || end < start {
		return 0
	}
	if d := end - start; d >= 0 {
		return time.Duration(d)
	}
	return math.MaxInt64 // some centuries more than can be told
}

func (sc *scan) page(list []*found) *Page {
	p := &Page{}
	if len(list) > sc.q.Limit {
		list = list[:sc.q.Limit]
		p.Cursor = list[len(list)-1].position().cursor()
	}
	for _, f := range list {
		head := f.first
		if f.hasRoot {
			head = f.root
		}
		p.Traces = append(p.Traces, Summary{
			TraceID: f.id, Service: head.service, Name: head.name,
			Start: block.FromUnixNano(head.start), Rootless: !f.hasRoot, Duration: f.duration(),
			Spans: f.spans, Errors: f.errs, Services: f.services,
		})
	}
	sc.addUsage(list, p.Traces)
	p.Problems = sc.sn.problems
	return p
}

// addUsage sums the usage of the page's traces.
func (sc *scan) addUsage(list []*found, out []Summary) {
	if len(list) == 0 {
		return
	}
	at := map[trace.TraceID]int{}
	fps := make([]uint32, len(list))
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for i, f := range list {
		at[f.id], fps[i] = i, fingerprint(f.id)
		from, to = min(from, f.first.start), max(to, f.latest)
	}
	var windows []Window
	for _, u := range sc.sn.usageBlocks(false, func(b *blockInfo) bool {
		return b.overlaps(from, to) || slices.ContainsFunc(fps, b.mayHold)
	}) {
		windows = appendWindows(windows, u.Windows, from, to)
		for _, r := range u.Records {
			if i, ok := at[r.TraceID]; ok {
				r.Stacks = nil
				out[i].Usage = out[i].Usage.plus(u, r)
			}
		}
	}
	sortWindows(windows)
	for i, f := range list {
		out[i].Usage.TraceID, out[i].Usage.SpanID = f.id, trace.SpanID{}
		for _, w := range windows {
			if w.Start.UnixNano() <= f.latest && w.End.UnixNano() >= f.first.start {
				out[i].Windows = append(out[i].Windows, w)
			}
		}
	}
}
