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
// ties by id. Blocks are read from the newest on, and no further than the page
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
	sc := scan{sn: sn, q: q, before: before, found: map[trace.TraceID]*found{}}
	return sc.run(ctx)
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
	blocks      map[*block.Spans]bool
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
// A trace that no block so far has told of has spans only in blocks that end
// earlier than the frontier, so it started before it too: once a page's worth
// of traces start later than the frontier, they are the page.
type scan struct {
	sn     *snapshot
	q      Query
	before position
	found  map[trace.TraceID]*found
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

func (sc *scan) run(ctx context.Context) (*Page, error) {
	blocks := sc.blocks()
	from := int64(math.MinInt64)
	if !sc.q.From.IsZero() {
		from = sc.q.From.UnixNano()
	}
	var page []*found
	for i, b := range blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if sc.wanted(b) {
			sc.fold(b.spans(sc.sn), nil)
		}
		frontier := int64(math.MinInt64)
		if i+1 < len(blocks) {
			frontier = blocks[i+1].max
		}
		// Looking costs a pass over all traces met: not after every block.
		if i%8 == 7 || i < 8 || i+1 == len(blocks) || frontier < from {
			if page = sc.settled(blocks, frontier); len(page) > sc.q.Limit || frontier < from {
				break
			}
		}
	}
	return sc.page(page), nil
}

// blocks returns all blocks, the one with the latest end first.
func (sc *scan) blocks() (out []scanBlock) {
	for _, v := range sc.sn.views {
		if b := sc.sn.view(v); b != nil {
			_, greatest := b.Bounds()
			out = append(out, scanBlock{max: greatest, mem: b})
		}
	}
	for _, info := range sc.sn.infos {
		out = append(out, scanBlock{max: info.max, info: info})
	}
	slices.SortStableFunc(out, func(a, b scanBlock) int { return cmp.Compare(b.max, a.max) })
	return out
}

// wanted reports whether the block may hold the span that makes a trace match.
func (sc *scan) wanted(b scanBlock) bool {
	if b.info == nil {
		return true
	}
	upper := sc.before.start
	if !sc.q.To.IsZero() {
		upper = min(upper, sc.q.To.UnixNano())
	}
	switch {
	case b.info.min > upper:
		return false // all its traces that start early enough have spans elsewhere
	case sc.q.Service != "" && !slices.Contains(b.info.services, sc.q.Service):
		return false
	case sc.q.Errors && b.info.errors == 0:
		return false
	}
	return true
}

// fold adds the block's spans to what is known; only those of one trace when
// that is given.
func (sc *scan) fold(b *block.Spans, only *found) {
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
			f = &found{id: id, blocks: map[*block.Spans]bool{}}
			sc.found[id] = f
		}
		if !f.blocks[b] {
			f.blocks[b] = true
			at[t] = f
		}
	}
	for i := range b.Len() {
		if f := at[b.Trace(i)]; f != nil {
			f.add(b, i, &sc.q)
		}
	}
}

func (f *found) add(b *block.Spans, i int, q *Query) {
	service, name := b.Service(i), b.Name(i)
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
	f.matched = f.matched || (q.Service == "" || q.Service == service) && (q.Name == "" || q.Name == name)
}

// settled returns the traces of the page, in order, as far as they are certain:
// complete, matching, and later than the frontier.
func (sc *scan) settled(blocks []scanBlock, frontier int64) (out []*found) {
	for _, f := range sc.found {
		if f.position().start < frontier || f.complete && !sc.matches(f) {
			continue
		}
		sc.finish(f, blocks)
		if f.position().start >= frontier && sc.matches(f) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *found) int { return a.position().compare(b.position()) })
	return out
}

// finish reads the parts of a trace in blocks that the scan has not come to.
func (sc *scan) finish(f *found, blocks []scanBlock) {
	if f.complete {
		return
	}
	f.complete = true
	fp := fingerprint(f.id)
	for _, b := range blocks {
		if b.info == nil || b.info.mayHold(fp) {
			if spans := b.spans(sc.sn); spans != nil && !f.blocks[spans] {
				sc.fold(spans, f)
			}
		}
	}
}

func (sc *scan) matches(f *found) bool {
	p := f.position()
	return f.matched && p.compare(sc.before) > 0 &&
		(sc.q.From.IsZero() || p.start >= sc.q.From.UnixNano()) &&
		(sc.q.To.IsZero() || p.start < sc.q.To.UnixNano()) &&
		f.duration() >= sc.q.MinDuration &&
		(!sc.q.Errors || f.errs > 0)
}

func (f *found) duration() time.Duration {
	if f.hasRoot {
		return max(0, time.Duration(f.root.end-f.root.start))
	}
	return max(0, time.Duration(f.latest-f.first.start))
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
			TraceID: f.id, Service: strings.Clone(head.service), Name: strings.Clone(head.name),
			Start: time.Unix(0, head.start).UTC(), Rootless: !f.hasRoot, Duration: f.duration(),
			Spans: f.spans, Errors: f.errs, Services: cloneAll(f.services),
		})
	}
	sc.addUsage(list, p.Traces)
	p.Problems = sc.sn.problems
	return p
}

// cloneAll frees the names from the blocks they were read from.
func cloneAll(ss []string) []string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = strings.Clone(s)
	}
	return out
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
