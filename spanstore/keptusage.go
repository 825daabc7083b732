package spanstore

import (
	"fmt"
	"slices"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// copyUsage copies what was measured of the chosen traces and of those kept
// before, and the windows and signals of the time in which the chosen ones, or
// those of the segment before, ran. The stacks are left out when they do not fit,
// then the signals, and everything when that does not: it is counted.
func (k *keeper) copyUsage(w *keptWriter, times intervals, whys map[uint32]byte) {
	all := &UsageBatch{}
	for _, info := range k.usage {
		data, err := info.seg.read(info.seq)
		if err != nil {
			k.trouble(fmt.Errorf("no usage is kept of block %d: %w", info.seq, err))
			continue
		}
		u, err := block.DecodeUsage(data, k.s.codec, true)
		if err != nil {
			k.trouble(fmt.Errorf("no usage is kept of block %d: %w", info.seq, err))
			continue
		}
		for _, x := range u.Windows {
			if times.overlap(x.Start, x.Start+x.Length) || k.before.overlap(x.Start, x.Start+x.Length) {
				all.Windows = append(all.Windows, window(x))
			}
		}
		for _, x := range u.Signals {
			if times.overlap(x.Start, x.Start+x.Length) || k.before.overlap(x.Start, x.Start+x.Length) {
				all.Signals = append(all.Signals, signals(x))
			}
		}
		for _, rec := range u.Records {
			fp := fingerprint(rec.TraceID)
			if whys[fp] != 0 || k.wanted[fp]&keptPart != 0 {
				all.Spans = append(all.Spans, Usage{}.plus(u, rec))
			}
		}
	}
	w.addUsage(all)
}

func (w *keptWriter) addUsage(all *UsageBatch) {
	for spans := all.Spans; len(spans)+len(all.Windows)+len(all.Signals) > 0; {
		n, m := usageThatFits(spans), min(len(all.Signals), block.MaxStretches)
		part := UsageBatch{Windows: all.Windows, Signals: all.Signals[:m], Spans: spans[:n]}
		if !w.fitUsage(part) && !w.fitBareUsage(part) {
			w.k.s.counts.usageDropped.Add(int64(len(spans)))
			return
		}
		spans, all.Windows, all.Signals = spans[n:], nil, all.Signals[m:]
	}
}

// fitBareUsage adds a block without stacks, and if need be without signals: they
// are of less use than the rest.
func (w *keptWriter) fitBareUsage(part UsageBatch) bool {
	part.Spans = slices.Clone(part.Spans)
	for i := range part.Spans {
		part.Spans[i].Stacks = nil
	}
	if w.fitUsage(part) {
		return true
	}
	part.Signals = nil
	return len(part.Windows)+len(part.Spans) > 0 && w.fitUsage(part)
}

// fitUsage adds a block of usage, if it fits into the bytes that are left.
func (w *keptWriter) fitUsage(part UsageBatch) bool {
	info, data := encodeUsage(w.k.s.codec, packUsage(part))
	b := encodedBlock{info: info, data: data}
	if w.bytes+int64(len(data)+len(info.encode())) > w.k.limit || len(data) > w.k.s.layout.blockMax {
		return false
	}
	w.add(b)
	return true
}

// intervals are stretches of time, in order and apart.
type intervals [][2]int64

// apart puts stretches in order and joins those that touch.
func apart(v intervals) intervals {
	slices.SortFunc(v, func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
	out := v[:0]
	for _, x := range v {
		if n := len(out); n > 0 && x[0] <= out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], x[1])
		} else {
			out = append(out, x)
		}
	}
	return slices.Clip(out)
}

func (v intervals) overlap(from, to int64) bool {
	// The first that does not end before.
	i, _ := slices.BinarySearchFunc(v, from, func(x [2]int64, from int64) int {
		if x[1] < from {
			return -1
		}
		return 1
	})
	return i < len(v) && v[i][0] <= to
}
