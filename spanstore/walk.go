package spanstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// What a bbolt file is made of; integers are in the machine's byte order.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeaderLen  = 16 // id uint64, flags uint16, count uint16, overflow uint32
	elementLen     = 16 // leaf: flags, pos, ksize, vsize uint32; branch: pos, ksize uint32, pgid uint64
	bucketLen      = 16 // root uint64, sequence uint64; an inline bucket's page follows
	metaLen        = 64
	maxKeyLen      = 32768 // bbolt's own limit
	maxWalkDepth   = 32    // pages and buckets below one another; ours have four
	maxInlineBytes = pageSize
	maxFaults      = 64 // that a lenient walk remembers

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf element
)

var order = binary.NativeEndian

// extent is a run of bytes in a file.
type extent struct{ off, len int64 }

// place is where a block stands.
type place struct {
	seq           uint64
	summary, data extent
	read          []byte // the summary, as the walk came by it; nil when it did not
}

// walkResult is what a segment's pages hold, as far as the walk came.
type walkResult struct {
	tx    uint64 // the transaction of the meta page in force
	pages uint64 // below the high-water mark
	torn  bool   // the other meta page is not as the commit before left it

	top    []string          // the buckets of the root
	meta   map[string]extent // the values of bucket meta
	runs   []extent          // those of bucket runs, oldest first
	blocks []place           // ascending
	commit extent            // the number of the transaction, as the tree has it
	stray  []byte            // a key of bucket blocks that is no bucket

	faults []error // what a lenient walk passed over
}

// walk checks every page of a bbolt file that bbolt could come to, before bbolt
// maps the file: a page of another type, a wild position or a cycle makes it
// panic, fault, or fill the memory. Whatever the bytes are, walk ends, in time
// and memory proportional to the size. It is stricter than bbolt: an element
// must lie exactly where bbolt would have written it.
//
// Only pages' heads and keys are read, not values, which have checksums of their
// own: about a page of 4 KiB for each block of some 60.
//
// Damage is what isDamage says; any other error is the reader's.
func walk(r io.ReaderAt, size int64) (*walkResult, error) {
	w := &walker{r: r, size: size}
	err := w.run()
	return &w.res, err
}

// walkLeniently passes over what is damaged and returns what is left, together
// with the first fault. It is for looking, not for handing the file to bbolt.
func walkLeniently(r io.ReaderAt, size int64) (*walkResult, error) {
	w := &walker{r: r, size: size, lenient: true}
	err := w.run()
	if err == nil && len(w.res.faults) > 0 {
		err = w.res.faults[0]
	}
	return &w.res, err
}

type walker struct {
	r       io.ReaderAt
	size    int64
	lenient bool
	res     walkResult

	used []uint64 // a bit for each page that has been come to
	bufs [maxWalkDepth + 1][]byte
}

func (w *walker) run() error {
	m, err := w.metas()
	if err != nil {
		return err
	}
	w.res.tx, w.res.pages, w.res.meta = m.tx, m.pages, map[string]extent{}
	w.used = make([]uint64, (m.pages+63)/64)
	w.used[0] = 3 // the meta pages
	if err := w.pass(w.freelist(m.freelist)); err != nil {
		return err
	}
	if err := w.pass(w.page(m.root, nil, nil, nil, 0)); err != nil {
		return err
	}
	for id := range m.pages {
		if w.used[id/64]&(1<<(id%64)) == 0 {
			// Harmless for bbolt, but it leaves no such page: what led to it is lost.
			return w.pass(damage("page %d is neither in use nor free", id))
		}
	}
	return nil
}

// pass lets a lenient walk go on after damage.
func (w *walker) pass(err error) error {
	if err != nil && w.lenient && isDamage(err) {
		if len(w.res.faults) < maxFaults {
			w.res.faults = append(w.res.faults, err)
		}
		return nil
	}
	return err
}

// readAt fills b; bytes that are not there are damage.
func (w *walker) readAt(b []byte, off int64) error {
	n, err := w.r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return damage("it is cut off at byte %d", off+int64(n))
	}
	return fmt.Errorf("read at byte %d: %w", off, err)
}

