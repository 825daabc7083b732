package block

import (
	"bytes"
	"math"

	"go.opentelemetry.io/otel/trace"
)

// Sections of a block of usage.
const (
	secUsageIDs     = 1 // raw, as secIDs: idTraces, idSpans
	secUsage        = 2 // one row a record, and the windows
	secUsageStrings = 3
	secStacks       = 4
)

// Columns of secUsage. Those from colWindowStart on have one value a window.
const (
	colUsageTrace = iota
	colSamples
	colCPU
	colLate
	colStacks // how many stacks the record has in secStacks
	numUsageCols

	colWindowStart    = 32
	colWindowLength   = 33
	colWindowPeriod   = 34
	colWindowSamples  = 35
	colWindowLabeled  = 36
	colWindowProcess  = 37
	colWindowHole     = 38 // string
	colWindowRoots    = 39 // 1 when only local roots were labelled
	numWindowCols     = 8
	windowColumnsFrom = colWindowStart
)

// Columns of secStacks. A record's stacks follow one another; stacks and frames
// are kept once a block.
const (
	colRefStack   = 0 // which stack
	colRefSamples = 1
	colStackLen   = 2 // frames of each distinct stack
	colStackFrame = 3 // which frame, all stacks one after the other
	colFrameFunc  = 4 // string
	colFrameFile  = 5 // string
	colFrameLine  = 6
)

// UsageRecord is what one span did in one window. Stacks index the batch's.
type UsageRecord struct {
	TraceID                   trace.TraceID
	SpanID                    trace.SpanID
	Samples, CPU, LateSamples int64
	Stacks                    []StackRef
	Exact                     *Exact // nil for none
}

// StackRef is a stack and how many samples were seen in it.
type StackRef struct {
	Stack   uint32
	Samples int64
}

// Frame is one function of a stack.
type Frame struct {
	Func, File string
	Line       int64
}

// Window is a stretch of profiled time, or a hole. Times in Unix nanoseconds,
// lengths in nanoseconds.
type Window struct {
	Start, Length, Period, Samples, Labeled, Process int64
	Hole                                             string
	RootsOnly                                        bool
}

// Usage is the content of a block of usage.
type Usage struct {
	Windows []Window
	Signals []Signals
	Records []UsageRecord
	Stacks  [][]uint32 // frames, leaf first
	Frames  []Frame
}

// Bounds returns the least start and the greatest end of the windows and signals.
func (u *Usage) Bounds() (least, greatest int64) {
	least, greatest = math.MaxInt64, math.MinInt64
	for _, w := range u.Windows {
		least, greatest = min(least, w.Start), max(greatest, w.Start+w.Length)
	}
	for _, s := range u.Signals {
		least, greatest = min(least, s.Start), max(greatest, s.Start+s.Length)
	}
	if len(u.Windows)+len(u.Signals) == 0 {
		return 0, 0
	}
	return least, greatest
}

// EncodeUsage appends the block of u to dst. The stacks and frames that u's
// records name must exist.
func EncodeUsage(dst []byte, c *Codec, u *Usage) []byte {
	var strs stringBuilder
	strs.reset()
	var traces traceTable
	traces.reset()
	cols := make([][]int64, numUsageCols)
	var spanIDs []byte
	var refs [2][]int64
	for _, r := range u.Records {
		spanIDs = append(spanIDs, r.SpanID[:]...)
		for i, v := range []int64{int64(traces.id(r.TraceID)), r.Samples, r.CPU, r.LateSamples, int64(len(r.Stacks))} {
			cols[i] = append(cols[i], v)
		}
		for _, s := range r.Stacks {
			refs[0], refs[1] = append(refs[0], int64(s.Stack)), append(refs[1], s.Samples)
		}
	}
	usage := []byte(nil)
	for i, c := range cols {
		usage = appendInts(usage, byte(i), c)
	}
	windows := make([][]int64, numWindowCols)
	for _, w := range u.Windows {
		for i, v := range []int64{w.Start, w.Length, w.Period, w.Samples, w.Labeled, w.Process, int64(strs.id(w.Hole)), flag(w.RootsOnly)} {
			windows[i] = append(windows[i], v)
		}
	}
	for i, c := range windows {
		usage = appendInts(usage, byte(windowColumnsFrom+i), c)
	}

	stacks := appendInts(nil, colRefStack, refs[0])
	stacks = appendInts(stacks, colRefSamples, refs[1])
	var lens, frames []uint32
	for _, s := range u.Stacks {
		lens, frames = append(lens, uint32(len(s))), append(frames, s...)
	}
	stacks = appendInts(stacks, colStackLen, lens)
	stacks = appendInts(stacks, colStackFrame, frames)
	fcols := make([][]int64, 3)
	for _, f := range u.Frames {
		for i, v := range []int64{int64(strs.id(f.Func)), int64(strs.id(f.File)), f.Line} {
			fcols[i] = append(fcols[i], v)
		}
	}
	for i, c := range fcols {
		stacks = appendInts(stacks, byte(colFrameFunc+i), c)
	}

	exact := encodeExact(u.Records, &strs)
	ids := appendColumn(nil, idTraces, traces.raw)
	ids = appendColumn(ids, idSpans, spanIDs)
	text, _ := strs.appendTo(nil, nil)
	sections := []section{
		{id: secUsageIDs, raw: true, buf: ids},
		{id: secUsage, buf: usage},
		{id: secUsageStrings, buf: text},
		{id: secStacks, buf: stacks},
	}
	if len(u.Signals) > 0 {
		sections = append(sections, section{id: secSignals, buf: encodeSignals(u.Signals)})
	}
	if exact != nil {
		sections = append(sections, section{id: secExact, buf: exact})
	}
	least, greatest := u.Bounds()
	return pack(dst, c, KindUsage, len(u.Records), least, greatest, sections)
}

