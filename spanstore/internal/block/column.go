package block

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"unsafe"
)

// columns are the bytes of a section's columns by their ids, nil for one that is
// absent.
type columns = *columnTable

type columnTable [maxColumn + 1][]byte

// maxColumn is the highest id of a column. Higher ones are a later version's.
const maxColumn = colSignalValues + MaxSignals - 1

var noColumns = new(columnTable)

// parse finds the columns of a section.
func (cs *columnTable) parse(b []byte) error {
	clear(cs[:])
	for len(b) > 0 {
		id := b[0]
		n, k := binary.Uvarint(b[1:])
		if k <= 0 || n > uint64(len(b)-1-k) {
			return corrupt("column %d is cut off", id)
		}
		end := 1 + k + int(n)
		if id <= maxColumn {
			cs[id] = b[1+k : end : end]
		}
		b = b[end:]
	}
	return nil
}

func appendColumn(dst []byte, id byte, body []byte) []byte {
	dst = append(dst, id)
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// number is what integer columns are made from.
type number interface {
	int64 | uint64 | uint32 | int32 | uint8
}

// appendInts appends an integer column: frame of reference, byte planes.
func appendInts[T number](dst []byte, id byte, vs []T) []byte {
	least, width := bounds(vs)
	var head [2*binary.MaxVarintLen64 + 1]byte
	h := appendHead(head[:0], len(vs), least, width)
	dst = append(dst, id)
	dst = binary.AppendUvarint(dst, uint64(len(h)+width*len(vs)))
	return appendPlanes(append(dst, h...), vs, least, width)
}

// appendBare appends an integer column without an id and a length.
func appendBare[T number](dst []byte, vs []T) []byte {
	least, width := bounds(vs)
	return appendPlanes(appendHead(dst, len(vs), least, width), vs, least, width)
}

func appendHead(dst []byte, n int, least int64, width int) []byte {
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = binary.AppendVarint(dst, least)
	return append(dst, byte(width))
}

// bounds returns the least value and how many bytes the differences to it need.
func bounds[T number](vs []T) (least int64, width int) {
	if len(vs) == 0 {
		return 0, 0
	}
	lo, hi := vs[0], vs[0]
	for _, v := range vs {
		lo, hi = min(lo, v), max(hi, v)
	}
	return int64(lo), (bits.Len64(uint64(int64(hi))-uint64(int64(lo))) + 7) / 8
}

func appendPlanes[T number](dst []byte, vs []T, least int64, width int) []byte {
	at := len(dst)
	dst = slices.Grow(dst, width*len(vs))[:at+width*len(vs)]
	for p := range width {
		plane, shift := dst[at+p*len(vs):][:len(vs)], 8*p
		for i, v := range vs {
			plane[i] = byte((uint64(int64(v)) - uint64(least)) >> shift)
		}
	}
	return dst
}

// ints is an integer column that is read in place.
type ints struct {
	n, w   int
	least  int64
	planes []byte
}

// ints finds the column id, which must hold n values; an absent column is all
// zero. A negative n takes the count from the column.
func (cs *columnTable) ints(id byte, n int) (ints, error) {
	b := cs[id]
	if b == nil {
		return ints{n: max(0, n)}, nil
	}
	c, rest, err := parseInts(b)
	if err != nil {
		return c, err
	}
	if len(rest) != 0 || n >= 0 && c.n != n {
		return c, corrupt("column %d holds %d values, not %d", id, c.n, n)
	}
	return c, nil
}

// parseInts reads one integer column from the front of b.
func parseInts(b []byte) (c ints, rest []byte, err error) {
	count, k := binary.Uvarint(b)
	if k <= 0 || count > maxItems {
		return c, nil, corrupt("integer column without a count")
	}
	b = b[k:]
	least, k := binary.Varint(b)
	if k <= 0 || len(b) <= k {
		return c, nil, corrupt("integer column without a header")
	}
	c = ints{n: int(count), w: int(b[k]), least: least}
	b = b[k+1:]
	if c.w > 8 || c.n*c.w > len(b) {
		return c, nil, corrupt("integer column is cut off")
	}
	c.planes = b[:c.n*c.w]
	return c, b[c.n*c.w:], nil
}

// at returns value i, and 0 when there is none.
func (c *ints) at(i int) int64 {
	if uint(i) >= uint(c.n) {
		return 0
	}
	var v uint64
	for p := range c.w {
		v |= uint64(c.planes[p*c.n+i]) << (8 * p)
	}
	return c.least + int64(v)
}

// all returns all values, in buf if that is large enough. Plane by plane it takes
// a fifth of the time that at takes value by value.
func (c *ints) all(buf []int64) []int64 {
	buf = slices.Grow(buf[:0], c.n)[:c.n]
	for i := range buf {
		buf[i] = c.least
	}
	for p := range c.w {
		plane, shift := c.planes[p*c.n:][:c.n], 8*p
		for i, b := range plane {
			buf[i] += int64(uint64(b) << shift)
		}
	}
	return buf
}

// isZero reports that all values are 0, without looking at each.
func (c *ints) isZero() bool { return c.w == 0 && c.least == 0 }

// stringTable is the block's strings, read in place.
type stringTable struct {
	text string
	ends []uint32

	// borrowed says that the text is in memory that will be used again: what is
	// handed out must be a copy.
	borrowed bool

	// lent says that whoever it is handed out to copies it at once.
	lent bool

	keys *keyTexts // of a table whose text is borrowed
}

// keyTexts are copies of attribute keys, which one block after the other has.
type keyTexts map[string]string

const (
	maxKeyTexts = 256
	maxKeyText  = 128 // bytes: 32 KiB in all
)

// own returns a copy of key, mostly one that was made before.
func (k *keyTexts) own(key string) string {
	if own, ok := (*k)[key]; ok {
		return own
	}
	key = strings.Clone(key)
	if len(key) <= maxKeyText {
		if *k == nil || len(*k) >= maxKeyTexts {
			*k = keyTexts{}
		}
		(*k)[key] = key
	}
	return key
}

// parseStrings reads a table in place, into memory that is used again. The
// section must not change as long as the table and what it handed out are in use.
func parseStrings(cs columns, ends []uint32) (stringTable, error) {
	l, err := cs.ints(strLens, -1)
	if err != nil {
		return stringTable{}, err
	}
	text := cs[strText]
	t := stringTable{text: unsafe.String(unsafe.SliceData(text), len(text)), ends: l.append32(ends[:0])}
	var at uint64
	for i, n := range t.ends {
		if at += uint64(n); at > uint64(len(text)) {
			return stringTable{}, corrupt("string table is cut off")
		}
		t.ends[i] = uint32(at)
	}
	return t, nil
}

// at returns string i, and "" when there is none. It may be borrowed.
func (t *stringTable) at(i int64) string {
	if uint64(i) >= uint64(len(t.ends)) {
		return ""
	}
	var from uint32
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.text[from:t.ends[i]]
}

// own returns string i, to be kept.
func (t *stringTable) own(i int64) string {
	if t.borrowed && !t.lent {
		return strings.Clone(t.at(i))
	}
	return t.at(i)
}

// key returns string i, to be kept even by those who copy all else.
func (t *stringTable) key(i int64) string {
	if t.borrowed {
		return t.keys.own(t.at(i))
	}
	return t.at(i)
}