type boltMeta struct {
	id, flags                 uint64 // of the page it stands in
	pageSize                  uint32
	root, freelist, pages, tx uint64
}

// parseMeta returns nil for a meta page that bbolt would not accept.
func parseMeta(page []byte) *boltMeta {
	b := page[pageHeaderLen : pageHeaderLen+metaLen]
	sum := fnv.New64a()
	sum.Write(b[:56])
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion || order.Uint64(b[56:]) != sum.Sum64() {
		return nil
	}
	return &boltMeta{
		id: order.Uint64(page), flags: uint64(order.Uint16(page[8:])), pageSize: order.Uint32(b[8:]),
		root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), tx: order.Uint64(b[48:]),
	}
}

// metas returns the meta page in force: of the intact ones that with the higher
// transaction, as bbolt chooses.
func (w *walker) metas() (*boltMeta, error) {
	if w.size < 4*pageSize {
		return nil, damage("%d bytes are too few for a segment", w.size)
	}
	b := make([]byte, 2*pageSize)
	if err := w.readAt(b, 0); err != nil {
		return nil, err
	}
	m, at := parseMeta(b), uint64(0)
	other := parseMeta(b[pageSize:])
	if m == nil {
		// bbolt then looks for a smaller page size.
		for _, off := range []int{1024, 2048} {
			if parseMeta(b[off:]) != nil {
				return nil, damage("there is a meta page at byte %d", off)
			}
		}
	}
	if m == nil || other != nil && other.tx > m.tx {
		m, other, at = other, m, 1
	}
	switch {
	case m == nil:
		return nil, damage("it is no bbolt file, or both of its meta pages are damaged")
	case m.pageSize != pageSize:
		return nil, damage("its pages have %d bytes, not %d", m.pageSize, pageSize)
	case other != nil && other.pageSize != pageSize:
		return nil, damage("meta page %d says that pages have %d bytes, not %d", 1-at, other.pageSize, pageSize)
	case m.id != at || m.flags != flagMeta || m.tx%2 != at:
		return nil, damage("meta page %d of transaction %d is not where it belongs", at, m.tx)
	case m.pages < 4 || m.pages > uint64(w.size)/pageSize:
		if w.lenient && m.pages >= 4 {
			m.pages = uint64(w.size) / pageSize
			w.res.faults = append(w.res.faults, damage("it is cut off after %d bytes", w.size))
			break
		}
		return nil, damage("it is cut off: %d bytes hold no %d pages", w.size, m.pages)
	}
	w.res.torn = other == nil || other.id != 1-at || other.flags != flagMeta || other.tx+1 != m.tx
	return m, nil
}

// take marks the pages from id on as used.
func (w *walker) take(id, n uint64, what string) error {
	if id < 2 || id >= w.res.pages || n > w.res.pages-id {
		return damage("%s of %d pages at page %d reaches over the end, %d", what, n, id, w.res.pages)
	}
	for i := id; i < id+n; i++ {
		if bit := uint64(1) << (i % 64); w.used[i/64]&bit != 0 {
			return damage("page %d is used twice, the second time by the %s at page %d", i, what, id)
		} else {
			w.used[i/64] |= bit
		}
	}
	return nil
}

// head reads a page's first 4 KiB into the buffer of its depth, and checks what
// its header says.
func (w *walker) head(id uint64, depth int) (b []byte, span uint64, err error) {
	if id < 2 || id >= w.res.pages {
		return nil, 0, damage("there is no page %d: there are %d", id, w.res.pages)
	}
	if w.bufs[depth] == nil {
		w.bufs[depth] = make([]byte, pageSize)
	}
	b = w.bufs[depth][:pageSize]
	if err := w.readAt(b, int64(id)*pageSize); err != nil {
		return nil, 0, err
	}
	if got := order.Uint64(b); got != id {
		return nil, 0, damage("page %d says that it is page %d", id, got)
	}
	return b, uint64(order.Uint32(b[12:])) + 1, nil
}

