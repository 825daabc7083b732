package spanstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// maxUsageWaiting bounds the blocks of usage that wait for the disk.
const maxUsageWaiting = 64

// maxUsageFrames bounds the stack frames of one block of usage, so that its
// columns stay far below what the codec reads back.
const maxUsageFrames = 1 << 17

// AddUsage stores what the profiler measured in a window. It is readable when
// AddUsage returns and durable with the next commit; what is given for a span
// that has usage already is added to it. It may come before its spans. It fails
// only after Close; what finds no room is dropped and counted.
func (s *Store) AddUsage(_ context.Context, b UsageBatch) error {
	if s == nil || len(b.Windows)+len(b.Signals)+len(b.Spans) == 0 {
		return nil
	}
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	whole := true // nothing was too large
	for spans := bounded(b.Spans); ; {
		n, m := usageThatFits(spans), min(len(b.Signals), block.MaxStretches)
		// The windows go with the first block only: they must not count twice.
		fits, err := s.addUsage(UsageBatch{Windows: b.Windows, Signals: b.Signals[:m], Spans: spans[:n]})
		if err != nil {
			return err
		}
		whole = whole && fits
		spans, b.Windows, b.Signals = spans[n:], nil, b.Signals[m:]
		if len(spans)+len(b.Signals) == 0 {
			break
		}
	}
	if whole {
		s.passed("usage")
	}
	return nil
}

// usageThatFits returns how many of spans have no more stack frames than one
// block may hold; one at least.
func usageThatFits(spans []Usage) (n int) {
	for frames := 0; n < len(spans) && (n == 0 || frames < maxUsageFrames); n++ {
		for _, st := range spans[n].Stacks {
			frames += len(st.Frames)
		}
		if e := spans[n].Exact; e != nil {
			for i := range e.Waits {
				frames += len(e.Waits[i].Stack) + len(e.Waits[i].Waker)
			}
		}
	}
	return n
}

// bounded returns spans, with the stacks of each cut to what one block may hold;
// the most frequent come first, and what is left is for the longest waits.
func bounded(spans []Usage) []Usage {
	out := slices.Clone(spans)
	for i := range out {
		frames := 0
		for k, st := range out[i].Stacks {
			if frames+len(st.Frames) > maxUsageFrames {
				out[i].Stacks = out[i].Stacks[:k]
				break
			}
			frames += len(st.Frames)
		}
		out[i].Exact = out[i].Exact.bounded(maxUsageFrames - frames)
	}
	return out
}

// bounded returns e, without the stacks of the waits from that on with which they
// would have more frames than there may be. The waits stay: segments name them by
// their position.
func (e *Exact) bounded(frames int) *Exact {
	if e == nil {
		return nil
	}
	for i := range e.Waits {
		if frames -= len(e.Waits[i].Stack) + len(e.Waits[i].Waker); frames < 0 {
			cut := *e
			cut.Waits = slices.Clone(e.Waits)
			for k := i; k < len(cut.Waits); k++ {
				cut.Waits[k].Stack, cut.Waits[k].Waker = nil, nil
			}
			return &cut
		}
	}
	return e
}

// addUsage makes a block of b, or several when it is too large for one. Of a
// single span that is too large the stacks are left out. It reports
// whether nothing of it was too large.
func (s *Store) addUsage(b UsageBatch) (whole bool, err error) {
	u := packUsage(b)
	info, data := encodeUsage(s.codec, u)
	if len(data) <= s.layout.blockMax {
		return s.queueUsage(b, info, data)
	}
	if first, second, ok := b.halves(); ok {
		one, err := s.addUsage(first)
		if err != nil {
			return false, err
		}
		other, err := s.addUsage(second)
		return one && other, err
	}
	if len(b.Spans) == 1 && (len(b.Spans[0].Stacks) > 0 || b.Spans[0].Exact != nil) {
		bare := b.Spans[0]
		bare.Stacks, bare.Exact = nil, nil
		s.report("usage", fmt.Errorf("the stacks and states of one span take %d bytes and are left out", len(data)))
		_, err := s.addUsage(UsageBatch{Spans: []Usage{bare}})
		return false, err
	}
	s.counts.usageDropped.Add(b.parts())
	s.report("usage", fmt.Errorf("one window, or the signals of one stretch of time, take %d bytes and are dropped", len(data)))
	return false, nil
}

