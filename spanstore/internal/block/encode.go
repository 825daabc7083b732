package block

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Limits bound what one span may bring into a block.
type Limits struct {
	// StringBytes is the most bytes kept of one string; the rest is cut off.
	StringBytes int

	// SpanBytes is the most bytes kept of one span's strings, attributes,
	// events and links together; what comes after is dropped and counted in
	// the span's own dropped counts.
	SpanBytes int
}

// Encoder turns spans into a block. It is not safe for concurrent use, but once
// no more spans are added any number of goroutines may Encode it.
type Encoder struct {
	limits Limits
	fields fieldReader

	n       int
	strs    stringBuilder
	traces  traceTable
	spanIDs []byte
	parents []byte
	linkIDs []byte
	kept    []byte // why traces are kept, as far as Keep was told

	ends, durations []int64
	rows            []row
	row             row // of the span being added

	resources      map[*resource.Resource]uint32
	resourceText   []uint32
	services       []string // service.name of each resource, as stored
	lastResource   *resource.Resource
	lastResourceID uint32
	scopes         map[instrumentation.Scope]uint32
	scopeText      []uint32
	recent         [4]recentScope // hashing a scope takes longer than comparing a few

	spanAttrs, eventAttrs, linkAttrs attrBuilder
	eventTimes                       []int64
	eventCols                        [2][]uint32 // name, dropped
	linkCols                         [3][]uint32 // flags, state, dropped

	min, max, longest int64
	last              int64 // the end of the span added last
	errors            int
	untimed           int // spans without a start or an end
	clipped           int
	left              int // of SpanBytes, for the span being added
	undo              mark

	// Of a resource or scope that is met for the first time.
	kvs []attribute.KeyValue
	buf []byte
}

// largeBuf is how many bytes the memory for a resource may have grown to when the
// next block is begun.
const largeBuf = 16 << 10

// NewEncoder returns an empty encoder.
func NewEncoder(l Limits) *Encoder {
	e := &Encoder{limits: l}
	e.Reset()
	return e
}

// Reset empties e, keeping its memory.
func (e *Encoder) Reset() {
	if e.resources == nil {
		e.resources = map[*resource.Resource]uint32{}
		e.scopes = map[instrumentation.Scope]uint32{}
	}
	e.traces.reset()
	clear(e.resources)
	clear(e.scopes)
	e.n, e.errors, e.untimed, e.clipped = 0, 0, 0, 0
	e.min, e.max, e.longest, e.last = math.MaxInt64, math.MinInt64, 0, 0
	e.strs.reset()
	e.spanIDs, e.parents, e.linkIDs, e.kept = e.spanIDs[:0], e.parents[:0], e.linkIDs[:0], nil
	e.ends, e.durations, e.eventTimes = e.ends[:0], e.durations[:0], e.eventTimes[:0]
	e.rows = e.rows[:0]
	for _, group := range [][][]uint32{e.eventCols[:], e.linkCols[:]} {
		for i := range group {
			group[i] = group[i][:0]
		}
	}
	e.resourceText, e.scopeText, e.services, e.lastResource = e.resourceText[:0], e.scopeText[:0], nil, nil
	e.recent = [4]recentScope{}
	e.fields.reset()
	if cap(e.buf) > largeBuf || cap(e.kvs) > largeBuf/64 {
		e.buf, e.kvs = nil, nil
	}
	clear(e.kvs[:cap(e.kvs)]) // let the program's values go
	e.spanAttrs.reset()
	e.eventAttrs.reset()
	e.linkAttrs.reset()
}

// Len returns the number of spans in e.
func (e *Encoder) Len() int { return e.n }

// Clipped returns how many values of e's spans were cut or dropped by Limits.
func (e *Encoder) Clipped() int { return e.clipped }

// Size bounds the bytes of the encoded block from above, in constant time.
func (e *Encoder) Size() int {
	items := len(e.eventTimes) + len(e.linkCols[0])
	return 1024 + len(e.strs.text) + 4*len(e.strs.ends) + 8*len(e.resourceText) + 8*len(e.scopeText) +
		len(e.traces.raw) + len(e.linkIDs) + 120*e.n + 40*items + e.attrBytes()
}

