package block

import (
	"encoding/binary"
	"math"

	"go.opentelemetry.io/otel/attribute"
)

// Columns of one attribute table, added to the table's base id.
const (
	attrKeys   = 0 // (key position uvarint, type byte) for each value column
	attrShapes = 1 // for each shape: length uvarint, value columns uvarint
	attrShape  = 2 // integer column: the shape of each item
	attrValues = 3 // the value columns, one after the other
	attrStride = 4
)

// attrKey is what one value column holds: the values of one key and one type.
type attrKey struct {
	key uint32 // position in the string table
	typ byte
}

// attrBuilder collects the attributes of items (spans, events or links).
//
// Items of one name mostly have the same shape as the one before, so the keys
// are compared with those that are expected instead of being looked up.
type attrBuilder struct {
	cols    map[attrKey]uint32
	keys    []attrKey
	values  [][]int64
	shapes  map[string]uint32
	layouts [][]byte   // each shape's columns as uvarints
	columns [][]uint32 // the same, unpacked
	shape   []uint32
	count   int // of all values

	layoutBytes int // of all layouts

	// Of the item being added: its columns, the shape that it is expected to
	// have (-1 for none any more), and where that expectation comes from.
	item     []uint32
	expected int
	hint     uint32
	guess    [256]int32 // shape + 1 by hint
}

func (b *attrBuilder) reset() {
	if b.cols == nil {
		b.cols, b.shapes = map[attrKey]uint32{}, map[string]uint32{}
	}
	clear(b.cols)
	clear(b.shapes)
	clear(b.guess[:])
	b.keys, b.layouts, b.columns, b.shape = b.keys[:0], b.layouts[:0], b.columns[:0], b.shape[:0]
	b.values, b.count, b.layoutBytes = b.values[:0], 0, 0
}

// begin begins an item.
func (b *attrBuilder) begin(hint uint32) {
	b.hint = hint % uint32(len(b.guess))
	b.expected = int(b.guess[b.hint]) - 1
	b.item = b.item[:0]
}

// add adds one attribute to the item.
func (b *attrBuilder) add(strs *stringBuilder, key attribute.Key, v attribute.Value) {
	typ := typeOf(v)
	col, ok := b.expect(strs, key, typ)
	if !ok {
		b.expected = -1
		col = b.column(attrKey{strs.id(string(key)), typ})
	}
	b.item = append(b.item, col)
	values := b.values[col]
	if typ == typeString && len(values) > 0 {
		// Many columns hold the same string over and over.
		if last := values[len(values)-1]; strs.is(uint32(last), v.AsString()) {
			b.values[col] = append(values, last)
			b.count++
			return
		}
	}
	b.values[col] = append(values, scalar(strs, typ, v))
	b.count++
}

// expect returns the column of the next attribute if it is the expected one.
func (b *attrBuilder) expect(strs *stringBuilder, key attribute.Key, typ byte) (uint32, bool) {
	if b.expected < 0 {
		return 0, false
	}
	want := b.columns[b.expected]
	if len(b.item) >= len(want) {
		return 0, false
	}
	col := want[len(b.item)]
	k := b.keys[col]
	return col, k.typ == typ && strs.is(k.key, string(key))
}

func (b *attrBuilder) column(k attrKey) uint32 {
	c, ok := b.cols[k]
	if !ok {
		c = uint32(len(b.keys))
		b.cols[k] = c
		b.keys = append(b.keys, k)
		if n := len(b.values); n < cap(b.values) {
			b.values = b.values[:n+1] // the slice of a former block, reused
			b.values[n] = b.values[n][:0]
		} else {
			b.values = append(b.values, nil)
		}
	}
	return c
}

// scalar is what the value column of v holds.
func scalar(strs *stringBuilder, typ byte, v attribute.Value) int64 {
	switch typ {
	case typeEmpty:
		return 0
	case typeBool:
		return int64(boolByte(v.AsBool()))
	case typeInt64:
		return v.AsInt64()
	case typeFloat64:
		return int64(math.Float64bits(v.AsFloat64()))
	case typeString:
		return int64(strs.id(v.AsString()))
	}
	return int64(strs.id(string(appendValue(nil, v, 0))))
}

// finish ends the item.
func (b *attrBuilder) finish() {
	if b.expected >= 0 && len(b.item) == len(b.columns[b.expected]) {
		b.shape = append(b.shape, uint32(b.expected))
		b.item = b.item[:0]
		return
	}
	layout := make([]byte, 0, 64)
	for _, c := range b.item {
		layout = binary.AppendUvarint(layout, uint64(c))
	}
	id, ok := b.shapes[string(layout)]
	if !ok {
		id = uint32(len(b.layouts))
		b.layouts = append(b.layouts, layout)
		b.layoutBytes += len(layout) + binary.MaxVarintLen64
		b.columns = append(b.columns, append([]uint32(nil), b.item...))
		b.shapes[string(layout)] = id
	}
	b.guess[b.hint] = int32(id) + 1
	b.shape = append(b.shape, id)
	b.item = b.item[:0]
}