// parts is how many things of their own a batch has.
func (b UsageBatch) parts() int64 { return int64(len(b.Windows) + len(b.Signals) + len(b.Spans)) }

// halves splits a batch, unless it has one thing only. Windows and signals go with
// the first half, until they are alone.
func (b UsageBatch) halves() (first, second UsageBatch, ok bool) {
	w, x, n := len(b.Windows), len(b.Signals), len(b.Spans)
	switch {
	case n > 1:
		return UsageBatch{Windows: b.Windows, Signals: b.Signals, Spans: b.Spans[:n/2]}, UsageBatch{Spans: b.Spans[n/2:]}, true
	case n == 1 && w+x > 0:
		return UsageBatch{Windows: b.Windows, Signals: b.Signals}, UsageBatch{Spans: b.Spans}, true
	case w+x > 1:
		return UsageBatch{Windows: b.Windows[:w/2], Signals: b.Signals[:(x+1)/2]},
			UsageBatch{Windows: b.Windows[w/2:], Signals: b.Signals[(x+1)/2:]}, true
	}
	return b, UsageBatch{}, false
}

// queueUsage lets a block wait for the writer, if there is room.
func (s *Store) queueUsage(b UsageBatch, info *blockInfo, data []byte) (whole bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, ErrClosed
	}
	if len(s.usage) >= maxUsageWaiting {
		s.counts.usageDropped.Add(b.parts())
		return true, nil // it is counted; the disk has its own reports
	}
	s.seq++
	info.seq = s.seq
	s.usage = append(s.usage, &pendingUsage{info, data})
	return true, nil
}

// encodeUsage turns usage into a block and its place in the index, but for the
// number.
func encodeUsage(c *block.Codec, u *block.Usage) (*blockInfo, []byte) {
	data := block.EncodeUsage(nil, c, u)
	info := &blockInfo{
		kind: block.KindUsage, size: len(data), count: len(u.Records),
		traces: sortedFingerprints(len(u.Records), func(i int) trace.TraceID { return u.Records[i].TraceID }),
	}
	info.min, info.max = u.Bounds()
	return info, data
}

