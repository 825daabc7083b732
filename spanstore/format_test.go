package spanstore_test

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// TestFormat reads the golden directories with a reader that knows nothing but
// what the documentation of this package and of package block says, and wants what
// the store reads: the documents are exact enough to write a reader from.
func TestFormat(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.dir, func(t *testing.T) {
			f := readFormat(t, g.copied(t))
			if got, want := contentOf(t, f.traces(), f.evicted(g.gone), f.runs), g.text(t); got != want {
				t.Errorf("read by the documents %s has other content; got %s", g.dir, firstDifference(got, want))
			}
		})
	}
}

// The reasons for which a trace is kept.
const (
	whyFailed = 1 << iota
	whySlow
	whyPinned
	whyFollows
	whyGap
)

// formatDir is what a directory's segments hold.
type formatDir struct {
	tb     testing.TB
	blocks map[uint64]formatBlock // the version in the highest segment
	spans  map[trace.TraceID][]spanstore.Span
	whys   map[trace.TraceID]byte
	usage  []spanstore.UsageBatch
	runs   []spanstore.Run
	pins   []trace.TraceID
	since  int64
	log    []formatEviction
}

type formatBlock struct{ summary, data []byte }

type formatEviction struct {
	when   int64
	why    string
	prints []uint32
}

func readFormat(tb testing.TB, dir string) *formatDir {
	f := &formatDir{tb: tb, blocks: map[uint64]formatBlock{}, spans: map[trace.TraceID][]spanstore.Span{}, whys: map[trace.TraceID]byte{}}
	for _, path := range segments(tb, dir) {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
		if err != nil {
			tb.Fatal(err)
		}
		err = db.View(f.segment)
		if cerr := db.Close(); err != nil || cerr != nil {
			tb.Fatal(err, cerr)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(f.blocks)) {
		f.block(number, f.blocks[number])
	}
	return f
}

func (f *formatDir) segment(tx *bbolt.Tx) error {
	meta := tx.Bucket([]byte("meta"))
	if got := meta.Get([]byte("format")); !slices.Equal(got, []byte{1, 0xfe}) {
		f.tb.Fatalf("format %x", got)
	}
	if got := tx.Bucket([]byte("commit")).Get([]byte("tx")); binary.BigEndian.Uint64(got) != uint64(tx.ID()) {
		f.tb.Errorf("the last transaction is %d; commit/tx is %x", tx.ID(), got)
	}
	f.evictions(meta.Get([]byte("evictions")))
	if b := meta.Get([]byte("pins")); b != nil {
		r := f.checked(b)
		f.pins = listOf(r, func() trace.TraceID { return trace.TraceID(r.take(16)) })
		r.end("the pins")
	}
	err := tx.Bucket([]byte("runs")).ForEach(func(key, text []byte) error {
		var run spanstore.Run
		err := json.Unmarshal(text, &run)
		if f.runs = append(f.runs, run); run.FirstBlock != binary.BigEndian.Uint64(key) {
			f.tb.Errorf("the run of block %d is under %x", run.FirstBlock, key)
		}
		return err
	})
	if err != nil {
		return err
	}
	blocks := tx.Bucket([]byte("blocks"))
	return blocks.ForEachBucket(func(key []byte) error {
		b := blocks.Bucket(key)
		f.blocks[binary.BigEndian.Uint64(key)] = formatBlock{slices.Clone(b.Get([]byte("0"))), slices.Clone(b.Get([]byte("1")))}
		return nil
	})
}

// checked reads what is between a version byte of 1 and a checksum.
func (f *formatDir) checked(b []byte) *bytesReader {
	body := b[:len(b)-4]
	if want := binary.LittleEndian.Uint32(b[len(b)-4:]); body[0] != 1 || crc32c(body) != want {
		f.tb.Fatalf("version %d, checksum %08x; want 1 and %08x", body[0], crc32c(body), want)
	}
	return &bytesReader{f.tb, slices.Clone(body[1:])}
}

func (f *formatDir) evictions(b []byte) {
	r := f.checked(b)
	f.since = r.varint()
	f.log = listOf(r, func() formatEviction {
		e, last := formatEviction{when: r.varint(), why: r.text()}, uint32(0)
		e.prints = listOf(r, func() uint32 { last += uint32(r.uvarint()); return last })
		return e
	})
	r.end("the log of evictions")
}

func fingerprintOf(id trace.TraceID) uint32 {
	a, b := binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:])
	h := a*0x9e3779b97f4a7c15 ^ b
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h >> 32)
}

// summary is what a block's summary says, or what it should say.
type summary struct {
	Kind                byte
	Number, Size, Count uint64
	Min, Max, Longest   int64
	Errors, Untimed     uint64
	Services            []string
	Fingerprints        []uint32
}

func (f *formatDir) summary(b []byte) summary {
	r := f.checked(b)
	s := summary{
		Kind: r.byte(), Number: r.uvarint(), Size: r.uvarint(), Count: r.uvarint(), Min: r.varint(), Max: r.varint(), Longest: r.varint(),
		Errors: r.uvarint(), Untimed: r.uvarint(),
	}
	s.Services, s.Fingerprints = listOf(r, r.text), listOf(r, r.u32)
	r.end("a summary")
	return s
}

