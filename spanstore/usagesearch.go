package spanstore

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxUsageRecords bounds the records that a query holds decoded, 48 bytes each.
const maxUsageRecords = 1 << 17

// usageLookup finds the usage of spans for the conditions that ask for it. It is
// for one goroutine.
type usageLookup struct {
	sn      *snapshot
	decoded map[*blockInfo]*usageTable
	records int // in decoded
}

// usageTable is a block of usage as the lookup needs it.
type usageTable struct {
	records []usageRecord // by span id
	windows []block.Window
}

type usageRecord struct {
	trace     trace.TraceID
	span      trace.SpanID
	cpu, late int64
}

// measured is what is known of a span or a trace.
type measured struct {
	cpu, late int64
	covered   bool  // CPU profiles cover it from start to end
	stall     int64 // the wall time that neither CPU nor child spans explain
}

// meets reports whether t, one of CPU time or late samples, holds.
func (t *term) meetsUsage(u measured, start, end int64) bool {
	if t.of == ofLate {
		return t.meets(u.late)
	}
	// More samples could only add: what was not looked at may still be too much,
	// but never little.
	// Of the stall they could only take away.
	v, grows := u.cpu, t.op == OpMore || t.op == OpAtLeast
	if t.of == ofStall {
		v, grows = u.stall, !grows
	}
	if !u.covered && !grows {
		return false
	}
	if t.share < 0 {
		return t.meets(v)
	}
	w := wall(start, end)
	if w == 0 {
		return false
	}
	return t.op.holds(cmp.Compare(float64(v)/float64(w), t.share))
}

// filter keeps those spans whose usage meets the terms, as hits of the block.
func (l *usageLookup) filter(terms []term, b *scanBlock, spans []spanRef) {
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	var fps []uint32
	for i, s := range spans {
		least, most = min(least, s.start), max(most, s.end)
		if i == 0 || s.trace != spans[i-1].trace {
			fps = append(fps, fingerprint(s.trace))
		}
	}
	tables := l.tables(least, most, fps)
	covered := coverage(tables)
	seen := map[trace.TraceID]bool{}
	for _, s := range spans {
		if seen[s.trace] {
			continue
		}
		u := measured{covered: covers(covered, s.start, s.end)}
		for _, t := range tables {
			u.cpu, u.late = t.add(u.cpu, u.late, s)
		}
		u.stall = max(0, s.self-u.cpu)
		if !slices.ContainsFunc(terms, func(t term) bool { return !t.meetsUsage(u, s.start, s.end) }) {
			seen[s.trace] = true
			b.addHit(s.trace)
		}
	}
	b.sortHits()
	b.whole = slices.DeleteFunc(b.whole, func(f figures) bool { return !seen[f.id] })
}

func (t *usageTable) add(cpu, late int64, s spanRef) (int64, int64) {
	at, _ := slices.BinarySearchFunc(t.records, s.span, func(r usageRecord, id trace.SpanID) int {
		return bytes.Compare(r.span[:], id[:])
	})
	for ; at < len(t.records) && t.records[at].span == s.span; at++ {
		if r := &t.records[at]; r.trace == s.trace {
			cpu, late = cpu+r.cpu, late+r.late
		}
	}
	return cpu, late
}

// traceMeets reports whether the CPU time of a whole trace meets t.
func (l *usageLookup) traceMeets(t *term, f figures) bool {
	tables := l.tables(f.first, f.latest, []uint32{fingerprint(f.id)})
	u := measured{covered: covers(coverage(tables), f.first, f.latest)}
	for _, table := range tables {
		for i := range table.records {
			if r := &table.records[i]; r.trace == f.id {
				u.cpu += r.cpu
			}
		}
	}
	return t.meetsUsage(u, 0, int64(f.duration))
}

// tables returns the usage that overlaps a stretch of time, or has a trace of
// one of the fingerprints.
func (l *usageLookup) tables(from, to int64, fps []uint32) (tables []*usageTable) {
	slices.Sort(fps)
	want := func(b *blockInfo) bool { return b.overlaps(from, to) || shareOne(b.traces, fps) }
	for _, info := range l.sn.usage {
		if want(info) {
			tables = append(tables, l.table(info))
		}
	}
	for _, w := range l.sn.waiting {
		if want(w.info) {
			tables = append(tables, l.table(w.info))
		}
	}
	return slices.DeleteFunc(tables, func(t *usageTable) bool { return t == nil })
}

// shareOne reports whether two sorted lists have an element in common.
func shareOne(a, b []uint32) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	for _, v := range a {
		if _, ok := slices.BinarySearch(b, v); ok {
			return true
		}
	}
	return false
}

// table decodes a block of usage, unless that was done already; nil when it
// cannot be read.
func (l *usageLookup) table(info *blockInfo) *usageTable {
	if t, ok := l.decoded[info]; ok {
		return t
	}
	if l.records > maxUsageRecords || l.decoded == nil {
		l.decoded, l.records = map[*blockInfo]*usageTable{}, 0
	}
	var t *usageTable
	for _, u := range l.sn.usageBlocks(false, func(b *blockInfo) bool { return b == info }) {
		t = newUsageTable(u)
		l.records += len(t.records)
	}
	l.decoded[info] = t
	return t
}

func newUsageTable(u *block.Usage) *usageTable {
	t := &usageTable{}
	for _, r := range u.Records {
		t.records = append(t.records, usageRecord{r.TraceID, r.SpanID, r.CPU, r.LateSamples})
	}
	slices.SortFunc(t.records, func(a, b usageRecord) int { return bytes.Compare(a.span[:], b.span[:]) })
	for _, w := range u.Windows {
		if w.Hole == "" && w.Period > 0 {
			t.windows = append(t.windows, w)
		}
	}
	return t
}

// coverage returns the stretches of time that profiles cover, in order. Windows
// that follow one another leave less than a sample's period between them.
func coverage(tables []*usageTable) (out []block.Window) {
	for _, t := range tables {
		out = append(out, t.windows...)
	}
	slices.SortFunc(out, func(a, b block.Window) int { return cmp.Compare(a.Start, b.Start) })
	n := 0
	for _, w := range out {
		if n > 0 && w.Start <= out[n-1].Start+out[n-1].Length+w.Period {
			out[n-1].Length = max(out[n-1].Length, w.Start+w.Length-out[n-1].Start)
			continue
		}
		out[n] = w
		n++
	}
	return out[:n]
}

// covers reports whether one of the stretches spans start to end, as far as those
// are known.
func covers(ws []block.Window, start, end int64) bool {
	return start <= end && slices.ContainsFunc(ws, func(w block.Window) bool { return w.Start <= start && end <= w.Start+w.Length })
}
