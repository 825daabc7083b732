package block

import (
	"encoding/binary"
	"math"
	"slices"

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
	cols    []attrColumn
	at      map[attrKey]uint32 // position in cols
	shapes  map[string]uint32
	layouts []string   // each shape's columns as uvarints
	columns [][]uint32 // the same, unpacked
	arena   []uint32   // what columns is made of
	layout  []byte     // of the item being added
	shape   []uint32
	count   int // of all values

	layoutBytes int // of all layouts

	// Of the item being added: its columns, the shape that it is expected to
	// have (-1 for none any more) and that shape's columns, and where the
	// expectation comes from.
	item     []uint32
	expected int
	want     []uint32
	hint     uint32
	guess    [256]int32 // shape + 1 by hint
}

// attrColumn is a value column being filled.
type attrColumn struct {
	attrKey
	name   string // the key; the program's own string, which its next span brings again
	values []int64
}

func (b *attrBuilder) reset() {
	if b.at == nil {
		b.at, b.shapes = map[attrKey]uint32{}, map[string]uint32{}
	}
	clear(b.at)
	clear(b.shapes)
	clear(b.guess[:])
	clear(b.layouts)
	b.layouts, b.columns, b.arena, b.shape = b.layouts[:0], b.columns[:0], b.arena[:0], b.shape[:0]
	b.cols, b.count, b.layoutBytes = b.cols[:0], 0, 0
}

// begin begins an item.
func (b *attrBuilder) begin(hint uint32) {
	b.hint = hint % uint32(len(b.guess))
	b.expected, b.want = int(b.guess[b.hint])-1, nil
	if b.expected >= 0 {
		b.want = b.columns[b.expected]
	}
	b.item = b.item[:0]
}

// column returns the column of the item's next attribute.
func (b *attrBuilder) column(strs *stringBuilder, key string, typ byte) *attrColumn {
	if n := len(b.item); n < len(b.want) {
		col := b.want[n]
		if c := &b.cols[col]; c.typ == typ && c.name == key {
			b.item = append(b.item, col)
			return c
		}
	}
	b.expected, b.want = -1, nil
	k := attrKey{strs.id(key), typ}
	col, ok := b.at[k]
	if !ok {
		col = uint32(len(b.cols))
		b.at[k] = col
		if n := len(b.cols); n < cap(b.cols) {
			b.cols = b.cols[:n+1] // its values' memory is used again
			b.cols[n] = attrColumn{k, key, b.cols[n].values[:0]}
		} else {
			b.cols = append(b.cols, attrColumn{attrKey: k, name: key})
		}
	}
	b.item = append(b.item, col)
	return &b.cols[col]
}

// addNumber adds an attribute whose value a column holds as it is.
func (b *attrBuilder) addNumber(strs *stringBuilder, key string, typ byte, v int64) {
	c := b.column(strs, key, typ)
	c.values = append(c.values, v)
	b.count++
}

// addText adds an attribute whose value goes to the string table.
func (b *attrBuilder) addText(strs *stringBuilder, key string, typ byte, text string) {
	c := b.column(strs, key, typ)
	b.count++
	if n := len(c.values); n > 0 { // many columns hold the same string over and over
		if last := c.values[n-1]; strs.is(uint32(last), text) {
			c.values = append(c.values, last)
			return
		}
	}
	c.values = append(c.values, int64(strs.id(text)))
}

// finish ends the item.
func (b *attrBuilder) finish() {
	if b.expected >= 0 && len(b.item) == len(b.want) {
		b.shape = append(b.shape, uint32(b.expected))
		b.item = b.item[:0]
		return
	}
	b.layout = b.layout[:0]
	for _, c := range b.item {
		b.layout = binary.AppendUvarint(b.layout, uint64(c))
	}
	id, ok := b.shapes[string(b.layout)]
	if !ok {
		id = uint32(len(b.layouts))
		layout, from := string(b.layout), len(b.arena)
		b.layouts = append(b.layouts, layout)
		b.layoutBytes += len(layout) + binary.MaxVarintLen64
		b.arena = append(b.arena, b.item...)
		b.columns = append(b.columns, b.arena[from:len(b.arena):len(b.arena)])
		b.shapes[layout] = id
	}
	b.guess[b.hint] = int32(id) + 1
	b.shape = append(b.shape, id)
	b.item = b.item[:0]
}