// DecodeUsage reads a block of usage; b is not kept. The stacks and the signals
// are left out unless all is asked for: they are most of it, and lists do without.
func DecodeUsage(b []byte, c *Codec, all bool) (*Usage, error) {
	f, err := unpack(c, b, KindUsage)
	if err != nil {
		return nil, err
	}
	strs, err := f.columns(secUsageStrings)
	if err != nil {
		return nil, err
	}
	table, err := parseStrings(strs, nil)
	if err != nil {
		return nil, err
	}
	u := &Usage{}
	counts, err := u.readRecords(f, &table)
	if err != nil || !all {
		return u, err
	}
	signals, err := f.columns(secSignals)
	if err != nil {
		return u, err
	}
	if u.Signals, err = decodeSignals(signals); err != nil {
		return u, err
	}
	if err := u.readStacks(f, &table, counts); err != nil {
		return u, err
	}
	exact, err := f.columns(secExact)
	if err != nil || exact == nil {
		return u, err
	}
	return u, u.readExact(exact, &table)
}

func (u *Usage) readRecords(f *frame, strs *stringTable) (stacks ints, err error) {
	ids, err := f.columns(secUsageIDs)
	if err != nil {
		return stacks, err
	}
	traces, spans := ids[idTraces], bytes.Clone(ids[idSpans])
	if len(traces)%16 != 0 || len(spans) != 8*f.count {
		return stacks, corrupt("usage ids")
	}
	cs, err := f.columns(secUsage)
	if err != nil {
		return stacks, err
	}
	var cols [numUsageCols]ints
	for id := range cols {
		if cols[id], err = cs.ints(byte(id), f.count); err != nil {
			return stacks, err
		}
	}
	u.Records = make([]UsageRecord, f.count)
	for i := range u.Records {
		t := cols[colUsageTrace].at(i)
		if uint64(t) >= uint64(len(traces)/16) {
			return stacks, corrupt("usage of trace %d of %d", t, len(traces)/16)
		}
		u.Records[i] = UsageRecord{
			TraceID: trace.TraceID(traces[16*t:]), SpanID: trace.SpanID(spans[8*i:]),
			Samples: cols[colSamples].at(i), CPU: cols[colCPU].at(i), LateSamples: cols[colLate].at(i),
		}
	}
	var w [numWindowCols]ints
	n := -1
	for i := range w {
		if w[i], err = cs.ints(byte(windowColumnsFrom+i), n); err != nil {
			return stacks, err
		}
		n = w[i].n
	}
	u.Windows = make([]Window, w[0].n)
	for i := range u.Windows {
		u.Windows[i] = Window{
			Start: w[0].at(i), Length: w[1].at(i), Period: w[2].at(i), Samples: w[3].at(i),
			Labeled: w[4].at(i), Process: w[5].at(i), Hole: strs.at(w[6].at(i)), RootsOnly: w[7].at(i) != 0,
		}
	}
	return cols[colStacks], nil
}

func flag(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

func (u *Usage) readStacks(f *frame, strs *stringTable, counts ints) error {
	cs, err := f.columns(secStacks)
	if err != nil {
		return err
	}
	var cols [colFrameLine + 1]ints
	for id := range cols {
		if cols[id], err = cs.ints(byte(id), -1); err != nil {
			return err
		}
	}
	u.Frames = make([]Frame, cols[colFrameFunc].n)
	for i := range u.Frames {
		u.Frames[i] = Frame{
			Func: strs.at(cols[colFrameFunc].at(i)), File: strs.at(cols[colFrameFile].at(i)), Line: cols[colFrameLine].at(i),
		}
	}
	u.Stacks = make([][]uint32, cols[colStackLen].n)
	at := 0
	for i := range u.Stacks {
		n := int(cols[colStackLen].at(i))
		if n < 0 || n > cols[colStackFrame].n-at {
			return corrupt("stack %d is cut off", i)
		}
		u.Stacks[i] = make([]uint32, n)
		for k := range n {
			fr := cols[colStackFrame].at(at + k)
			if uint64(fr) >= uint64(len(u.Frames)) {
				return corrupt("stack %d names frame %d of %d", i, fr, len(u.Frames))
			}
			u.Stacks[i][k] = uint32(fr)
		}
		at += n
	}
	at = 0
	for i := range u.Records {
		n := int(counts.at(i))
		if n < 0 || n > cols[colRefStack].n-at {
			return corrupt("stacks of record %d are cut off", i)
		}
		for k := range n {
			s := cols[colRefStack].at(at + k)
			if uint64(s) >= uint64(len(u.Stacks)) {
				return corrupt("record %d names stack %d of %d", i, s, len(u.Stacks))
			}
			u.Records[i].Stacks = append(u.Records[i].Stacks, StackRef{uint32(s), cols[colRefSamples].at(at + k)})
		}
		at += n
	}
	return nil
}