func (e *Encoder) attrBytes() (n int) {
	for _, b := range []*attrBuilder{&e.spanAttrs, &e.eventAttrs, &e.linkAttrs} {
		n += 4*len(b.shape) + 24*len(b.cols) + 8*b.count + b.layoutBytes
	}
	return n
}

// Warm prepares to Add spans, as many as it takes at a time, and returns how
// many those are. It changes nothing but the time that Add takes.
func (e *Encoder) Warm(spans []sdktrace.ReadOnlySpan) int {
	e.fields.warm(spans)
	return warmSpans
}

// Add appends s, and reports false when a method of s panicked; then nothing of s
// is in the block but perhaps a string.
func (e *Encoder) Add(s sdktrace.ReadOnlySpan) (ok bool) {
	e.begin()
	defer func() {
		if !ok && recover() != nil {
			e.rollBack()
		}
	}()
	e.add(e.fields.read(s))
	return true
}

func (e *Encoder) add(s *fields) {
	e.addIDs(&s.spanContext, &s.parent)
	e.addTimes(s.startTime, s.endTime)
	if s.status.Code == codes.Error {
		e.errors++
	}
	name := e.text(s.name)
	e.row[colName] = name
	e.row[colKind] = uint32(s.spanKind)
	e.row[colStatus] = uint32(s.status.Code)
	e.row[colStatusText] = e.text(s.status.Description)
	e.row[colResource] = e.resource(s.resource)
	e.row[colScope] = e.scope(&s.instrumentationScope)
	e.row[colChildren] = uint32(s.childSpanCount)
	e.row[colDroppedAttrs] = uint32(s.droppedAttributeCount + e.attributes(&e.spanAttrs, name, s.attributes))
	e.addEvents(s.events, s.startTime, s.droppedEventCount)
	e.addLinks(s.links, s.droppedLinkCount)
	e.rows = append(e.rows, e.row)
	e.n++
}

// row is a span's unsigned columns, side by side while spans are added: one
// append instead of twenty. add sets all but those that are columns of their own.
type row [numCols]uint32

func (e *Encoder) addIDs(sc, parent *trace.SpanContext) {
	id, spanID, parentID := sc.TraceID(), sc.SpanID(), parent.SpanID()
	e.row[colTrace] = e.traces.id(id)
	e.spanIDs = append(e.spanIDs, spanID[:]...)
	e.parents = append(e.parents, parentID[:]...)
	var of uint32
	if parent.HasTraceID() {
		if of = 1; parent.TraceID() != id {
			of = e.traces.id(parent.TraceID()) + 2
		}
	}
	e.row[colParentTrace] = of
	flags := uint32(sc.TraceFlags()) | uint32(parent.TraceFlags())<<8
	if sc.IsRemote() {
		flags |= flagRemote
	}
	if parent.IsRemote() {
		flags |= flagParentRemote
	}
	e.row[colFlags] = flags
	e.row[colState] = e.state(sc)
	e.row[colParentState] = e.state(parent)
}

// state adds a trace state. It comes from outside, in a header, so it counts
// towards the span's bytes; one that does not fit is left out, as half of one
// would be none.
func (e *Encoder) state(sc *trace.SpanContext) uint32 {
	ts := sc.TraceState()
	if ts.Len() == 0 {
		return 0
	}
	text := ts.String()
	if len(text) > e.limits.StringBytes {
		e.clipped++
		return 0
	}
	if !e.spend(len(text)) {
		return 0
	}
	return e.strs.id(text)
}

func (e *Encoder) addTimes(start, end time.Time) {
	from, to := UnixNano(start), UnixNano(end)
	e.ends = append(e.ends, to-e.last)
	e.durations = append(e.durations, to-from)
	for _, t := range []int64{from, to} {
		if t != ZeroTime {
			e.min, e.max = min(e.min, t), max(e.max, t)
		}
	}
	if from == ZeroTime || to == ZeroTime {
		e.untimed++
	} else {
		e.longest = max(e.longest, to-from)
	}
	e.last = to
}

func (e *Encoder) addEvents(events []sdktrace.Event, start time.Time, dropped int) {
	kept := uint32(0)
	from := UnixNano(start)
	for _, ev := range events {
		if !e.spend(32 + len(ev.Name)) {
			dropped++
			continue
		}
		name := e.text(ev.Name)
		e.eventCols[0] = append(e.eventCols[0], name)
		e.eventTimes = append(e.eventTimes, UnixNano(ev.Time)-from)
		lost := e.attributes(&e.eventAttrs, name, ev.Attributes)
		e.eventCols[1] = append(e.eventCols[1], uint32(ev.DroppedAttributeCount+lost))
		kept++
	}
	e.row[colEvents] = kept
	e.row[colDroppedEvents] = uint32(dropped)
}