// freelist checks the list of free pages: ascending, and of pages that nothing
// else uses.
func (w *walker) freelist(id uint64) error {
	b, span, err := w.head(id, 0)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	if flags := order.Uint16(b[8:]); flags != flagFreelist {
		return damage("page %d has type %#x where the free list was expected", id, flags)
	}
	if err := w.take(id, span, "free list"); err != nil {
		return err
	}
	n, at := uint64(order.Uint16(b[10:])), int64(pageHeaderLen)
	if n == 0xffff { // too many for the header
		n, at = order.Uint64(b[pageHeaderLen:]), pageHeaderLen+8
	}
	if n > w.res.pages || uint64(at)+8*n > span*pageSize {
		return damage("the free list at page %d has no room for %d pages", id, n)
	}
	for before := uint64(0); n > 0; {
		chunk := b[:min(uint64(len(b)), 8*n)]
		if err := w.readAt(chunk, int64(id)*pageSize+at); err != nil {
			return err
		}
		for i := 0; i < len(chunk); i += 8 {
			free := order.Uint64(chunk[i:])
			if free <= before {
				return damage("the free list at page %d has page %d after %d", id, free, before)
			}
			if err := w.take(free, 1, "free list"); err != nil {
				return err
			}
			before = free
		}
		n -= uint64(len(chunk)) / 8
		at += int64(len(chunk))
	}
	return nil
}

// page checks the page id and all below it. Its keys must be at least lo and
// less than hi; a nil bound is none. path is the keys of the buckets it is in.
func (w *walker) page(id uint64, lo, hi []byte, path [][]byte, depth int) error {
	if depth >= maxWalkDepth {
		return damage("page %d lies %d pages deep", id, depth)
	}
	b, span, err := w.head(id, depth)
	if err != nil {
		return err
	}
	p := node{at: int64(id) * pageSize, room: int64(span) * pageSize, flags: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), buf: b}
	p.name = func() string { return fmt.Sprintf("page %d", id) }
	if p.flags != flagBranch && p.flags != flagLeaf {
		return damage("page %d has type %#x where a branch or leaf was expected", id, p.flags)
	}
	if err := w.take(id, span, "page"); err != nil {
		return err
	}
	if err := w.grow(&p, depth); err != nil {
		return err
	}
	if p.flags == flagLeaf {
		return w.leaf(&p, lo, hi, path, depth)
	}
	return w.branch(&p, lo, hi, path, depth)
}

// node is a page with elements, or one inside an inline bucket.
type node struct {
	at    int64 // in the file
	room  int64 // its bytes, overflow included
	flags uint16
	count int
	buf   []byte // its beginning, all elements included
	name  func() string
	end   int64 // of the data that was checked so far
	key   []byte
}

// grow makes sure that the elements are in the buffer.
func (w *walker) grow(p *node, depth int) error {
	n := int64(pageHeaderLen + p.count*elementLen)
	p.end = n
	switch {
	case n > p.room:
		return damage("%s has no room for its %d elements", p.name(), p.count)
	case n <= int64(len(p.buf)):
		return nil
	}
	w.bufs[depth] = make([]byte, n)
	p.buf = w.bufs[depth]
	return w.readAt(p.buf, p.at)
}

// bytes returns n bytes of the page, nil when they are not in the buffer.
func (p *node) bytes(at, n int64) []byte {
	if at+n > int64(len(p.buf)) {
		return nil
	}
	return p.buf[at : at+n]
}

