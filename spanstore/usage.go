package spanstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxUsageWaiting bounds the blocks of usage that wait for the disk.
const maxUsageWaiting = 64

// AddUsage stores what the profiler measured in a window. It is readable when
// AddUsage returns and durable with the next commit; what is given for a span
// that has usage already is added to it. It may come before its spans. It fails
// only after Close; what finds no room is dropped and counted.
func (s *Store) AddUsage(ctx context.Context, b UsageBatch) error {
	if s == nil || len(b.Windows) == 0 && len(b.Spans) == 0 {
		return nil
	}
	return s.addUsage(packUsage(b))
}

func (s *Store) addUsage(u *block.Usage) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	data := block.EncodeUsage(nil, s.codec, u)
	if len(data) > s.layout.blockMax {
		if len(u.Records) > 1 {
			// The windows go with the first half only: they must not count twice.
			half := len(u.Records) / 2
			first, second := *u, *u
			first.Records, second.Records, second.Windows = u.Records[:half], u.Records[half:], nil
			if err := s.addUsage(&first); err != nil {
				return err
			}
			return s.addUsage(&second)
		}
		s.counts.usageDropped.Add(1)
		s.report("usage", fmt.Errorf("usage of %d bytes for one span is dropped", len(data)))
		return nil
	}
	ids := make([]trace.TraceID, len(u.Records))
	for i, r := range u.Records {
		ids[i] = r.TraceID
	}
	info := &blockInfo{
		kind: block.KindUsage, count: len(u.Records),
		traces: sortedFingerprints(len(ids), func(i int) trace.TraceID { return ids[i] }),
	}
	info.min, info.max = u.Bounds()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.usage) >= maxUsageWaiting {
		s.counts.usageDropped.Add(int64(len(u.Records)))
		return nil
	}
	s.seq++
	info.seq = s.seq
	s.usage = append(s.usage, &pendingUsage{info, data})
	return nil
}

// packUsage puts a batch in the codec's form: stacks and frames once each.
func packUsage(b UsageBatch) *block.Usage {
	u := &block.Usage{}
	for _, w := range b.Windows {
		u.Windows = append(u.Windows, block.Window{
			Start: w.Start.UnixNano(), Length: int64(w.End.Sub(w.Start)), Period: int64(w.Period),
			Samples: int64(w.Samples), Labeled: int64(w.Labeled), Process: int64(w.Process), Hole: w.Hole,
		})
	}
	frames, stacks := map[Frame]uint32{}, map[string]uint32{}
	for _, r := range b.Spans {
		rec := block.UsageRecord{
			TraceID: r.TraceID, SpanID: r.SpanID,
			Samples: int64(r.Samples), CPU: int64(r.CPU), LateSamples: int64(r.LateSamples),
		}
		for _, st := range r.Stacks {
			rec.Stacks = append(rec.Stacks, block.StackRef{Stack: packStack(u, frames, stacks, st.Frames), Samples: int64(st.Samples)})
		}
		u.Records = append(u.Records, rec)
	}
	return u
}

func packStack(u *block.Usage, frames map[Frame]uint32, stacks map[string]uint32, fs []Frame) uint32 {
	ids := make([]uint32, len(fs))
	var key strings.Builder
	for i, f := range fs {
		id, ok := frames[f]
		if !ok {
			id = uint32(len(u.Frames))
			frames[f] = id
			u.Frames = append(u.Frames, block.Frame{Func: f.Func, File: f.File, Line: int64(f.Line)})
		}
		ids[i] = id
		key.Write([]byte{byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)})
	}
	id, ok := stacks[key.String()]
	if !ok {
		id = uint32(len(u.Stacks))
		stacks[key.String()] = id
		u.Stacks = append(u.Stacks, ids)
	}
	return id
}

// usageBlocks decodes the blocks of usage that pick selects.
func (sn *snapshot) usageBlocks(withStacks bool, pick func(*blockInfo) bool) (blocks []*block.Usage) {
	for _, info := range sn.usage {
		if !pick(info) {
			continue
		}
		data, err := info.seg.read(info.seq)
		if err == nil {
			var u *block.Usage
			if u, err = block.DecodeUsage(data, sn.s.codec, withStacks); err == nil {
				blocks = append(blocks, u)
				continue
			}
		}
		sn.problem(info, err)
	}
	for _, w := range sn.waiting {
		if !pick(w.info) {
			continue
		}
		u, err := block.DecodeUsage(w.data, sn.s.codec, withStacks)
		if err != nil {
			sn.problems = append(sn.problems, fmt.Sprintf("usage in memory could not be read: %v", err))
			continue
		}
		blocks = append(blocks, u)
	}
	return blocks
}

// addUsage puts usage and windows to a trace's spans.
func (sn *snapshot) addUsage(t *Trace) {
	from, to := t.Spans[0].Start.UnixNano(), int64(0)
	known := map[trace.SpanID]bool{}
	for i := range t.Spans {
		to = max(to, t.Spans[i].End.UnixNano())
		known[t.Spans[i].SpanID()] = true
	}
	fp := fingerprint(t.ID)
	t.Usage = map[trace.SpanID]Usage{}
	for _, u := range sn.usageBlocks(true, func(b *blockInfo) bool { return b.mayHold(fp) || b.overlaps(from, to) }) {
		t.Windows = appendWindows(t.Windows, u.Windows, from, to)
		for _, r := range u.Records {
			if r.TraceID == t.ID && known[r.SpanID] {
				t.Usage[r.SpanID] = t.Usage[r.SpanID].plus(u, r)
			}
		}
	}
	sortWindows(t.Windows)
}

// plus adds one record to what is known of a span.
func (a Usage) plus(u *block.Usage, r block.UsageRecord) Usage {
	a.TraceID, a.SpanID = r.TraceID, r.SpanID
	a.Samples += int(r.Samples)
	a.CPU += time.Duration(r.CPU)
	a.LateSamples += int(r.LateSamples)
	for _, ref := range r.Stacks {
		frames := make([]Frame, len(u.Stacks[ref.Stack]))
		for i, f := range u.Stacks[ref.Stack] {
			frames[i] = Frame{Func: u.Frames[f].Func, File: u.Frames[f].File, Line: int(u.Frames[f].Line)}
		}
		same := slices.IndexFunc(a.Stacks, func(s Stack) bool { return slices.Equal(s.Frames, frames) })
		if same >= 0 {
			a.Stacks[same].Samples += int(ref.Samples)
		} else {
			a.Stacks = append(a.Stacks, Stack{Frames: frames, Samples: int(ref.Samples)})
		}
	}
	slices.SortStableFunc(a.Stacks, func(x, y Stack) int { return cmp.Compare(y.Samples, x.Samples) })
	return a
}

// appendWindows appends those windows that overlap from..to.
func appendWindows(out []Window, ws []block.Window, from, to int64) []Window {
	for _, w := range ws {
		if w.Start <= to && w.Start+w.Length >= from {
			out = append(out, window(w))
		}
	}
	return out
}

func window(w block.Window) Window {
	return Window{
		Start: time.Unix(0, w.Start).UTC(), End: time.Unix(0, w.Start+w.Length).UTC(), Period: time.Duration(w.Period),
		Samples: int(w.Samples), Labeled: int(w.Labeled), Process: time.Duration(w.Process), Hole: w.Hole,
	}
}

func sortWindows(ws []Window) {
	slices.SortFunc(ws, func(a, b Window) int { return a.Start.Compare(b.Start) })
}