// rollBack takes the item being added, and those from item n on, out again.
func (b *attrBuilder) rollBack(n int) {
	pop := func(cols []uint32) {
		for _, c := range cols {
			if v := &b.cols[c].values; len(*v) > 0 {
				*v = (*v)[:len(*v)-1]
				b.count--
			}
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
		cols:    make([]attrColumn, len(b.cols)),
		layouts: append([]string(nil), b.layouts...),
		shape:   append([]uint32(nil), b.shape...),
	}
	all := make([]int64, 0, b.count)
	for i, col := range b.cols {
		from := len(all)
		all = append(all, col.values...)
		c.cols[i] = attrColumn{attrKey: col.attrKey, values: all[from:len(all):len(all)]}
	}
	return c
}

// appendTo appends the table's columns, each made in buf first, as its length
// stands before it. It returns buf too, to be used again.
func (b *attrBuilder) appendTo(dst, buf []byte, base byte) (_, _ []byte) {
	if len(b.shape) == 0 {
		return dst, buf
	}
	buf = buf[:0]
	for i := range b.cols {
		buf = append(binary.AppendUvarint(buf, uint64(b.cols[i].key)), b.cols[i].typ)
	}
	dst = appendColumn(dst, base+attrKeys, buf)
	buf = buf[:0]
	for _, l := range b.layouts {
		buf = append(binary.AppendUvarint(buf, uint64(len(l))), l...)
	}
	dst = appendColumn(dst, base+attrShapes, buf)
	dst = appendInts(dst, base+attrShape, b.shape)
	buf = buf[:0]
	for i := range b.cols {
		buf = appendBare(buf, b.cols[i].values)
	}
	return appendColumn(dst, base+attrValues, buf), buf
}

// attrs is an attribute table, read in place.
type attrs struct {
	strs   *stringTable
	keys   []attrKey
	shapes [][]uint32
	shape  ints
	values []ints
	cols   []uint32 // what the shapes are made of
}

func parseAttrs(cs columns, base byte, n int, strs *stringTable) (*attrs, error) {
	a := new(attrs)
	return a, a.parse(cs, base, n, strs)
}

// parse makes a the table at base, of n items, in the memory that a has.
func (a *attrs) parse(cs columns, base byte, n int, strs *stringTable) (err error) {
	*a = attrs{strs: strs, keys: a.keys[:0], shapes: a.shapes[:0], values: a.values[:0], cols: a.cols[:0]}
	if a.shape, err = cs.ints(base+attrShape, n); err != nil {
		return err
	}
	r := valueReader{s: string(cs[base+attrKeys])}
	for len(r.s) > 0 {
		a.keys = append(a.keys, attrKey{uint32(r.uvarint()), r.byte()})
	}
	bad := r.bad
	r = valueReader{s: string(cs[base+attrShapes])}
	for len(r.s) > 0 {
		l := valueReader{s: r.string()}
		from := len(a.cols)
		for len(l.s) > 0 {
			c := l.uvarint()
			if bad = bad || l.bad || c >= uint64(len(a.keys)); bad {
				break
			}
			a.cols = append(a.cols, uint32(c))
		}
		a.shapes = append(a.shapes, a.cols[from:len(a.cols):len(a.cols)])
	}
	if bad || r.bad {
		return corrupt("attribute table %d", base)
	}
	rest := cs[base+attrValues]
	for range a.keys {
		var v ints
		if v, rest, err = parseInts(rest); err != nil {
			return err
		}
		a.values = append(a.values, v)
	}
	return nil
}

// cursor walks an attribute table's items in ascending order. What lies between
// two items that are wanted is skipped by shape, not item by item.
type cursor struct {
	a       *attrs
	next    int      // the first item not yet passed
	skipped []uint32 // items passed since the last read, by shape
	at      []uint32 // the next value of each column
	keys    []string // of the columns, once they are asked for

	// reuse says that the caller copies an item's attributes before it reads the
	// next, so that kvs may have both.
	reuse bool
	kvs   []attribute.KeyValue
}

func (a *attrs) cursor() cursor {
	if len(a.shapes) == 0 {
		return cursor{a: a}
	}
	return cursor{
		a: a, skipped: make([]uint32, len(a.shapes)), at: make([]uint32, len(a.keys)), keys: make([]string, len(a.keys)),
	}
}

// read returns the attributes of item i, which must not lie before one that
// was read already. It returns nil for an item without any.
func (c *cursor) read(i int) []attribute.KeyValue {
	a := c.a
	if len(a.shapes) == 0 {
		return nil
	}
	c.skip(i)
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
	kvs := c.room(len(a.shapes[s]))
	for k, col := range a.shapes[s] {
		v := a.values[col].at(int(c.at[col]))
		c.at[col]++
		key := a.keys[col]
		if c.keys[col] == "" {
			c.keys[col] = a.strs.key(int64(key.key))
		}
		kvs[k] = attribute.KeyValue{Key: attribute.Key(c.keys[col]), Value: a.value(key.typ, v)}
	}
	return kvs
}

// room returns memory for n attributes.
func (c *cursor) room(n int) []attribute.KeyValue {
	if !c.reuse {
		return make([]attribute.KeyValue, n)
	}
	c.kvs = slices.Grow(c.kvs[:0], n)[:n]
	return c.kvs
}

// skip counts the items before i by their shapes. Mostly a shape is one byte.
func (c *cursor) skip(i int) {
	shape := &c.a.shape
	if shape.w == 1 && shape.least == 0 && c.next < i && i <= shape.n {
		for _, s := range shape.planes[c.next:i] {
			if int(s) < len(c.skipped) {
				c.skipped[s]++
			}
		}
		c.next = i
		return
	}
	for ; c.next < i; c.next++ {
		if s := shape.at(c.next); uint64(s) < uint64(len(c.skipped)) {
			c.skipped[s]++
		}
	}
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
		return attribute.StringValue(a.strs.own(v))
	}
	r := valueReader{s: a.strs.own(v)}
	return r.value(0)
}
