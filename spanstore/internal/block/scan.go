package block

import (
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Scanner reads the columns of many blocks, one after the other, in memory that
// it uses again. It is for one goroutine.
type Scanner struct {
	// Buf is memory for the block that is opened next, for whoever fetches it.
	Buf []byte

	// Borrow says that nobody keeps a text beyond the next Open, nor what has
	// texts: else those of each block are copied, a few hundred kilobytes.
	Borrow bool

	codec *Codec
	cols  Columns
	rooms [secDetails + 1]room // of the sections
}

// NewScanner returns a scanner of blocks that c packed; nil for blocks that were
// not compressed.
func NewScanner(c *Codec) *Scanner { return &Scanner{codec: c} }

// Columns are the columns of one block of spans. A section is unpacked when
// something in it is first asked for; one that is damaged reads as empty, and
// Err tells.
type Columns struct {
	f   *frame
	sc  *Scanner
	err error

	ids        IDs
	core       columns
	strs       stringTable
	details    columns
	haveCore   bool
	haveStrs   bool
	haveDetail bool
	resources  []ColumnsResource
	haveRes    bool
	tables     [2]*AttrTable // of spans, of events
	ends       []int64
	starts     []int64
}

// Open checks the whole block b. What it returns is valid until the next Open,
// and as long as b does not change.
func (sc *Scanner) Open(b []byte) (*Columns, error) {
	f, err := unpack(sc.codec, b, KindSpans)
	if err != nil {
		return nil, err
	}
	sc.cols = Columns{
		f: f, sc: sc, strs: stringTable{ends: sc.cols.strs.ends[:0]},
		starts: sc.cols.starts[:0], ends: sc.cols.ends[:0],
	}
	// The ids are raw, and their length says that the count is true.
	if sc.cols.ids = sc.cols.readIDs(); sc.cols.err != nil {
		return nil, sc.cols.err
	}
	return &sc.cols, nil
}

// Columns returns the columns of a block that is open already, for one goroutine.
func (s *Spans) Columns() *Columns {
	return &Columns{
		f: &s.f, strs: s.strs, haveStrs: true, starts: s.starts, ends: s.ends,
		ids: IDs{s.traceIDs, s.spanIDs, s.foreign},
	}
}

// Err returns the first fault that was met.
func (c *Columns) Err() error { return c.err }

func (c *Columns) fail(err error) {
	if c.err == nil && err != nil {
		c.err = err
	}
}

// section unpacks a section, into the scanner's memory when there is one.
func (c *Columns) section(id byte) columns {
	r := new(room)
	if c.sc != nil {
		r = &c.sc.rooms[id]
	}
	cs, err := r.columns(c.f, id)
	if err != nil {
		c.fail(err)
		return noColumns
	}
	return cs
}

// ints returns a column of n values, all zero when it is damaged.
func (c *Columns) ints(of columns, id byte, n int) ints {
	col, err := of.ints(id, n)
	if err != nil {
		c.fail(err)
		return ints{n: max(0, n)}
	}
	return col
}

func (c *Columns) coreInts(id byte, n int) ints {
	if !c.haveCore {
		c.core, c.haveCore = c.section(secCore), true
	}
	return c.ints(c.core, id, n)
}

func (c *Columns) strings() *stringTable {
	if !c.haveStrs {
		c.haveStrs = true
		t, err := parseStrings(c.section(secStrings), c.strs.ends)
		c.fail(err)
		if c.sc == nil || !c.sc.Borrow {
			t.text = strings.Clone(t.text) // what is handed out outlives the block
		}
		c.strs = t
	}
	return &c.strs
}

// Len returns the number of spans.
func (c *Columns) Len() int { return c.f.count }

// Bounds returns the least start and the greatest end, in Unix nanoseconds.
func (c *Columns) Bounds() (least, greatest int64) { return c.f.min, c.f.max }

// Strings returns how many strings the block has. String returns one of them,
// and "" for a position that none has.
func (c *Columns) Strings() int         { return len(c.strings().ends) }
func (c *Columns) String(id int) string { return c.strings().at(int64(id)) }

// MayHold reports whether text stands anywhere in the block's strings, which
// every attribute's key and every text in a span is made of.
func (c *Columns) MayHold(text string) bool { return strings.Contains(c.strings().text, text) }

// MayHoldWithin reports whether text stands in one of the block's strings that is
// longer: resources and lists are kept as strings that hold all of theirs.
func (c *Columns) MayHoldWithin(text string) bool {
	t := c.strings()
	for at := 0; at <= len(t.text); {
		i := strings.Index(t.text[at:], text)
		if i < 0 {
			return false
		}
		from := uint32(at + i)
		to := from + uint32(len(text))
		n, ends := slices.BinarySearch(t.ends, to)
		if !ends || n == 0 && from != 0 || n > 0 && t.ends[n-1] != from {
			return true
		}
		at = int(from) + 1
	}
	return false
}

// Names, Kinds, Statuses and Resources append one value a span: the position of
// the name in the strings, the numbers of the API, and the position in the
// resources plus one, 0 for none.
func (c *Columns) Names(to []uint32) []uint32     { return c.appendCore(to, colName) }
func (c *Columns) Kinds(to []uint32) []uint32     { return c.appendCore(to, colKind) }
func (c *Columns) Statuses(to []uint32) []uint32  { return c.appendCore(to, colStatus) }
func (c *Columns) Resources(to []uint32) []uint32 { return c.appendCore(to, colResource) }

// Traces appends which of the block's traces each span belongs to.
func (c *Columns) Traces(to []uint32) []uint32 { return c.appendCore(to, colTrace) }

func (c *Columns) appendCore(to []uint32, id byte) []uint32 {
	col := c.coreInts(id, c.f.count)
	return col.append32(to)
}

// Times returns the start and the end of each span in Unix nanoseconds; a zero
// time.Time is math.MinInt64.
func (c *Columns) Times() (starts, ends []int64) {
	if len(c.ends) != c.f.count {
		e, d := c.coreInts(colEnd, c.f.count), c.coreInts(colDuration, c.f.count)
		c.ends, c.starts = e.append64(c.ends[:0]), d.append64(c.starts[:0])
		at := int64(0)
		for i, v := range c.ends {
			at += v
			c.ends[i], c.starts[i] = at, at-c.starts[i]
		}
	}
	return c.starts, c.ends
}

// Parent says where the parent of a span is.
type Parent int32

const (
	NoParent      Parent = -1 // it is a root
	ForeignParent Parent = -2 // in another block, or nowhere
)

// Parents appends the number of each span's parent in the block, NoParent or
// ForeignParent, and returns whether each parent is remote too.
func (c *Columns) Parents(to []Parent, remote []bool) ([]Parent, []bool) {
	refs, flags := c.coreInts(colParent, c.f.count), c.coreInts(colFlags, c.f.count)
	for i := range c.f.count {
		p := NoParent
		if ref := refs.at(i); ref&1 == 1 {
			u := ref >> 1
			if at := int64(i) + (u>>1 ^ -(u & 1)); uint64(at) < uint64(c.f.count) {
				p = Parent(at)
			}
		} else if ref != 0 {
			p = ForeignParent
		}
		to, remote = append(to, p), append(remote, flags.at(i)&flagParentRemote != 0)
	}
	return to, remote
}

// IDs are the ids of a block, read in place.
type IDs struct{ traces, spans, foreign []byte }

// IDs returns the block's ids.
func (c *Columns) IDs() IDs { return c.ids }

func (c *Columns) readIDs() IDs {
	cs := c.section(secIDs)
	ids := IDs{cs[idTraces], cs[idSpans], cs[idParents]}
	if len(ids.traces)%16 != 0 || len(ids.spans) != 8*c.f.count || len(ids.foreign)%8 != 0 {
		c.fail(corrupt("id columns"))
		return IDs{}
	}
	return ids
}

// Traces returns how many traces there are, Trace the id of one and Span that
// of a span; the zero id for one that the block has not.
func (d IDs) Traces() int { return len(d.traces) / 16 }

func (d IDs) Trace(t uint32) (id trace.TraceID) {
	if int(t) < d.Traces() {
		copy(id[:], d.traces[16*t:])
	}
	return id
}

func (d IDs) Span(i int) (id trace.SpanID) {
	if i < len(d.spans)/8 {
		copy(id[:], d.spans[8*i:])
	}
	return id
}

// ForeignParent returns the id of a parent that is not in the block, given the
// block's columns; it is not valid when the span has none such.
func (c *Columns) ForeignParent(d IDs, i int) (id trace.SpanID) {
	refs := c.coreInts(colParent, c.f.count)
	if ref := refs.at(i); ref != 0 && ref&1 == 0 && uint64(ref>>1-1) < uint64(len(d.foreign)/8) {
		copy(id[:], d.foreign[8*(ref>>1-1):])
	}
	return id
}

// ColumnsResource is a resource as the block has it.
type ColumnsResource struct {
	Service    string // service.name, or ""
	Attributes []attribute.KeyValue
}

// ResourceTable returns the block's resources.
func (c *Columns) ResourceTable() []ColumnsResource {
	if c.haveRes {
		return c.resources
	}
	c.haveRes = true
	text := c.coreInts(tabResources, -1)
	for i := range text.n {
		r := valueReader{s: c.strings().at(text.at(i))}
		r.string() // the schema
		res := ColumnsResource{Attributes: r.keyValues(0)}
		if r.bad {
			c.fail(corrupt("resource %d", i))
		}
		for _, kv := range res.Attributes {
			if kv.Key == serviceName {
				res.Service = serviceOf(kv.Value)
			}
		}
		c.resources = append(c.resources, res)
	}
	return c.resources
}

func (c *Columns) detail(id byte, n int) ints {
	return c.ints(c.detailColumns(), id, n)
}

func (c *Columns) detailColumns() columns {
	if !c.haveDetail {
		c.details, c.haveDetail = c.section(secDetails), true
	}
	return c.details
}

// Events appends the span that each event belongs to.
func (c *Columns) Events(to []uint32) []uint32 {
	counts := c.coreInts(colEvents, c.f.count)
	if counts.w == 0 && counts.least == 0 {
		return to
	}
	for i := range c.f.count {
		n := counts.at(i)
		if n < 0 || n > int64(maxItems-len(to)) {
			c.fail(corrupt("span %d has %d events", i, n))
			return to
		}
		for range n {
			to = append(to, uint32(i))
		}
	}
	return to
}

// EventNames appends the position of the name of each of n events.
func (c *Columns) EventNames(to []uint32, n int) []uint32 {
	col := c.detail(colEventName, n)
	return col.append32(to)
}

// SpanAttrs returns the attributes of the spans, EventAttrs those of n events.
func (c *Columns) SpanAttrs() *AttrTable       { return c.attrTable(0, tabSpanAttrs, c.f.count) }
func (c *Columns) EventAttrs(n int) *AttrTable { return c.attrTable(1, tabEventAttrs, n) }

func (c *Columns) attrTable(at int, base byte, n int) *AttrTable {
	if c.tables[at] == nil {
		a, err := parseAttrs(c.detailColumns(), base, n, c.strings())
		if err != nil {
			c.fail(err)
			a = &attrs{strs: c.strings()}
		}
		c.tables[at] = &AttrTable{a, n}
	}
	return c.tables[at]
}

// AttrTable is the attributes of a block's spans, or of its events: items.
type AttrTable struct {
	a *attrs
	n int
}

// AttrType is the form in which a value column holds its values.
type AttrType byte

const (
	AttrOther  AttrType = iota // lists, maps, bytes: one number for each distinct value
	AttrString                 // positions in the block's strings
	AttrInt
	AttrFloat // math.Float64bits
	AttrBool
	AttrEmpty
)

// AttrColumn is the values of one key and one type, in the order of the items.
type AttrColumn struct {
	t    *AttrTable
	col  uint32
	Type AttrType
}

// Columns returns the value columns of a key.
func (t *AttrTable) Columns(key string) (cols []AttrColumn) {
	for i, k := range t.a.keys {
		if t.a.strs.at(int64(k.key)) != key {
			continue
		}
		typ := AttrOther
		switch k.typ {
		case typeString:
			typ = AttrString
		case typeInt64:
			typ = AttrInt
		case typeFloat64:
			typ = AttrFloat
		case typeBool:
			typ = AttrBool
		case typeEmpty:
			typ = AttrEmpty
		}
		cols = append(cols, AttrColumn{t, uint32(i), typ})
	}
	return cols
}

// Values appends the column's values.
func (c AttrColumn) Values(to []int64) []int64 { return c.t.a.values[c.col].append64(to) }

// Bounds returns numbers that none of the column's values lies beyond, and how
// many values it has.
func (c AttrColumn) Bounds() (least, most int64, n int) {
	v := &c.t.a.values[c.col]
	least, most = v.least, math.MaxInt64
	if v.w < 8 {
		if top := v.least + int64(uint64(1)<<(8*v.w)-1); top >= v.least {
			most = top
		}
	} else {
		least = math.MinInt64 // the differences wrap
	}
	return least, most, v.n
}

// Value returns the value that v stands for.
func (c AttrColumn) Value(v int64) attribute.Value {
	return c.t.a.value(c.t.a.keys[c.col].typ, v)
}

// Mark sets the items for whose values of the column hit is true; with a nil
// hit all items that have one.
func (c AttrColumn) Mark(items []bool, hit []bool) {
	a := c.t.a
	times := make([]int, len(a.shapes)) // how often the column stands in each shape
	for s, shape := range a.shapes {
		for _, col := range shape {
			if col == c.col {
				times[s]++
			}
		}
	}
	rank := 0
	n := min(c.t.n, len(items))
	for i := range n {
		s := a.shape.at(i)
		if uint64(s) >= uint64(len(times)) {
			continue
		}
		for range times[s] {
			if hit == nil || rank < len(hit) && hit[rank] {
				items[i] = true
			}
			rank++
		}
	}
}

// append32 and append64 append all values; the loops go by plane, as most
// columns have one or two.
func (c *ints) append32(to []uint32) []uint32 {
	at := len(to)
	to = slices.Grow(to, c.n)[:at+c.n]
	out := to[at:]
	switch c.w {
	case 0:
		for i := range out {
			out[i] = uint32(c.least)
		}
	case 1:
		for i, b := range c.planes[:c.n] {
			out[i] = uint32(c.least) + uint32(b)
		}
	case 2:
		lo, hi := c.planes[:c.n], c.planes[c.n:2*c.n]
		for i := range out {
			out[i] = uint32(c.least) + (uint32(lo[i]) | uint32(hi[i])<<8)
		}
	default:
		for i := range out {
			out[i] = uint32(c.at(i))
		}
	}
	return to
}

func (c *ints) append64(to []int64) []int64 {
	at := len(to)
	to = slices.Grow(to, c.n)[:at+c.n]
	out := to[at:]
	for i := range out {
		out[i] = c.least
	}
	for p := range c.w {
		plane, shift := c.planes[p*c.n:][:c.n], 8*p
		for i, b := range plane {
			out[i] += int64(uint64(b) << shift)
		}
	}
	return to
}