// packUsage puts a batch in the codec's form: stacks and frames once each.
func packUsage(b UsageBatch) *block.Usage {
	u := &block.Usage{}
	for _, w := range b.Windows {
		u.Windows = append(u.Windows, block.Window{
			Start: block.UnixNano(w.Start), Length: int64(w.End.Sub(w.Start)), Period: int64(w.Period),
			Samples: int64(w.Samples), Labeled: int64(w.Labeled), Process: int64(w.Process), Hole: w.Hole, RootsOnly: w.RootsOnly,
		})
	}
	for _, x := range b.Signals {
		u.Signals = append(u.Signals, block.Signals{Start: block.UnixNano(x.Start), Length: int64(x.End.Sub(x.Start)), Values: x.Values})
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
		rec.Exact = packExact(r.Exact, func(fs []Frame) int64 {
			if len(fs) == 0 {
				return -1
			}
			return int64(packStack(u, frames, stacks, fs))
		})
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

// usageBlocks decodes the blocks of usage that pick selects; of all of them the
// stacks and the signals too.
func (sn *snapshot) usageBlocks(all bool, pick func(*blockInfo) bool) (blocks []*block.Usage) {
	for _, info := range sn.usage {
		if pick(info) {
			if u := sn.readUsage(info, all); u != nil {
				blocks = append(blocks, u)
			}
		}
	}
	for _, w := range sn.waiting {
		if !pick(w.info) {
			continue
		}
		u, err := block.DecodeUsage(w.data, sn.s.codec, all)
		if err != nil {
			sn.problems = append(sn.problems, fmt.Sprintf("usage in memory could not be read: %v", err))
			continue
		}
		blocks = append(blocks, u)
	}
	return blocks
}

// readUsage returns a committed block of usage, nil when it is gone or cannot be
// read. Without stacks and signals it is small, and lists ask for it again and again.
func (sn *snapshot) readUsage(info *blockInfo, all bool) *block.Usage {
	if u, ok := sn.s.cache.get(info).(*block.Usage); ok && !all {
		return u
	}
	data, err := info.seg.read(info.seq)
	if err == nil {
		var u *block.Usage
		if u, err = block.DecodeUsage(data, sn.s.codec, all); err == nil {
			if !all {
				sn.s.cache.put(info, u, 512+64*len(u.Records)+96*len(u.Windows))
			}
			return u
		}
	}
	sn.problem(info, err)
	if info.older != nil && !errors.Is(err, errGone) {
		return sn.readUsage(info.older, all)
	}
	return nil
}

// addUsage puts usage to a trace's spans, windows and signals to its time.
func (sn *snapshot) addUsage(t *Trace) {
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	known := map[trace.SpanID]bool{}
	for i := range t.Spans {
		for _, at := range []time.Time{t.Spans[i].Start, t.Spans[i].End} {
			if !at.IsZero() {
				from, to = min(from, at.UnixNano()), max(to, at.UnixNano())
			}
		}
		known[t.Spans[i].SpanID()] = true
	}
	fp := fingerprint(t.ID)
	t.Usage = map[trace.SpanID]Usage{}
	for _, u := range sn.usageBlocks(true, func(b *blockInfo) bool { return b.mayHold(fp) || b.overlaps(from, to) }) {
		t.Windows = appendWindows(t.Windows, u.Windows, from, to)
		t.Signals = appendSignals(t.Signals, u.Signals, from, to)
		for _, r := range u.Records {
			if r.TraceID == t.ID && known[r.SpanID] {
				t.Usage[r.SpanID] = t.Usage[r.SpanID].plus(u, r)
			}
		}
	}
	sortWindows(t.Windows)
	slices.SortFunc(t.Signals, func(a, b Signals) int { return a.Start.Compare(b.Start) })
}

// plus adds one record to what is known of a span.
func (a Usage) plus(u *block.Usage, r block.UsageRecord) Usage {
	a.TraceID, a.SpanID = r.TraceID, r.SpanID
	a.Samples += int(r.Samples)
	a.CPU += time.Duration(r.CPU)
	a.LateSamples += int(r.LateSamples)
	for _, ref := range r.Stacks {
		frames := framesOf(u, int64(ref.Stack))
		same := slices.IndexFunc(a.Stacks, func(s Stack) bool { return slices.Equal(s.Frames, frames) })
		if same >= 0 {
			a.Stacks[same].Samples += int(ref.Samples)
		} else {
			a.Stacks = append(a.Stacks, Stack{Frames: frames, Samples: int(ref.Samples)})
		}
	}
	slices.SortStableFunc(a.Stacks, func(x, y Stack) int { return cmp.Compare(y.Samples, x.Samples) })
	// Two traces of the same time do not add up: the one that knows more counts.
	if e := r.Exact; e != nil && (a.Exact == nil || time.Duration(e.To-e.From) > a.Exact.End.Sub(a.Exact.Start)) {
		a.Exact = unpackExact(u, e)
	}
	return a
}

// framesOf returns the frames of one of a block's stacks, nil for none.
func framesOf(u *block.Usage, stack int64) []Frame {
	if stack < 0 {
		return nil
	}
	frames := make([]Frame, len(u.Stacks[stack]))
	for i, f := range u.Stacks[stack] {
		frames[i] = Frame{Func: u.Frames[f].Func, File: u.Frames[f].File, Line: int(u.Frames[f].Line)}
	}
	return frames
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
		Samples: int(w.Samples), Labeled: int(w.Labeled), Process: time.Duration(w.Process), Hole: w.Hole, RootsOnly: w.RootsOnly,
	}
}

// appendSignals appends those signals that overlap from..to.
func appendSignals(out []Signals, all []block.Signals, from, to int64) []Signals {
	for _, x := range all {
		if x.Start <= to && x.Start+x.Length >= from {
			out = append(out, signals(x))
		}
	}
	return out
}

func signals(x block.Signals) Signals {
	return Signals{Start: time.Unix(0, x.Start).UTC(), End: time.Unix(0, x.Start+x.Length).UTC(), Values: x.Values}
}

func sortWindows(ws []Window) {
	slices.SortFunc(ws, func(a, b Window) int { return a.Start.Compare(b.Start) })
}
