package spanstore

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
)

func golden(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile("testdata/format1/00000001.seg")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// inForce returns the meta page that counts.
func inForce(b []byte) (*boltMeta, []byte) {
	m, page := parseMeta(b), b[:pageSize]
	if o := parseMeta(b[pageSize:]); m == nil || o != nil && o.tx > m.tx {
		m, page = o, b[pageSize:2*pageSize]
	}
	return m, page
}

func reseal(page []byte) {
	m := page[pageHeaderLen:][:metaLen]
	sum := fnv.New64a()
	sum.Write(m[:56])
	order.PutUint64(m[56:], sum.Sum64())
}

// Each kind of damage is named, with its place.
func TestWalkNamesTheDamage(t *testing.T) {
	page := func(b []byte, id uint64) []byte { return b[id*pageSize:][:pageSize] }
	root := func(b []byte) []byte {
		m, _ := inForce(b)
		return page(b, m.root)
	}
	setMeta := func(b []byte, field int, v uint64) {
		_, p := inForce(b)
		order.PutUint64(p[pageHeaderLen+field:], v)
		reseal(p)
	}
	for name, tc := range map[string]struct {
		damage func(b []byte) []byte
		want   string
	}{
		"nothing":          {func(b []byte) []byte { return nil }, "too few for a segment"},
		"no bbolt file":    {func(b []byte) []byte { clear(b[:2*pageSize]); return b }, "no bbolt file"},
		"cut off":          {func(b []byte) []byte { return b[:5*pageSize] }, "it is cut off"},
		"one meta page":    {func(b []byte) []byte { _, p := inForce(b); clear(p); return b }, "one of its meta pages is damaged"},
		"root beyond":      {func(b []byte) []byte { setMeta(b, 16, 1<<40); return b }, "there is no page 1099511627776"},
		"root is a meta":   {func(b []byte) []byte { setMeta(b, 16, 1); return b }, "there is no page 1"},
		"no free list":     {func(b []byte) []byte { setMeta(b, 32, ^uint64(0)); return b }, "free list: there is no page"},
		"too many pages":   {func(b []byte) []byte { setMeta(b, 40, 1<<30); return b }, "hold no 1073741824 pages"},
		"other page size":  {func(b []byte) []byte { setMeta(b, 8, 8192); return b }, "its pages have 8192 bytes, not 4096"},
		"wrong number":     {func(b []byte) []byte { order.PutUint64(root(b), 77); return b }, "says that it is page 77"},
		"wrong type":       {func(b []byte) []byte { order.PutUint16(root(b)[8:], flagFreelist); return b }, "has type 0x10 where a branch or leaf was expected"},
		"empty":            {func(b []byte) []byte { order.PutUint16(root(b)[10:], 0); return b }, "is empty"},
		"many elements":    {func(b []byte) []byte { order.PutUint16(root(b)[10:], 60000); return b }, "has no room for its 60000 elements"},
		"long":             {func(b []byte) []byte { order.PutUint32(root(b)[12:], 1<<31); return b }, "reaches over the end"},
		"element moved":    {func(b []byte) []byte { order.PutUint32(root(b)[pageHeaderLen+4:], 4000); return b }, "begins at byte"},
		"empty key":        {func(b []byte) []byte { order.PutUint32(root(b)[pageHeaderLen+8:], 0); return b }, "a key of 0 bytes"},
		"long value":       {func(b []byte) []byte { order.PutUint32(root(b)[pageHeaderLen+12:], 1<<31); return b }, "over its end"},
		"unknown flags":    {func(b []byte) []byte { order.PutUint32(root(b)[pageHeaderLen:], 6); return b }, "has the flags 0x6"},
		"order of keys":    {func(b []byte) []byte { copy(key(root(b), 0), "zzzz"); return b }, "comes after"},
		"no such bucket":   {func(b []byte) []byte { copy(key(root(b), 0), "aaaa"); return b }, "has no bucket blocks"},
		"format":           {func(b []byte) []byte { i := strings.Index(string(b), "format\x01\xfe"); b[i+7] ^= 4; return b }, "mark of its format is damaged"},
		"bucket is itself": {func(b []byte) []byte { m, _ := inForce(b); order.PutUint64(value(root(b), 0), m.root); return b }, "is used twice"},
		"free list is the root": {func(b []byte) []byte {
			m, _ := inForce(b)
			setMeta(b, 32, m.root)
			return b
		}, "where the free list was expected"},
		"a page both free and in use": {func(b []byte) []byte {
			m, _ := inForce(b)
			f := page(b, m.freelist)
			order.PutUint64(f[pageHeaderLen:], m.freelist)
			order.PutUint16(f[10:], 1)
			return b
		}, "is used twice"},
		"free list in disorder": {func(b []byte) []byte {
			m, _ := inForce(b)
			order.PutUint64(page(b, m.freelist)[pageHeaderLen:], m.pages-1)
			return b
		}, "after"},
		"a page that nothing leads to": {func(b []byte) []byte {
			m, _ := inForce(b)
			f := page(b, m.freelist)
			order.PutUint16(f[10:], order.Uint16(f[10:])-1)
			return b
		}, "neither in use nor free"},
	} {
		t.Run(name, func(t *testing.T) {
			b := string(tc.damage(golden(t)))
			_, err := walkSegment(strings.NewReader(b), int64(len(b)))
			if !isDamage(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v; want damage that says %q", err, tc.want)
			}
			if _, lenient := walkLeniently(strings.NewReader(b), int64(len(b))); lenient != nil && !isDamage(lenient) {
				t.Errorf("a lenient walk: %v", lenient)
			}
		})
	}
	if _, err := walkSegment(strings.NewReader(string(golden(t))), int64(len(golden(t)))); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

// key and value are those of a leaf's element.
func key(p []byte, i int) []byte {
	e := pageHeaderLen + i*elementLen
	at := e + int(order.Uint32(p[e+4:]))
	return p[at : at+int(order.Uint32(p[e+8:]))]
}

func value(p []byte, i int) []byte {
	e := pageHeaderLen + i*elementLen
	at := e + int(order.Uint32(p[e+4:])) + int(order.Uint32(p[e+8:]))
	return p[at : at+int(order.Uint32(p[e+12:]))]
}

// failingReader fails as a disk does.
type failingReader struct {
	io.ReaderAt
	from int64
}

func (r failingReader) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > r.from {
		return 0, syscall.EIO
	}
	return r.ReaderAt.ReadAt(b, off)
}

// A disk that fails says nothing about the file.
func TestWalkTellsTheDiskFromTheFile(t *testing.T) {
	b := string(golden(t))
	for from := int64(0); from < int64(len(b)); from += 1000 {
		_, err := walkSegment(failingReader{strings.NewReader(b), from}, int64(len(b)))
		if err != nil && (isDamage(err) || !errors.Is(err, syscall.EIO)) {
			t.Fatalf("reads fail from byte %d on: got %v; want EIO, and no damage", from, err)
		}
	}
}

// FuzzWalk changes bytes of the golden segment, three for the place and one for
// the value each. The walk must end without a panic, and what it lets pass must
// be safe for bbolt, and then for the store.
func FuzzWalk(f *testing.F) {
	m, _ := inForce(golden(f))
	at := func(off uint64, v ...byte) (edits []byte) {
		for i, v := range v {
			off := off + uint64(i)
			edits = append(edits, byte(off>>16), byte(off>>8), byte(off), v)
		}
		return edits
	}
	f.Add([]byte{}, false)
	f.Add(at(m.root*pageSize+8, 1), false)               // a leaf as a branch
	f.Add(at(m.root*pageSize+12, 255, 255), false)       // overflow
	f.Add(at(m.root*pageSize+10, 0, 0), false)           // empty
	f.Add(at(m.freelist*pageSize+10, 255, 255), false)   // a long free list
	f.Add(at(pageHeaderLen+16, byte(m.freelist)), true)  // another root
	f.Add(at(pageSize+pageHeaderLen+40, 3, 0, 0), true)  // fewer pages
	f.Add(at(pageSize+pageHeaderLen+8, 0, 32), true)     // another page size
	f.Add(at(m.root*pageSize+pageHeaderLen, 9, 9), true) // flags
	original := golden(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, edits []byte, good bool) {
		b := append([]byte(nil), original...)
		for ; len(edits) >= 4; edits = edits[4:] {
			b[(int(edits[0])<<16|int(edits[1])<<8|int(edits[2]))%len(b)] = edits[3]
		}
		if good { // with checksums that hold, as of someone who knows
			reseal(b[:pageSize])
			reseal(b[pageSize:])
		}
		r := strings.NewReader(string(b))
		_, _ = walkLeniently(r, int64(len(b)))
		if _, err := walkSegment(r, int64(len(b))); err != nil {
			if !isDamage(err) && !errors.Is(err, errFormat) {
				t.Fatalf("got %v; want damage", err)
			}
			return
		}
		throughBolt(t, filepath.Join(dir, "bolt"), b)
		throughStore(t, filepath.Join(dir, "store"), b)
	})
}