func (e *Encoder) addLinks(links []sdktrace.Link, dropped int) {
	kept := uint32(0)
	for _, l := range links {
		if !e.spend(48) {
			dropped++
			continue
		}
		id, span := l.SpanContext.TraceID(), l.SpanContext.SpanID()
		e.linkIDs = append(append(e.linkIDs, id[:]...), span[:]...)
		flags := uint32(l.SpanContext.TraceFlags())
		if l.SpanContext.IsRemote() {
			flags |= flagRemote
		}
		lost := e.attributes(&e.linkAttrs, 0, l.Attributes)
		e.linkCols[0] = append(e.linkCols[0], flags)
		e.linkCols[1] = append(e.linkCols[1], e.state(&l.SpanContext))
		e.linkCols[2] = append(e.linkCols[2], uint32(l.DroppedAttributeCount+lost))
		kept++
	}
	e.row[colLinks] = kept
	e.row[colDroppedLinks] = uint32(dropped)
}

// attributes adds one item's attributes and returns how many did not fit. Items
// that share a hint mostly share their shape.
func (e *Encoder) attributes(b *attrBuilder, hint uint32, kvs []attribute.KeyValue) (lost int) {
	b.begin(hint)
	for i := range kvs {
		kv := &kvs[i]
		key, typ := string(kv.Key), typeOf(kv.Value)
		text, number, isText := "", int64(0), false
		switch typ {
		case typeEmpty:
		case typeString:
			text, isText = kv.Value.AsString(), true
		case typeInt64:
			number = kv.Value.AsInt64()
		case typeFloat64:
			number = int64(math.Float64bits(kv.Value.AsFloat64()))
		case typeBool:
			number = int64(boolByte(kv.Value.AsBool()))
		default:
			text, isText = string(appendValue(nil, kv.Value, 0)), true
		}
		if len(text) > e.limits.StringBytes || len(key) > e.limits.StringBytes {
			key = e.clip(key)
			typ, text = e.clipText(typ, text, kv.Value)
		}
		if !e.spend(24 + len(key) + len(text)) {
			lost++
			continue
		}
		if isText {
			b.addText(&e.strs, key, typ, text)
		} else {
			b.addNumber(&e.strs, key, typ, number)
		}
	}
	b.finish()
	return lost
}

// clipText cuts a string. A cut slice or map would be another value: it becomes
// a string that says what stood here.
func (e *Encoder) clipText(typ byte, text string, v attribute.Value) (byte, string) {
	switch {
	case len(text) <= e.limits.StringBytes:
		return typ, text
	case typ == typeString:
		return typ, e.clip(text)
	}
	e.clipped++
	return typeString, "(" + v.Type().String() + " too long to keep)"
}

// spend takes n bytes from the span's budget, and reports whether it had them.
func (e *Encoder) spend(n int) bool {
	if n > e.left {
		e.clipped++
		return false
	}
	e.left -= n
	return true
}

func (e *Encoder) text(s string) uint32 { return e.strs.id(e.clip(s)) }

// clip cuts s to the limit, between two runes.
func (e *Encoder) clip(s string) string {
	if len(s) <= e.limits.StringBytes {
		return s
	}
	e.clipped++
	n := e.limits.StringBytes
	for back := 0; back < utf8.UTFMax-1 && n > 0 && !utf8.RuneStart(s[n]); back++ {
		n--
	}
	return s[:n]
}

// clipValue is clipText for a value that is stored in one piece with others.
func (e *Encoder) clipValue(v attribute.Value) attribute.Value {
	switch typ := typeOf(v); typ {
	case typeEmpty, typeBool, typeInt64, typeFloat64:
		return v
	case typeString:
		if s := v.AsString(); len(s) > e.limits.StringBytes {
			return attribute.StringValue(e.clip(s))
		}
		return v
	default:
		if t, text := e.clipText(typ, string(appendValue(nil, v, 0)), v); t != typ {
			return attribute.StringValue(text)
		}
		return v
	}
}

