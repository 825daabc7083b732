package spanstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// soak asks for the long form of the tests that break things.
var soak = os.Getenv("SPANCLOCK_SOAK") == "1"

// corruptEnv makes the test binary the child of TestCorruption:
// "seed from to directory".
const corruptEnv = "SPANCLOCK_TEST_CORRUPT"

// RunChild runs what the environment asks a child process for, and reports
// whether it asked for anything. TestMain calls it.
func RunChild() bool {
	if spec := os.Getenv(corruptEnv); spec != "" {
		corruptChild(spec)
		return true
	}
	if spec := os.Getenv(processEnv); spec != "" {
		processChild(spec)
		return true
	}
	return false
}

// pristine is a store in memory, file by file, and what is in it.
type pristine struct {
	opts   Options
	files  map[string][]byte
	segs   []string           // names of the segments
	places map[string][]place // where their blocks stand
	data   map[uint64][]byte  // the newest version of each block
	blocks map[string]uint64  // the other way round
	traces map[trace.TraceID]map[trace.SpanID]tracetest.SpanStub
	added  []trace.TraceID // of them, what checkTraces wrote
}

// newPristine makes a store with blocks of spans in several versions, blocks of
// usage, several runs, and branch pages when usage is most of it.
func newPristine(in string, seed uint64, maxBytes int64, requests, usage int) (*pristine, error) {
	dir, err := os.MkdirTemp(in, "pristine")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p := &pristine{
		opts: Options{MaxBytes: maxBytes}, files: map[string][]byte{}, places: map[string][]place{},
		data: map[uint64][]byte{}, blocks: map[string]uint64{}, traces: map[trace.TraceID]map[trace.SpanID]tracetest.SpanStub{},
	}
	g := spangen.New(seed)
	for run := range 3 {
		s, err := Open(dir, &p.opts)
		if err != nil {
			return nil, err
		}
		for i := range requests {
			stubs := g.Request(time.Unix(1_700_000_000+int64(run), int64(i)*1000), 4)
			p.export(s, append(stubs, g.Wild()))
			if i%(requests/10) == 0 {
				if err := s.Flush(context.Background()); err != nil {
					return nil, err
				}
			}
			if usage > 0 && i%(requests/usage) == 0 {
				u := Usage{TraceID: stubs[0].SpanContext.TraceID(), SpanID: stubs[0].SpanContext.SpanID(), Samples: i, CPU: time.Duration(i)}
				w := Window{Start: time.Unix(1_700_000_000, 0), End: time.Unix(1_700_000_010, 0), Period: 10 * time.Millisecond, Samples: i}
				if err := s.AddUsage(context.Background(), UsageBatch{Windows: []Window{w}, Spans: []Usage{u}}); err != nil {
					return nil, err
				}
			}
		}
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
	return p, p.readFiles(dir)
}

func (p *pristine) export(s *Store, stubs []tracetest.SpanStub) {
	spans := make([]sdktrace.ReadOnlySpan, len(stubs))
	for i, st := range stubs {
		spans[i] = st.Snapshot()
		id := st.SpanContext.TraceID()
		if p.traces[id] == nil {
			p.traces[id] = map[trace.SpanID]tracetest.SpanStub{}
		}
		p.traces[id][st.SpanContext.SpanID()] = st
	}
	_ = s.ExportSpans(context.Background(), spans)
}

func (p *pristine) readFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries { // in the order of their numbers
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p.files[e.Name()] = b
		if filepath.Ext(path) != segmentSuffix {
			continue
		}
		c, err := readContents(path)
		if err != nil {
			return err
		}
		res := c.walk
		p.segs = append(p.segs, e.Name())
		p.places[e.Name()] = res.blocks
		for _, at := range res.blocks {
			p.data[at.seq] = b[at.data.off : at.data.off+at.data.len]
		}
	}
	for seq, b := range p.data {
		p.blocks[string(b)] = seq
	}
	return nil
}