// block reads a block and compares its summary.
func (f *formatDir) block(number uint64, b formatBlock) {
	k := readBlock(f.tb, b.data)
	want := summary{Kind: k.kind, Number: number, Size: uint64(len(b.data)), Count: uint64(k.count), Min: k.min, Max: k.max}
	var prints []uint32
	got := f.summary(b.summary)
	switch k.kind {
	case 1:
		prints = f.addSpans(k, &want)
	case 2:
		u := usageOf(f.tb, k)
		f.usage = append(f.usage, u)
		for _, r := range u.Spans {
			prints = append(prints, fingerprintOf(r.TraceID))
		}
		want.Kind |= got.Kind & 128 // that it is of kept traces only the summary says
	default:
		f.tb.Fatalf("a block of kind %d", k.kind)
	}
	slices.Sort(prints)
	want.Fingerprints = slices.Compact(prints)
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		f.tb.Errorf("the summary says %s; want %s", g, w)
	}
}

// addSpans takes a block's spans, says in s what they are, and returns the
// fingerprints of their traces.
func (f *formatDir) addSpans(k rawBlock, s *summary) (prints []uint32) {
	spans, whys := spansOf(f.tb, k)
	services := map[string]bool{}
	least, greatest := int64(math.MaxInt64), int64(math.MinInt64)
	for _, sp := range spans {
		f.spans[sp.TraceID()] = append(f.spans[sp.TraceID()], sp)
		if sp.Status.Code == codes.Error {
			s.Errors++
		}
		if sp.Start.IsZero() || sp.End.IsZero() {
			s.Untimed++
		} else {
			s.Longest = max(s.Longest, int64(sp.End.Sub(sp.Start)))
		}
		for _, at := range []time.Time{sp.Start, sp.End} {
			if !at.IsZero() {
				least, greatest = min(least, at.UnixNano()), max(greatest, at.UnixNano())
			}
		}
		if name := sp.Service(); name != "" {
			services[name] = true
		}
	}
	if least != k.min || greatest != k.max {
		f.tb.Errorf("the block's times are %d to %d, its spans' %d to %d", k.min, k.max, least, greatest)
	}
	s.Services = slices.Sorted(maps.Keys(services))
	if len(whys) == 0 {
		for _, id := range k.sections[1].ids(1, 16) {
			prints = append(prints, fingerprintOf(trace.TraceID(id)))
		}
		return prints
	}
	s.Kind |= 128 | 64
	for id, why := range whys {
		if f.whys[id] |= why; why == 0 {
			continue // a parent's only
		}
		prints = append(prints, fingerprintOf(id))
		if why&^whyGap != whyFollows {
			s.Kind &^= 64
		}
	}
	return prints
}

// evicted returns what the log of evictions tells of some traces.
func (f *formatDir) evicted(ids []trace.TraceID) (out []spanstore.Eviction) {
	for _, id := range ids {
		for _, e := range f.log {
			if slices.Contains(e.prints, fingerprintOf(id)) {
				out = append(out, spanstore.Eviction{When: timeOf(e.when), Why: e.why, Since: timeOf(f.since)})
				break
			}
		}
	}
	return out
}

// traces returns all traces as the store does.
func (f *formatDir) traces() (out []*spanstore.Trace) {
	ids := slices.SortedFunc(maps.Keys(f.spans), func(a, b trace.TraceID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		t := &spanstore.Trace{ID: id, Spans: f.spans[id], Usage: map[trace.SpanID]spanstore.Usage{}, Kept: f.kept(id)}
		slices.SortStableFunc(t.Spans, func(a, b spanstore.Span) int { return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End)) })
		f.measured(t)
		if ev := f.evicted([]trace.TraceID{id}); f.whys[id]&whyGap != 0 && len(ev) > 0 {
			t.Problems = []string{fmt.Sprintf("parts of this trace were evicted at %s: %s", ev[0].When.Format("2006-01-02 15:04:05 UTC"), ev[0].Why)}
		}
		out = append(out, t)
	}
	return out
}

func (f *formatDir) kept(id trace.TraceID) string {
	why, pinned := f.whys[id], slices.Contains(f.pins, id)
	if pinned != (why&whyPinned != 0) {
		f.tb.Errorf("trace %s is pinned: %v; its reasons are %b", id, pinned, why)
	}
	switch {
	case pinned:
		return "pinned"
	case why&whyFailed != 0:
		return "error"
	case why&whySlow != 0:
		return "slow"
	}
	return ""
}

// measured puts usage to a trace's spans, windows and signals to its time.
func (f *formatDir) measured(t *spanstore.Trace) {
	var from, to time.Time
	for _, s := range t.Spans {
		for _, at := range []time.Time{s.Start, s.End} {
			if from.IsZero() || !at.IsZero() && at.Before(from) {
				from = at
			}
			if at.After(to) {
				to = at
			}
		}
	}
	during := func(start, end time.Time) bool { return !start.After(to) && !end.Before(from) }
	for _, u := range f.usage {
		for _, r := range u.Spans {
			if r.TraceID == t.ID {
				t.Usage[r.SpanID] = r
			}
		}
		for _, w := range u.Windows {
			if during(w.Start, w.End) {
				t.Windows = append(t.Windows, w)
			}
		}
		for _, s := range u.Signals {
			if during(s.Start, s.End) {
				t.Signals = append(t.Signals, s)
			}
		}
	}
}