// rollBack takes the item being added, and those from item n on, out again.
func (b *attrBuilder) rollBack(n int) {
	pop := func(cols []uint32) {
		for _, c := range cols {
			b.values[c] = b.values[c][:len(b.values[c])-1]
			b.count--
		}
	}
	pop(b.item)
	b.item = b.item[:0]
	for len(b.shape) > n {
		last := len(b.shape) - 1
		pop(b.columns[b.shape[last]])
		b.shape = b.shape[:last]
	}
}

func (b *attrBuilder) snapshot() attrBuilder {
	c := attrBuilder{
		keys:    append([]attrKey(nil), b.keys...),
		layouts: append([][]byte(nil), b.layouts...),
		shape:   append([]uint32(nil), b.shape...),
		values:  make([][]int64, len(b.values)),
	}
	for i, v := range b.values {
		c.values[i] = append([]int64(nil), v...)
	}
	return c
}

func (b *attrBuilder) appendTo(dst []byte, base byte) []byte {
	if len(b.shape) == 0 {
		return dst
	}
	var keys, shapes, values []byte
	for _, k := range b.keys {
		keys = append(binary.AppendUvarint(keys, uint64(k.key)), k.typ)
	}
	for _, l := range b.layouts {
		shapes = append(binary.AppendUvarint(shapes, uint64(len(l))), l...)
	}
	for _, v := range b.values {
		values = appendBare(values, v)
	}
	dst = appendColumn(dst, base+attrKeys, keys)
	dst = appendColumn(dst, base+attrShapes, shapes)
	dst = appendInts(dst, base+attrShape, b.shape)
	return appendColumn(dst, base+attrValues, values)
}

// attrs is an attribute table, read in place.
type attrs struct {
	strs   *stringTable
	keys   []attrKey
	shapes [][]uint32
	shape  ints
	values []ints
}

func parseAttrs(cs columns, base byte, n int, strs *stringTable) (*attrs, error) {
	a := &attrs{strs: strs}
	var err error
	if a.shape, err = cs.ints(base+attrShape, n); err != nil {
		return nil, err
	}
	r := valueReader{s: string(cs[base+attrKeys])}
	for len(r.s) > 0 {
		a.keys = append(a.keys, attrKey{uint32(r.uvarint()), r.byte()})
	}
	bad := r.bad
	r = valueReader{s: string(cs[base+attrShapes])}
	for len(r.s) > 0 {
		l := valueReader{s: r.string()}
		var shape []uint32
		for len(l.s) > 0 {
			c := l.uvarint()
			if bad = bad || l.bad || c >= uint64(len(a.keys)); bad {
				break
			}
			shape = append(shape, uint32(c))
		}
		a.shapes = append(a.shapes, shape)
	}
	if bad || r.bad {
		return nil, corrupt("attribute table %d", base)
	}
	rest := cs[base+attrValues]
	a.values = make([]ints, len(a.keys))
	for i := range a.values {
		if a.values[i], rest, err = parseInts(rest); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// cursor walks an attribute table's items in ascending order. What lies between
// two items that are wanted is skipped by shape, not item by item.
type cursor struct {
	a       *attrs
	next    int      // the first item not yet passed
	skipped []uint32 // items passed since the last read, by shape
	at      []uint32 // the next value of each column
}

func (a *attrs) cursor() cursor {
	return cursor{a: a, skipped: make([]uint32, len(a.shapes)), at: make([]uint32, len(a.keys))}
}

// read returns the attributes of item i, which must not lie before one that
// was read already. It returns nil for an item without any.
func (c *cursor) read(i int) []attribute.KeyValue {
	a := c.a
	if len(a.shapes) == 0 {
		return nil
	}
	for ; c.next < i; c.next++ {
		if s := a.shape.at(c.next); uint64(s) < uint64(len(c.skipped)) {
			c.skipped[s]++
		}
	}
	for s, n := range c.skipped {
		if n > 0 {
			for _, col := range a.shapes[s] {
				c.at[col] += n
			}
			c.skipped[s] = 0
		}
	}
	s := a.shape.at(i)
	c.next = i + 1
	if uint64(s) >= uint64(len(a.shapes)) || len(a.shapes[s]) == 0 {
		return nil
	}
	kvs := make([]attribute.KeyValue, len(a.shapes[s]))
	for k, col := range a.shapes[s] {
		v := a.values[col].at(int(c.at[col]))
		c.at[col]++
		key := a.keys[col]
		kvs[k] = attribute.KeyValue{Key: attribute.Key(a.strs.at(int64(key.key))), Value: a.value(key.typ, v)}
	}
	return kvs
}

func (a *attrs) value(typ byte, v int64) attribute.Value {
	switch typ {
	case typeEmpty:
		return attribute.Value{}
	case typeBool:
		return attribute.BoolValue(v != 0)
	case typeInt64:
		return attribute.Int64Value(v)
	case typeFloat64:
		return attribute.Float64Value(math.Float64frombits(uint64(v)))
	case typeString:
		return attribute.StringValue(a.strs.at(v))
	}
	r := valueReader{s: a.strs.at(v)}
	return r.value(0)
}