// A damage changes one file of a store; it is told the whole store too.
var damages = []struct {
	name string
	do   func(r *rand.Rand, p *pristine, name string, b []byte) []byte
}{
	{"a bit anywhere", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte { return flip(r, b, 0, len(b)) }},
	{"a bit in a page header", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		at := structure(r, b) * pageSize
		return flip(r, b, at, at+pageHeaderLen)
	}},
	{"a bit in the first elements", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		at := structure(r, b) * pageSize
		return flip(r, b, at+pageHeaderLen, at+256)
	}},
	{"a bit in a meta page", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		at := r.IntN(2) * pageSize
		return flip(r, b, at, at+pageHeaderLen+metaLen)
	}},
	{"zeroed", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		from, to := pages(r, b)
		clear(b[from:to])
		return b
	}},
	{"garbage", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		from, to := pages(r, b)
		for i := from; i < to; i++ {
			b[i] = byte(r.Uint32())
		}
		return b
	}},
	{"garbage in the middle", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		at := r.IntN(len(b))
		for i := at; i < min(len(b), at+1+r.IntN(200)); i++ {
			b[i] = byte(r.Uint32())
		}
		return b
	}},
	{"a misplaced page", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		from, to := r.IntN(len(b)/pageSize), r.IntN(len(b)/pageSize)
		copy(b[to*pageSize:][:pageSize], b[from*pageSize:])
		return b
	}},
	{"a misplaced page with the right number", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		from, to := structure(r, b), structure(r, b)
		copy(b[to*pageSize:][:pageSize], b[from*pageSize:])
		order.PutUint64(b[to*pageSize:], uint64(to))
		return b
	}},
	{"a page of another segment", func(r *rand.Rand, p *pristine, _ string, b []byte) []byte {
		other := p.files[p.segs[r.IntN(len(p.segs))]]
		at := r.IntN(min(len(b), len(other))/pageSize) * pageSize
		copy(b[at:][:pageSize], other[at:])
		return b
	}},
	{"cut off", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte { return b[:r.IntN(len(b))] }},
	{"cut off between pages", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		return b[:r.IntN(len(b)/pageSize)*pageSize]
	}},
	{"a meta page lost", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		clear(b[r.IntN(2)*pageSize:][:pageSize])
		return b
	}},
	{"both meta pages lost", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		clear(b[:2*pageSize])
		return b
	}},
	{"meta pages swapped", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		one := bytes.Clone(b[:pageSize])
		copy(b, b[pageSize:2*pageSize])
		copy(b[pageSize:], one)
		return b
	}},
	{"a bad meta page with a good checksum", badMeta},
	{"a cycle", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte { return point(r, b, true) }},
	{"a wild pointer", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte { return point(r, b, false) }},
	{"a wrong overflow count", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		at := structure(r, b) * pageSize
		n := order.Uint32(b[at+12:])
		order.PutUint32(b[at+12:], []uint32{0, n + 1, n - 1, n + uint32(r.IntN(300)), 1 << 31, 0xffffffff, r.Uint32()}[r.IntN(7)])
		return b
	}},
	{"a wrong count", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		at := structure(r, b) * pageSize
		n := order.Uint16(b[at+10:])
		order.PutUint16(b[at+10:], []uint16{0, n + 1, n - 1, 0xffff, uint16(r.Uint32())}[r.IntN(5)])
		return b
	}},
	{"a wrong type", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		order.PutUint16(b[structure(r, b)*pageSize+8:], []uint16{0, 1, 2, 4, 16, 3, uint16(r.Uint32())}[r.IntN(7)])
		return b
	}},
	{"a wrong element", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		at := structure(r, b) * pageSize
		e := at + pageHeaderLen + elementLen*r.IntN(1+min(200, int(order.Uint16(b[at+10:])))) + 4*r.IntN(4)
		order.PutUint32(b[e:], []uint32{0, 1, order.Uint32(b[e:]) + 1, order.Uint32(b[e:]) - 1, 0xffffffff, r.Uint32(), uint32(r.IntN(9000))}[r.IntN(7)])
		return b
	}},
	{"a wrong free list", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		m := parseMeta(b)
		if o := parseMeta(b[pageSize:]); m == nil || o != nil && o.tx > m.tx {
			m = o
		}
		if m == nil || int(m.freelist+1)*pageSize > len(b) {
			return flip(r, b, 0, len(b))
		}
		e := int(m.freelist)*pageSize + 8*r.IntN(8)
		order.PutUint64(b[e:], []uint64{0, 1, uint64(r.IntN(len(b) / pageSize)), order.Uint64(b[e:]) + 1, r.Uint64()}[r.IntN(5)])
		return b
	}},
	{"empty", func(*rand.Rand, *pristine, string, []byte) []byte { return nil }},
	{"another segment's content", func(r *rand.Rand, p *pristine, _ string, b []byte) []byte {
		return bytes.Clone(p.files[p.segs[r.IntN(len(p.segs))]])
	}},
	{"something behind it", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		return append(b, b[:r.IntN(3*pageSize)]...)
	}},
	{"magic all over", func(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
		from, to := pages(r, b)
		for i := from; i < to; i++ {
			b[i] = "SPCK\x01\x01\x01\x00"[i%8]
		}
		clear(b[:2*pageSize])
		return b
	}},
}