// next checks that the element's key begins where the one before it ended, and
// its order. It returns where the value begins.
func (w *walker) next(p *node, i int, pos, ksize, vsize uint32, lo, hi []byte) (value int64, err error) {
	element := int64(pageHeaderLen + i*elementLen)
	at := element + int64(pos)
	value = at + int64(ksize)
	switch {
	case at != p.end:
		return 0, damage("element %d of %s begins at byte %d, not %d", i, p.name(), at, p.end)
	case ksize == 0 || ksize > maxKeyLen:
		return 0, damage("element %d of %s has a key of %d bytes", i, p.name(), ksize)
	case value+int64(vsize) > p.room:
		return 0, damage("element %d of %s reaches %d bytes over its end", i, p.name(), value+int64(vsize)-p.room)
	}
	var key []byte
	if value <= int64(len(p.buf)) {
		key = p.buf[at:value:value]
	} else {
		key = make([]byte, ksize)
		if err := w.readAt(key, p.at+at); err != nil {
			return 0, err
		}
	}
	switch {
	case p.key != nil && bytes.Compare(p.key, key) >= 0:
		return 0, damage("key %x of %s comes after %x", shorten(key), p.name(), shorten(p.key))
	case bytes.Compare(key, lo) < 0, hi != nil && bytes.Compare(key, hi) >= 0:
		return 0, damage("key %x of %s is not between those of the page above", shorten(key), p.name())
	}
	p.key, p.end = key, value+int64(vsize)
	return value, nil
}

func shorten(key []byte) []byte { return key[:min(len(key), 32)] }

// fits checks that the page takes as much room as its elements need, no more.
func (p *node) fits() error {
	if need := (p.end + pageSize - 1) / pageSize * pageSize; p.room != need {
		return damage("%s takes %d bytes and needs %d", p.name(), p.room, need)
	}
	return nil
}

