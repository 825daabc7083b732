package block

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Spans is a block of spans, read in place: what lists and trees need is
// unpacked when it is opened, attributes, events and links when a Reader asks.
// It is safe for concurrent use and keeps the bytes it was opened from.
type Spans struct {
	f        frame
	rooms    [secDetails + 1]room // of the sections
	traceIDs []byte
	spanIDs  []byte
	foreign  []byte
	linkIDs  []byte
	kept     []byte // empty or one for each trace
	cols     [numCols]ints
	starts   []int64
	ends     []int64
	trace    []int64 // of each span
	strs     stringTable

	resources []knownResource
	scopes    []instrumentation.Scope

	once    sync.Once
	details details
	err     error
}

// details is the rest of a block.
type details struct {
	spanAttrs, eventAttrs, linkAttrs   attrs
	eventName, eventTime, eventDropped ints
	linkFlags, linkState, linkDropped  ints
	firstEvent, firstLink              []uint32 // of each span; empty when there are none
}

// OpenSpans checks the whole block b and unpacks its core. b must not change
// as long as the result is in use.
func OpenSpans(b []byte, c *Codec) (*Spans, error) {
	s := new(Spans)
	if err := s.openIDs(b, c); err != nil {
		return nil, err
	}
	if err := s.readCore(); err != nil {
		return nil, err
	}
	return s, nil
}

// A Finder reads single traces out of many blocks, one block after the other, in
// memory that it uses again: what a lookup allocates is what it returns. It is for
// one goroutine.
type Finder struct {
	// Buf is memory for the block that is opened next, for whoever fetches it.
	Buf []byte

	s    Spans
	keys keyTexts
}

// Open checks the whole block b, and unpacks its core if it has spans of the
// trace; if not it returns nil. The result is valid until the next Open, and as
// long as b does not change; what its Reader returns stays valid.
func (f *Finder) Open(b []byte, c *Codec, id trace.TraceID) (*Spans, error) {
	s := &f.s
	if err := s.openIDs(b, c); err != nil || s.FindTrace(id) < 0 {
		return nil, err
	}
	if err := s.readCore(); err != nil {
		return nil, err
	}
	s.strs.borrowed, s.strs.lent, s.strs.keys = true, false, &f.keys
	return s, nil
}

// Lend checks and unpacks the whole block b, for a caller who copies what it wants
// at once: of what the result's Reader returns, texts and the attributes of a span
// are valid until the next Seek, all else until the next Open or Lend.
func (f *Finder) Lend(b []byte, c *Codec) (*Spans, error) {
	s := &f.s
	if err := s.openIDs(b, c); err != nil {
		return nil, err
	}
	if err := s.readCore(); err != nil {
		return nil, err
	}
	s.strs.borrowed, s.strs.lent, s.strs.keys = true, true, &f.keys
	return s, nil
}

// MemoryBytes is about what f holds in memory.
func (f *Finder) MemoryBytes() int {
	n := cap(f.Buf) + 8*(cap(f.s.ends)+cap(f.s.starts)+cap(f.s.trace))
	for i := range f.s.rooms {
		n += cap(f.s.rooms[i].buf)
	}
	return n
}

// openIDs checks the block and finds its ids, in the memory that s has.
func (s *Spans) openIDs(b []byte, c *Codec) error {
	s.once, s.err = sync.Once{}, nil
	s.resources, s.scopes = s.resources[:0], s.scopes[:0]
	if err := s.f.open(c, b, KindSpans); err != nil {
		return err
	}
	return s.readIDs()
}

func (s *Spans) section(id byte) (columns, error) { return s.rooms[id].columns(&s.f, id) }

func (s *Spans) readIDs() error {
	cs, err := s.section(secIDs)
	if err != nil {
		return err
	}
	s.traceIDs, s.spanIDs, s.foreign, s.linkIDs = cs[idTraces], cs[idSpans], cs[idParents], cs[idLinks]
	if len(s.traceIDs)%16 != 0 || len(s.spanIDs) != 8*s.f.count || len(s.foreign)%8 != 0 || len(s.linkIDs)%24 != 0 {
		return corrupt("id columns")
	}
	if s.kept = cs[idKept]; len(s.kept) != 0 && len(s.kept) != s.Traces() {
		return corrupt("%d reasons for %d traces", len(s.kept), s.Traces())
	}
	return nil
}