func flip(r *rand.Rand, b []byte, from, to int) []byte {
	b[from+r.IntN(min(to, len(b))-from)] ^= 1 << r.IntN(8)
	return b
}

// pages returns a run of pages.
func pages(r *rand.Rand, b []byte) (from, to int) {
	n := len(b) / pageSize
	from = r.IntN(n)
	return from * pageSize, min(n, from+1+r.IntN(4)) * pageSize
}

// structure returns a page that holds structure, not the middle of a value.
func structure(r *rand.Rand, b []byte) int {
	n := len(b) / pageSize
	for range 200 {
		id := r.IntN(n)
		if order.Uint64(b[id*pageSize:]) == uint64(id) && order.Uint16(b[id*pageSize+8:]) != 0 {
			return id
		}
	}
	return 0
}

// badMeta changes a field of a meta page and makes its checksum right again.
func badMeta(r *rand.Rand, _ *pristine, _ string, b []byte) []byte {
	m := b[r.IntN(2)*pageSize+pageHeaderLen:][:metaLen]
	field := []int{8, 16, 24, 32, 40, 48}[r.IntN(6)] // page size, root, sequence, free list, pages, transaction
	v := []uint64{0, 1, 2, uint64(r.IntN(len(b) / pageSize)), order.Uint64(m[field:]) + 1, order.Uint64(m[field:]) - 1, r.Uint64(), ^uint64(0)}[r.IntN(8)]
	order.PutUint64(m[field:], v)
	sum := fnv.New64a()
	sum.Write(m[:56])
	order.PutUint64(m[56:], sum.Sum64())
	return b
}

// point makes a branch element or a bucket's header point to another page: one
// above it, so that there is a cycle, or any.
func point(r *rand.Rand, b []byte, cycle bool) []byte {
	for range 500 {
		id := structure(r, b)
		p := b[id*pageSize:][:pageSize]
		to := uint64(id)
		if !cycle {
			to = []uint64{0, 1, uint64(r.IntN(len(b) / pageSize)), r.Uint64()}[r.IntN(4)]
		}
		n := min(int(order.Uint16(p[10:])), 200)
		if n == 0 {
			continue
		}
		e := p[pageHeaderLen+elementLen*r.IntN(n):]
		switch order.Uint16(p[8:]) {
		case flagBranch:
			order.PutUint64(e[8:], to)
			return b
		case flagLeaf:
			at := int(order.Uint32(e[4:])) + int(order.Uint32(e[8:]))
			if order.Uint32(e) == flagBucket && at+8 <= len(e) {
				order.PutUint64(e[at:], to)
				return b
			}
		}
	}
	return flip(r, b, 0, len(b))
}

// outcome is what one corruption led to.
type outcome struct {
	kind            string
	salvaged, aside int // segments
	blocks          int // that were whole, all of them readable
}

// corrupt damages a store, opens it, and checks that everything that is whole is
// there, once, and that nothing else is.
func (p *pristine) corrupt(dir string, seed uint64, n int) (o outcome, err error) {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	files := map[string][]byte{}
	for name, b := range p.files {
		files[name] = b
	}
	times := 1
	if r.IntN(4) == 0 {
		times += r.IntN(4)
	}
	var done []string
	for range times {
		name := p.segs[r.IntN(len(p.segs))]
		d := damages[r.IntN(len(damages))]
		if len(files[name]) >= 4*pageSize {
			files[name] = d.do(r, p, name, bytes.Clone(files[name]))
			done = append(done, d.name+" in "+name)
			o.kind = d.name
		}
	}
	if times > 1 {
		o.kind = "several"
	}
	if err := os.RemoveAll(dir); err != nil {
		return o, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return o, err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return o, err
		}
	}
	whole := p.whole(files)
	o.blocks = len(whole)
	var log bytes.Buffer
	opts := p.opts
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	defer p.forget()
	reopen := r.IntN(4) == 0
	for {
		s, err := Open(dir, &opts)
		if err != nil {
			return o, fmt.Errorf("open: %w", err)
		}
		err = p.checkStore(s, whole)
		if err := errors.Join(err, s.Close()); err != nil {
			return o, fmt.Errorf("%w (%s)\n%s", err, strings.Join(done, ", "), log.String())
		}
		o.salvaged, o.aside = strings.Count(log.String(), "is replaced by"), strings.Count(log.String(), "is set aside")
		if !reopen {
			return o, nil
		}
		reopen = false
	}
}