// resource returns the position of r, plus one.
func (e *Encoder) resource(r *resource.Resource) (id uint32) {
	if r == nil {
		return 0
	}
	if r == e.lastResource {
		return e.lastResourceID
	}
	defer func() { e.lastResource, e.lastResourceID = r, id }()
	id, ok := e.resources[r]
	if !ok {
		id = uint32(len(e.resourceText)) + 1
		e.resources[r] = id
		kvs := e.clipAll(r.Iter())
		for _, kv := range kvs {
			if kv.Key == serviceName && kv.Value.Type() == attribute.STRING {
				e.services = append(e.services, kv.Value.AsString())
			}
		}
		e.buf = appendKeyValues(appendString(e.buf[:0], e.clip(r.SchemaURL())), kvs, 0)
		e.resourceText = append(e.resourceText, e.strs.idOf(e.buf))
	}
	return id
}

type recentScope struct {
	scope instrumentation.Scope
	id    uint32
	set   bool
}

func (e *Encoder) scope(s *instrumentation.Scope) uint32 {
	for i := range e.recent {
		if r := &e.recent[i]; r.set && r.scope == *s {
			return r.id
		}
	}
	id := e.newScope(*s)
	e.recent[e.n%len(e.recent)] = recentScope{*s, id, true}
	return id
}

func (e *Encoder) newScope(s instrumentation.Scope) uint32 {
	id, ok := e.scopes[s]
	if !ok {
		id = uint32(len(e.scopeText))
		e.scopes[s] = id
		kvs := e.clipAll(s.Attributes.Iter())
		e.buf = appendString(e.buf[:0], e.clip(s.Name))
		e.buf = appendString(e.buf, e.clip(s.Version))
		e.buf = appendString(e.buf, e.clip(s.SchemaURL))
		e.buf = appendKeyValues(e.buf, kvs, 0)
		e.scopeText = append(e.scopeText, e.strs.idOf(e.buf))
	}
	return id
}

// clipAll returns the attributes of a resource or scope within the limits, in
// memory that the next call uses again.
func (e *Encoder) clipAll(kvs attribute.Iterator) []attribute.KeyValue {
	e.kvs = e.kvs[:0]
	left := e.limits.SpanBytes
	for kvs.Next() {
		kv := kvs.Attribute()
		key, v := attribute.Key(e.clip(string(kv.Key))), e.clipValue(kv.Value)
		e.buf = appendValue(e.buf[:0], v, 0)
		if left -= 24 + len(key) + len(e.buf); left < 0 {
			e.clipped++
			break
		}
		e.kvs = append(e.kvs, attribute.KeyValue{Key: key, Value: v})
	}
	return e.kvs
}

// Bounds returns the least start and the greatest end of e's spans in Unix
// nanoseconds; the least is greater than the greatest when there are none.
func (e *Encoder) Bounds() (least, greatest int64) { return e.min, e.max }

// Longest returns the greatest duration of e's spans, in nanoseconds.
func (e *Encoder) Longest() int64 { return e.longest }

// Errors returns how many of e's spans have the status Error.
func (e *Encoder) Errors() int { return e.errors }

// Untimed returns how many of e's spans have no start or no end.
func (e *Encoder) Untimed() int { return e.untimed }

// Traces returns how many traces have spans in e, TraceID the id of one.
func (e *Encoder) Traces() int                 { return len(e.traces.raw) / 16 }
func (e *Encoder) TraceID(t int) trace.TraceID { return trace.TraceID(e.traces.raw[16*t:]) }

// Keep notes why a trace, of which a span was added, is kept: bits that the
// block stores and attaches no meaning to.
func (e *Encoder) Keep(id trace.TraceID, why byte) {
	t := int(e.traces.id(id))
	if t >= len(e.kept) {
		e.kept = append(e.kept, make([]byte, t+1-len(e.kept))...)
	}
	e.kept[t] |= why
}

// Kept returns why e's trace t is kept, 0 when Keep was not told.
func (e *Encoder) Kept(t int) byte {
	if t >= len(e.kept) {
		return 0
	}
	return e.kept[t]
}

// Services returns the service names of e's spans, sorted, each once.
func (e *Encoder) Services() []string {
	all := slices.Clone(e.services)
	slices.Sort(all)
	return slices.Compact(all)
}

// serviceName is the resource attribute that names the service.
const serviceName = "service.name"