func (s *Spans) readCore() error {
	strs, err := s.section(secStrings)
	if err != nil {
		return err
	}
	if s.strs, err = parseStrings(strs, s.strs.ends); err != nil {
		return err
	}
	cs, err := s.section(secCore)
	if err != nil {
		return err
	}
	n := s.f.count
	for id := range s.cols {
		if s.cols[id], err = cs.ints(byte(id), n); err != nil {
			return err
		}
	}
	s.ends, s.starts, s.trace = s.cols[colEnd].all(s.ends), s.cols[colDuration].all(s.starts), s.cols[colTrace].all(s.trace)
	at := int64(0)
	for i := range n {
		at += s.ends[i]
		s.ends[i], s.starts[i] = at, at-s.starts[i]
	}
	for i, t := range s.trace {
		if uint64(t) >= uint64(s.Traces()) {
			return corrupt("span %d names trace %d of %d", i, t, s.Traces())
		}
	}
	return s.readTables(cs)
}

func (s *Spans) readTables(cs columns) error {
	text, err := cs.ints(tabResources, -1)
	if err != nil {
		return err
	}
	for i := range text.n {
		res, ok := s.f.codec.resource(s.strs.at(text.at(i)))
		if !ok {
			return corrupt("resource %d", i)
		}
		s.resources = append(s.resources, res)
	}
	if text, err = cs.ints(tabScopes, -1); err != nil {
		return err
	}
	for i := range text.n {
		sc, ok := s.f.codec.scope(s.strs.at(text.at(i)))
		if !ok {
			return corrupt("scope %d", i)
		}
		s.scopes = append(s.scopes, sc)
	}
	return nil
}

// Len returns the number of spans.
func (s *Spans) Len() int { return s.f.count }

// Bounds returns the least start and the greatest end, in Unix nanoseconds.
func (s *Spans) Bounds() (least, greatest int64) { return s.f.min, s.f.max }

// MemoryBytes is about what s holds in memory.
func (s *Spans) MemoryBytes() int {
	n := 2048 + 24*s.f.count
	for _, p := range s.f.sections {
		n += p.rawLen + len(p.data)
	}
	return n
}

// Traces returns how many traces have spans in the block.
func (s *Spans) Traces() int { return len(s.traceIDs) / 16 }

// TraceID returns the id of the block's trace t.
func (s *Spans) TraceID(t int) trace.TraceID { return trace.TraceID(s.traceIDs[16*t:]) }

// Trace returns which of the block's traces span i belongs to.
func (s *Spans) Trace(i int) int { return int(s.trace[i]) }

// Kept returns why the block's trace t is kept: what Encoder.Keep was told, 0
// when that was nothing.
func (s *Spans) Kept(t int) byte {
	if t < 0 || t >= len(s.kept) {
		return 0
	}
	return s.kept[t]
}

// FindTrace returns which of the block's traces has the id, or -1.
func (s *Spans) FindTrace(id trace.TraceID) int {
	for t := range s.Traces() {
		if trace.TraceID(s.traceIDs[16*t:]) == id {
			return t
		}
	}
	return -1
}

// SpanID returns the id of span i.
func (s *Spans) SpanID(i int) trace.SpanID { return trace.SpanID(s.spanIDs[8*i:]) }

// ParentID returns the id of the parent of span i; it is not valid for a root.
func (s *Spans) ParentID(i int) trace.SpanID {
	switch ref := s.cols[colParent].at(i); {
	case ref == 0:
	case ref&1 == 1:
		u := ref >> 1
		if p := int64(i) + (u>>1 ^ -(u & 1)); uint64(p) < uint64(s.f.count) {
			return s.SpanID(int(p))
		}
	default:
		if f := ref>>1 - 1; uint64(f) < uint64(len(s.foreign)/8) {
			return trace.SpanID(s.foreign[8*f:])
		}
	}
	return trace.SpanID{}
}

// Start and End return the times of span i in Unix nanoseconds; a zero
// time.Time is math.MinInt64.
func (s *Spans) Start(i int) int64 { return s.starts[i] }
func (s *Spans) End(i int) int64   { return s.ends[i] }