// whole returns the blocks whose bytes stand in the files as they were.
func (p *pristine) whole(files map[string][]byte) map[uint64]bool {
	whole := map[uint64]bool{}
	for name, places := range p.places {
		b := files[name]
		for _, at := range places {
			if end := at.data.off + at.data.len; end <= int64(len(b)) && bytes.Equal(b[at.data.off:end], p.data[at.seq]) {
				whole[at.seq] = true
			}
		}
	}
	return whole
}

// checkStore compares what is in a store with what is whole.
func (p *pristine) checkStore(s *Store, whole map[uint64]bool) error {
	s.mu.Lock()
	infos := slices.Clone(s.infos)
	s.mu.Unlock()
	seen := map[uint64]bool{}
	for _, info := range infos {
		b, err := info.seg.read(info.seq)
		if err != nil {
			return fmt.Errorf("block %d: %w", info.seq, err)
		}
		if _, err := block.OpenSpans(b, s.codec); err != nil && info.older != nil { // as a reader does
			if b, err = info.older.seg.read(info.seq); err != nil {
				return fmt.Errorf("block %d: %w", info.seq, err)
			}
		}
		seq, ok := p.blocks[string(b)]
		if !ok {
			if seq, ok = p.version(s, b); !ok {
				continue // damaged, or written by this test
			}
		}
		if seen[seq] {
			return fmt.Errorf("block %d is there twice", seq)
		}
		seen[seq] = true
	}
	for seq := range whole {
		if !seen[seq] {
			var where []string
			for name, places := range p.places {
				if at, ok := placeOf(places, seq); ok {
					where = append(where, fmt.Sprintf("%s at %d of %d", name, at.data.off, len(p.files[name])))
				}
			}
			return fmt.Errorf("block %d of %d bytes is whole, and lost: %v, %d finds", seq, len(p.data[seq]), where, len(infos))
		}
	}
	return p.checkTraces(s)
}

// version returns of which block b is an earlier version.
func (p *pristine) version(s *Store, b []byte) (uint64, bool) {
	spans, err := block.OpenSpans(b, s.codec)
	if err != nil {
		return 0, false
	}
	for seq, data := range p.data {
		if later, err := block.OpenSpans(data, s.codec); err == nil && spans.Prefix(later) {
			return seq, true
		}
	}
	return 0, false
}

// checkTraces reads a few traces, and writes one.
func (p *pristine) checkTraces(s *Store) error {
	ctx := context.Background()
	page, err := s.Traces(ctx, Query{Limit: 20})
	if err != nil {
		return err
	}
	for _, sum := range page.Traces {
		tr, err := s.Trace(ctx, sum.TraceID)
		if err != nil {
			return err
		}
		seen := map[trace.SpanID]bool{}
		for _, span := range tr.Spans {
			want, ok := p.traces[tr.ID][span.SpanID()]
			if !ok || seen[span.SpanID()] {
				return fmt.Errorf("span %s of trace %s: known %v, seen %v", span.SpanID(), tr.ID, ok, seen[span.SpanID()])
			}
			seen[span.SpanID()] = true
			if diff := spangen.Diff(span.Attributes, want.Attributes) + spangen.Diff(span.Name, want.Name) + spangen.Diff(span.Start, want.StartTime); diff != "" {
				return fmt.Errorf("span %s of trace %s: %s", span.SpanID(), tr.ID, diff)
			}
		}
	}
	g := spangen.New(uint64(time.Now().UnixNano()))
	stubs := g.Request(time.Now(), 3)
	p.export(s, stubs)
	if err := s.Flush(ctx); err != nil {
		return err
	}
	if tr, err := s.Trace(ctx, stubs[0].SpanContext.TraceID()); err != nil || len(tr.Spans) != 3 {
		return fmt.Errorf("what was written after the damage: %w", err)
	}
	p.added = append(p.added, stubs[0].SpanContext.TraceID())
	return p.checkBudget(s)
}