func throughBolt(t *testing.T, path string, b []byte) {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatalf("the walk lets pass what bbolt refuses: %v", err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("the walk lets pass what bbolt's check does not: %v", err)
		}
		for range 20 {
			sub, err := tx.Bucket(bucketBlocks).CreateBucketIfNotExists(seqKey(1 << 60))
			if err != nil {
				return err
			}
			if err := sub.Put(keyData, make([]byte, 10000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func throughStore(t *testing.T, dir string, b []byte) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000001.seg"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, &Options{MaxBytes: MinMaxBytes})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	page, err := s.Traces(ctx, Query{})
	if err != nil {
		t.Error(err)
	}
	for _, sum := range page.Traces {
		if _, err := s.Trace(ctx, sum.TraceID); err != nil && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	_ = s.Check(ctx) // may find a damaged block
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkWalk walks a segment of full blocks, as Open does.
func BenchmarkWalk(b *testing.B) {
	p, err := newPristine(b.TempDir(), 1, 64<<20, 20_000, 0)
	if err != nil {
		b.Fatal(err)
	}
	var spans, blocks int
	for _, t := range p.traces {
		spans += len(t)
	}
	for b.Loop() {
		blocks = 0
		for _, name := range p.segs {
			file := p.files[name]
			if _, err := walkSegment(bytes.NewReader(file), int64(len(file))); err != nil {
				b.Fatal(err)
			}
			blocks += len(p.places[name])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
	b.ReportMetric(float64(blocks), "blocks")
}