func (w *walker) branch(p *node, lo, hi []byte, path [][]byte, depth int) error {
	if p.count == 0 {
		return damage("branch %s is empty", p.name())
	}
	// All keys first: a child's upper bound is the key after its own.
	keys, children := make([][]byte, 0, p.count), make([]uint64, 0, p.count)
	var fault error
	for i := range p.count {
		e := p.buf[pageHeaderLen+i*elementLen:]
		if _, fault = w.next(p, i, order.Uint32(e), order.Uint32(e[4:]), 0, lo, hi); fault != nil {
			break
		}
		keys, children = append(keys, p.key), append(children, order.Uint64(e[8:]))
	}
	if fault == nil {
		fault = p.fits()
	}
	if fault = w.pass(fault); fault != nil {
		return fault
	}
	for i, child := range children {
		upper := hi
		if i+1 < len(keys) {
			upper = keys[i+1]
		}
		if err := w.pass(w.page(child, keys[i], upper, path, depth+1)); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(p *node, lo, hi []byte, path [][]byte, depth int) error {
	if p.count == 0 { // bbolt keeps an empty bucket inline
		return damage("leaf %s is empty", p.name())
	}
	for i := range p.count {
		e := p.buf[pageHeaderLen+i*elementLen:]
		flags, vsize := order.Uint32(e), order.Uint32(e[12:])
		at, err := w.next(p, i, order.Uint32(e[4:]), order.Uint32(e[8:]), vsize, lo, hi)
		if err != nil {
			return err
		}
		v := extent{p.at + at, int64(vsize)}
		switch flags {
		case 0:
			w.found(path, p.key, v, p.bytes(at, v.len))
		case flagBucket:
			if err := w.pass(w.bucket(p, at, v, path, depth)); err != nil {
				return err
			}
		default:
			return damage("element %d of %s has the flags %#x", i, p.name(), flags)
		}
	}
	return p.fits()
}

// bucket checks the bucket under p's current key, whose header is the value v.
func (w *walker) bucket(p *node, at int64, v extent, path [][]byte, depth int) error {
	if v.len < bucketLen || v.len > bucketLen+maxInlineBytes {
		return damage("bucket %x of %s has a header of %d bytes", shorten(p.key), p.name(), v.len)
	}
	var head []byte
	if at+v.len <= int64(len(p.buf)) {
		head = p.buf[at : at+v.len]
	} else {
		head = make([]byte, v.len)
		if err := w.readAt(head, v.off); err != nil {
			return err
		}
	}
	if len(path) == 0 && len(w.res.top) < maxFaults {
		w.res.top = append(w.res.top, string(shorten(p.key)))
	}
	path = append(path[:len(path):len(path)], p.key)
	if len(path) == 2 && bytes.Equal(path[0], bucketBlocks) {
		return w.block(p, head, v, path, depth)
	}
	return w.inside(p, head, v, path, depth)
}

// block checks the bucket of a block, in which there must be something.
func (w *walker) block(p *node, head []byte, v extent, path [][]byte, depth int) error {
	key := bytes.Clone(shorten(p.key))
	if len(p.key) != 8 {
		return damage("a block has the number %x", key)
	}
	before := len(w.res.blocks)
	err := w.inside(p, head, v, path, depth)
	if err == nil && len(w.res.blocks) == before {
		err = damage("block %x is empty", key)
	}
	return err
}

// inside checks what is in the bucket under p's current key.
func (w *walker) inside(p *node, head []byte, v extent, path [][]byte, depth int) error {
	if root := order.Uint64(head); root != 0 {
		if v.len != bucketLen {
			return damage("bucket %x of %s is both inline and at page %d", shorten(p.key), p.name(), root)
		}
		return w.page(root, nil, nil, path, depth+1)
	}
	return w.inline(p.name, extent{v.off + bucketLen, v.len - bucketLen}, head[bucketLen:], path)
}

// inline checks a bucket that lies inside a value: one leaf without buckets.
func (w *walker) inline(in func() string, at extent, b []byte, path [][]byte) error {
	p := node{at: at.off, room: at.len, buf: b}
	p.name = func() string { return fmt.Sprintf("inline bucket %x of %s", shorten(path[len(path)-1]), in()) }
	if at.len < pageHeaderLen {
		return damage("%s has %d bytes", p.name(), at.len)
	}
	p.flags, p.count = order.Uint16(b[8:]), int(order.Uint16(b[10:]))
	p.end = int64(pageHeaderLen + p.count*elementLen)
	if p.flags != flagLeaf || order.Uint64(b) != 0 || order.Uint32(b[12:]) != 0 || p.end > p.room {
		return damage("%s has a bad page header", p.name())
	}
	for i := range p.count {
		e := b[pageHeaderLen+i*elementLen:]
		if flags := order.Uint32(e); flags != 0 {
			return damage("element %d of %s has the flags %#x", i, p.name(), flags)
		}
		vsize := order.Uint32(e[12:])
		value, err := w.next(&p, i, order.Uint32(e[4:]), order.Uint32(e[8:]), vsize, nil, nil)
		if err != nil {
			return err
		}
		w.found(path, p.key, extent{p.at + value, int64(vsize)}, p.bytes(value, int64(vsize)))
	}
	if p.end != p.room {
		return damage("%s takes %d bytes and needs %d", p.name(), p.room, p.end)
	}
	return nil
}

// found notes a value of a segment; b is its bytes if they are at hand. What is
// not part of the format is passed over: a later version may have put it there.
func (w *walker) found(path [][]byte, key []byte, v extent, b []byte) {
	switch {
	case len(path) == 1 && bytes.Equal(path[0], bucketMeta) && len(key) < 64 && len(w.res.meta) < 64:
		w.res.meta[string(key)] = v
	case len(path) == 1 && bytes.Equal(path[0], bucketCommit) && bytes.Equal(key, keyTx):
		w.res.commit = v
	case len(path) == 1 && bytes.Equal(path[0], bucketRuns) && len(key) == 8:
		w.res.runs = append(w.res.runs, v)
	case len(path) == 1 && bytes.Equal(path[0], bucketBlocks):
		w.res.stray = bytes.Clone(shorten(key))
	case len(path) == 2 && bytes.Equal(path[0], bucketBlocks) && len(path[1]) == 8:
		seq := binary.BigEndian.Uint64(path[1])
		if n := len(w.res.blocks); n == 0 || w.res.blocks[n-1].seq != seq {
			w.res.blocks = append(w.res.blocks, place{seq: seq})
		}
		of := &w.res.blocks[len(w.res.blocks)-1]
		switch {
		case bytes.Equal(key, keySummary):
			of.summary, of.read = v, bytes.Clone(b)
		case bytes.Equal(key, keyData):
			of.data = v
		}
	}
}
