package block

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"unsafe"

	"go.opentelemetry.io/otel/trace"
)

// stringBuilder collects the strings of a block, each once. Position 0 is "".
//
// It is the encoder's innermost loop, so it is a hash table of its own: Go's map
// takes a copy of each key, 1.2 allocations a span, and twice the time.
type stringBuilder struct {
	seed   maphash.Seed
	slots  []uint32 // position, open addressing; 0 is free, as "" is never looked up
	hashes []uint32 // of each string
	ends   []uint32 // of each string in text
	text   []byte
}

// firstSlots holds the strings of an ordinary block without growing.
const firstSlots = 4096

func (b *stringBuilder) reset() {
	if b.slots == nil {
		b.seed, b.slots = maphash.MakeSeed(), make([]uint32, firstSlots)
	}
	if len(b.slots) > 4*firstSlots {
		b.slots = make([]uint32, firstSlots) // one odd block must not cost every other
	}
	clear(b.slots)
	b.hashes, b.ends, b.text = append(b.hashes[:0], 0), append(b.ends[:0], 0), b.text[:0]
}

// id returns the position of s, which it copies when it is new.
func (b *stringBuilder) id(s string) uint32 {
	if s == "" {
		return 0
	}
	h := uint32(maphash.String(b.seed, s))
	mask := uint32(len(b.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		id := b.slots[i]
		if id == 0 {
			return b.add(s, h, i)
		}
		if b.hashes[id] == h && b.is(id, s) {
			return id
		}
	}
}

// idOf is id for a string in memory that will be used again.
func (b *stringBuilder) idOf(s []byte) uint32 {
	return b.id(unsafe.String(unsafe.SliceData(s), len(s))) // which copies it
}

// is reports whether s stands at position id.
func (b *stringBuilder) is(id uint32, s string) bool {
	var from uint32
	if id > 0 {
		from = b.ends[id-1]
	}
	return string(b.text[from:b.ends[id]]) == s
}

func (b *stringBuilder) add(s string, h, slot uint32) uint32 {
	id := uint32(len(b.ends))
	b.text = append(b.text, s...)
	b.hashes = append(b.hashes, h)
	b.ends = append(b.ends, uint32(len(b.text)))
	b.slots[slot] = id
	if len(b.ends) > len(b.slots)/2 {
		b.grow()
	}
	return id
}

func (b *stringBuilder) grow() {
	b.slots = make([]uint32, 2*len(b.slots))
	mask := uint32(len(b.slots) - 1)
	for id := 1; id < len(b.hashes); id++ {
		i := b.hashes[id] & mask
		for b.slots[i] != 0 {
			i = (i + 1) & mask
		}
		b.slots[i] = uint32(id)
	}
}

// appendTo appends the strings' columns. It makes their lengths in buf, which it
// returns to be used again.
func (b *stringBuilder) appendTo(dst []byte, buf []uint32) ([]byte, []uint32) {
	buf = slices.Grow(buf[:0], len(b.ends))[:len(b.ends)]
	from := uint32(0)
	for i, end := range b.ends {
		buf[i], from = end-from, end
	}
	dst = appendInts(dst, strLens, buf)
	return appendColumn(dst, strText, b.text), buf
}

// traceTable keeps each trace id of a block once. The spans of a trace often
// follow one another.
type traceTable struct {
	at     map[trace.TraceID]uint32
	raw    []byte
	last   trace.TraceID
	lastAt uint32
}

func (t *traceTable) reset() {
	if t.at == nil {
		t.at = map[trace.TraceID]uint32{}
	}
	clear(t.at)
	t.raw = t.raw[:0]
}

func (t *traceTable) id(id trace.TraceID) uint32 {
	if len(t.raw) > 0 && id == t.last {
		return t.lastAt
	}
	i, ok := t.at[id]
	if !ok {
		i = uint32(len(t.at))
		t.at[id] = i
		t.raw = append(t.raw, id[:]...)
	}
	t.last, t.lastAt = id, i
	return i
}

// spanTable finds spans by their id: open addressing again, as span ids are
// random and there are thousands to put in at once.
type spanTable struct {
	ids   []byte // 8 bytes each
	slots []uint32
	mask  uint32
}

func newSpanTable(ids []byte, slots []uint32) *spanTable {
	size := 16
	for size < len(ids)/4 { // twice as many slots as ids
		size *= 2
	}
	if cap(slots) < size {
		slots = make([]uint32, size)
	}
	t := &spanTable{ids: ids, slots: slots[:size], mask: uint32(size - 1)}
	clear(t.slots)
	for n := range len(ids) / 8 {
		i := t.slot(ids[8*n:])
		for t.slots[i] != 0 {
			i = (i + 1) & t.mask
		}
		t.slots[i] = uint32(n) + 1
	}
	return t
}

func (t *spanTable) slot(id []byte) uint32 {
	h := binary.LittleEndian.Uint64(id) * 0x9e3779b97f4a7c15
	return uint32(h>>32) & t.mask
}

// find returns the number of the span with the id, -1 when there is none.
func (t *spanTable) find(id []byte) int32 {
	want := binary.LittleEndian.Uint64(id)
	for i := t.slot(id); ; i = (i + 1) & t.mask {
		n := t.slots[i]
		if n == 0 {
			return -1
		}
		if binary.LittleEndian.Uint64(t.ids[8*(n-1):]) == want {
			return int32(n) - 1
		}
	}
}