// RemoteParent reports whether the parent of span i is in another process.
func (s *Spans) RemoteParent(i int) bool { return s.cols[colFlags].at(i)&flagParentRemote != 0 }

// Name returns the name of span i.
func (s *Spans) Name(i int) string { return s.strs.own(s.cols[colName].at(i)) }

// Kind returns the kind of span i.
func (s *Spans) Kind(i int) trace.SpanKind { return trace.SpanKind(s.cols[colKind].at(i)) }

// Failed reports whether the status of span i is Error.
func (s *Spans) Failed(i int) bool { return codes.Code(s.cols[colStatus].at(i)) == codes.Error }

// Service returns the service.name of span i's resource, or "".
func (s *Spans) Service(i int) string {
	if r := s.cols[colResource].at(i) - 1; uint64(r) < uint64(len(s.resources)) {
		return s.resources[r].service
	}
	return ""
}

func (s *Spans) state(col, i int) trace.TraceState { return s.traceState(s.cols[col].at(i)) }

func (s *Spans) traceState(str int64) trace.TraceState {
	if str == 0 {
		return trace.TraceState{}
	}
	// What was stored came from a valid state; should it not parse, it is lost
	// rather than the span.
	ts, _ := trace.ParseTraceState(s.strs.own(str))
	return ts
}

func (s *Spans) readDetails() (*details, error) {
	s.once.Do(func() { s.err = s.parseDetails() })
	return &s.details, s.err
}

func (s *Spans) parseDetails() error {
	cs, err := s.section(secDetails)
	if err != nil {
		return err
	}
	n, d := s.f.count, &s.details
	var events, links int64
	d.firstEvent, events = firsts(d.firstEvent, &s.cols[colEvents])
	d.firstLink, links = firsts(d.firstLink, &s.cols[colLinks])
	if links != int64(len(s.linkIDs)/24) || events > maxItems {
		return corrupt("%d events, %d links of %d", events, links, len(s.linkIDs)/24)
	}
	for _, c := range []struct {
		to *ints
		id byte
		n  int64
	}{
		{&d.eventName, colEventName, events}, {&d.eventTime, colEventTime, events}, {&d.eventDropped, colEventDropped, events},
		{&d.linkFlags, colLinkFlags, links}, {&d.linkState, colLinkState, links}, {&d.linkDropped, colLinkDropped, links},
	} {
		if *c.to, err = cs.ints(c.id, int(c.n)); err != nil {
			return err
		}
	}
	for _, t := range []struct {
		to   *attrs
		base byte
		n    int
	}{{&d.spanAttrs, tabSpanAttrs, n}, {&d.eventAttrs, tabEventAttrs, int(events)}, {&d.linkAttrs, tabLinkAttrs, int(links)}} {
		if err = t.to.parse(cs, t.base, t.n, &s.strs); err != nil {
			return err
		}
	}
	return nil
}

// firsts returns which of all items is the first of each span, given how many
// each has, and the number of all. It is empty when there are none.
func firsts(to []uint32, counts *ints) (first []uint32, all int64) {
	to = to[:0]
	if counts.isZero() {
		return to, 0
	}
	for i := range counts.n {
		to = append(to, uint32(all))
		all += max(0, counts.at(i))
	}
	return to, all
}

// Reader reads whole spans of a block. It goes forward only and is for one
// goroutine.
type Reader struct {
	s                    *Spans
	d                    *details
	i                    int
	spans, events, links cursor
}

// Reader unpacks what is left of the block.
func (s *Spans) Reader() (*Reader, error) {
	d, err := s.readDetails()
	if err != nil {
		return nil, err
	}
	r := &Reader{s: s, d: d, spans: d.spanAttrs.cursor(), events: d.eventAttrs.cursor(), links: d.linkAttrs.cursor()}
	r.spans.reuse = s.strs.lent
	return r, nil
}

// Seek moves to span i, which must lie after those read before.
func (r *Reader) Seek(i int) { r.i = i }

func (r *Reader) col(id int) int64 { return r.s.cols[id].at(r.i) }