// forget forgets the traces that checkTraces wrote.
func (p *pristine) forget() {
	for _, id := range p.added {
		delete(p.traces, id)
	}
	p.added = nil
}

func (p *pristine) checkBudget(s *Store) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var sum int64
	for _, e := range entries {
		if fi, err := e.Info(); err == nil {
			sum += fi.Size()
		}
	}
	if sum > p.opts.MaxBytes {
		return fmt.Errorf("the files have %d bytes, more than %d", sum, p.opts.MaxBytes)
	}
	return nil
}

// corruptChild runs cases and says of each when it begins and how it ends.
func corruptChild(spec string) {
	var seed uint64
	var from, to int
	var dir string
	if _, err := fmt.Sscan(spec, &seed, &from, &to, &dir); err != nil {
		panic(err)
	}
	go watchMemory()
	var stores []*pristine
	for _, shape := range []struct {
		maxBytes        int64
		requests, usage int
	}{{4 << 20, 2000, 20}, {16 << 20, 400, 200}} {
		p, err := newPristine(dir, seed, shape.maxBytes, shape.requests, shape.usage)
		if err != nil {
			panic(err)
		}
		stores = append(stores, p)
	}
	out := bufio.NewWriter(os.Stdout)
	for n := from; n < to; n++ {
		fmt.Fprintf(out, "begin %d\n", n)
		out.Flush()
		o, err := stores[n%len(stores)].corrupt(filepath.Join(dir, "store"), seed, n)
		if err != nil {
			fmt.Fprintf(out, "fail %d %s: %s\n", n, o.kind, strings.ReplaceAll(err.Error(), "\n", " | "))
		} else {
			fmt.Fprintf(out, "done %d %d %d %d %s\n", n, o.salvaged, o.aside, o.blocks, o.kind)
		}
	}
	out.Flush()
}

// watchMemory ends a child that takes far more memory than the store may.
func watchMemory() {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	for range time.Tick(20 * time.Millisecond) {
		if metrics.Read(sample); sample[0].Value.Uint64() > 1<<30 {
			fmt.Fprintln(os.Stderr, "the child takes more than 1 GiB")
			os.Exit(3)
		}
	}
}

// quickDir returns a directory in memory where there is one, for tests that ask
// nothing of the disk.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "spanclock")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Whatever happens to the bytes of a store, the process lives, Open succeeds,
// and what is whole can be read.
func TestCorruption(t *testing.T) {
	seed, cases := uint64(time.Now().UnixNano()), 300
	switch {
	case soak:
		cases = 10_000
	case raceEnabled: // which takes ten times as long and looks for something else
		cases = 60
	}
	if v, err := strconv.Atoi(os.Getenv("SPANCLOCK_CORRUPTIONS")); err == nil {
		cases = v
	}
	if v, err := strconv.ParseUint(os.Getenv("SPANCLOCK_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("seed %d", seed)
	first := 0
	if v, err := strconv.Atoi(os.Getenv("SPANCLOCK_CASE")); err == nil {
		first, cases = v, v+1
	}
	began := time.Now()
	var salvaged, aside, blocks int
	kinds := map[string]int{}
	for from, failures := first, 0; from < cases && failures < 5; {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d %s", corruptEnv, seed, from, cases, quickDir(t)))
		var stderr bytes.Buffer
		child.Stderr = &stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		hang := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() })
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			hang.Reset(time.Minute)
			word, rest, _ := strings.Cut(lines.Text(), " ")
			switch word {
			case "begin":
				from, _ = strconv.Atoi(rest)
			case "fail":
				t.Errorf("case %s", rest)
				failures++
			case "done":
				var n, s, a, b int
				if _, err := fmt.Sscan(rest, &n, &s, &a, &b); err != nil {
					t.Fatalf("the child said %q", lines.Text())
				}
				salvaged, aside, blocks = salvaged+s, aside+a, blocks+b
				kinds[strings.Join(strings.Fields(rest)[4:], " ")]++
			}
		}
		_, _ = io.Copy(io.Discard, out)
		hang.Stop()
		if err := child.Wait(); err != nil {
			text := stderr.String()
			t.Errorf("case %d ended the process: %v\n%s", from, err, text[:min(len(text), 4000)])
			failures++
		}
		from++
	}
	t.Logf("%d corruptions in %v: %d segments salvaged, %d set aside, %d whole blocks all readable, %v",
		cases, time.Since(began).Round(time.Millisecond), salvaged, aside, blocks, kinds)
}