// SpanContext returns the span's own context.
func (r *Reader) SpanContext() trace.SpanContext {
	f := r.col(colFlags)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    r.s.TraceID(r.s.Trace(r.i)),
		SpanID:     r.s.SpanID(r.i),
		TraceFlags: trace.TraceFlags(f),
		TraceState: r.s.state(colState, r.i),
		Remote:     f&flagRemote != 0,
	})
}

// Parent returns the parent's context, the zero one for a root.
func (r *Reader) Parent() trace.SpanContext {
	f := r.col(colFlags)
	c := trace.SpanContextConfig{
		SpanID:     r.s.ParentID(r.i),
		TraceFlags: trace.TraceFlags(f >> 8),
		TraceState: r.s.state(colParentState, r.i),
		Remote:     f&flagParentRemote != 0,
	}
	switch of := r.col(colParentTrace); {
	case of == 1:
		c.TraceID = r.s.TraceID(r.s.Trace(r.i))
	case of > 1 && of-2 < int64(r.s.Traces()):
		c.TraceID = r.s.TraceID(int(of - 2))
	}
	return trace.NewSpanContext(c)
}

// Kind returns the span's kind.
func (r *Reader) Kind() trace.SpanKind { return trace.SpanKind(r.col(colKind)) }

// Start and End return the span's times, in UTC.
func (r *Reader) Start() time.Time { return FromUnixNano(r.s.starts[r.i]) }
func (r *Reader) End() time.Time   { return FromUnixNano(r.s.ends[r.i]) }

// Status returns the span's status.
func (r *Reader) Status() sdktrace.Status {
	return sdktrace.Status{Code: codes.Code(r.col(colStatus)), Description: r.s.strs.own(r.col(colStatusText))}
}

// Resource returns the span's resource, shared by the spans of the block, or nil.
func (r *Reader) Resource() *resource.Resource {
	if id := r.col(colResource) - 1; uint64(id) < uint64(len(r.s.resources)) {
		return r.s.resources[id].resource
	}
	return nil
}

// Scope returns the span's instrumentation scope.
func (r *Reader) Scope() instrumentation.Scope {
	if id := r.col(colScope); uint64(id) < uint64(len(r.s.scopes)) {
		return r.s.scopes[id]
	}
	return instrumentation.Scope{}
}

// Dropped returns the counts of dropped attributes, events and links.
func (r *Reader) Dropped() (attributes, events, links int) {
	return int(r.col(colDroppedAttrs)), int(r.col(colDroppedEvents)), int(r.col(colDroppedLinks))
}

// Children returns the SDK's count of the span's children.
func (r *Reader) Children() int { return int(r.col(colChildren)) }

// Attributes returns the span's attributes in their order. It may be called
// once for each span.
func (r *Reader) Attributes() []attribute.KeyValue { return r.spans.read(r.i) }

// Events returns the span's events. It may be called once for each span.
func (r *Reader) Events() []sdktrace.Event {
	n := int(r.col(colEvents))
	if n <= 0 {
		return nil
	}
	events := make([]sdktrace.Event, n)
	for k := range events {
		i := int(r.d.firstEvent[r.i]) + k
		events[k] = sdktrace.Event{
			Name:                  r.s.strs.own(r.d.eventName.at(i)),
			Attributes:            r.events.read(i),
			DroppedAttributeCount: int(r.d.eventDropped.at(i)),
			Time:                  FromUnixNano(r.s.starts[r.i] + r.d.eventTime.at(i)),
		}
	}
	return events
}

// Links returns the span's links. It may be called once for each span.
func (r *Reader) Links() []sdktrace.Link {
	n := int(r.col(colLinks))
	if n <= 0 {
		return nil
	}
	links := make([]sdktrace.Link, n)
	for k := range links {
		i := int(r.d.firstLink[r.i]) + k
		id, f := r.s.linkIDs[24*i:], r.d.linkFlags.at(i)
		links[k] = sdktrace.Link{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: trace.TraceID(id), SpanID: trace.SpanID(id[16:]), TraceFlags: trace.TraceFlags(f),
				TraceState: r.s.traceState(r.d.linkState.at(i)), Remote: f&flagRemote != 0,
			}),
			Attributes:            r.links.read(i),
			DroppedAttributeCount: int(r.d.linkDropped.at(i)),
		}
	}
	return links
}
