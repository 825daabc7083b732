package block

import (
	"errors"

	"go.opentelemetry.io/otel/trace"
)

// secExact is the section of a block of usage that holds what execution traces
// tell of spans, absent when none do.
const secExact = 9

// Columns of secExact. Those from colSegmentFrom on have one value a segment,
// those from colWaitState on one a wait; each record's follow one another.
const (
	colExactRecord = iota // which record of the block
	colExactFrom
	colExactTo
	colExactRunning
	colExactStolen
	colExactStolenLow
	colExactStolenHigh
	colExactGoroutines
	colExactSegments // how many the record has
	colExactWaits    // how many
	numExactCols

	colSegmentFrom   = 32 // difference to the end of the one before
	colSegmentLength = 33
	colSegmentState  = 34 // string
	colSegmentStolen = 35
	colSegmentWait   = 36 // position among the record's waits plus one, 0 for none
	numSegmentCols   = 5

	colWaitState = 48 // string
	colWaitTotal = 49
	colWaitCount = 50
	colWaitStack = 51 // which of the block's stacks plus one, 0 for none
	colWaitWaker = 52 // the same
	numWaitCols  = 5

	colWakerSpans = 64 // raw: 8 bytes a wait
)

// Exact is what an execution trace tells of a span. From and To in Unix
// nanoseconds, other times in nanoseconds.
type Exact struct {
	From, To, Running, Stolen, StolenLow, StolenHigh, Goroutines int64
	Segments                                                     []ExactSegment
	Waits                                                        []ExactWait
}

// ExactSegment is a stretch of a span's time in one state. Wait is -1 for none.
type ExactSegment struct {
	From, To int64
	State    string
	Stolen   int64
	Wait     int64
}

// ExactWait is a place where a span waited. Stack and Waker index the block's
// stacks, -1 for none.
type ExactWait struct {
	State        string
	Total, Count int64
	Stack, Waker int64
	WakerSpan    trace.SpanID
}

// encodeExact returns the section's columns, nil when no record has any.
func encodeExact(records []UsageRecord, strs *stringBuilder) []byte {
	var cols [numExactCols][]int64
	var segs [numSegmentCols][]int64
	var waits [numWaitCols][]int64
	var spans []byte
	for i, r := range records {
		e := r.Exact
		if e == nil {
			continue
		}
		for c, v := range [numExactCols]int64{int64(i), e.From, e.To, e.Running, e.Stolen, e.StolenLow, e.StolenHigh, e.Goroutines, int64(len(e.Segments)), int64(len(e.Waits))} {
			cols[c] = append(cols[c], v)
		}
		at := int64(0)
		for _, s := range e.Segments {
			for c, v := range [numSegmentCols]int64{s.From - at, s.To - s.From, int64(strs.id(s.State)), s.Stolen, s.Wait + 1} {
				segs[c] = append(segs[c], v)
			}
			at = s.To
		}
		for _, w := range e.Waits {
			for c, v := range [numWaitCols]int64{int64(strs.id(w.State)), w.Total, w.Count, w.Stack + 1, w.Waker + 1} {
				waits[c] = append(waits[c], v)
			}
			spans = append(spans, w.WakerSpan[:]...)
		}
	}
	if len(cols[0]) == 0 {
		return nil
	}
	var out []byte
	for c := range cols {
		out = appendInts(out, byte(c), cols[c])
	}
	for c := range segs {
		out = appendInts(out, byte(colSegmentFrom+c), segs[c])
	}
	for c := range waits {
		out = appendInts(out, byte(colWaitState+c), waits[c])
	}
	return appendColumn(out, colWakerSpans, spans)
}

// readExact puts what the section says to its records. The stacks are there.
func (u *Usage) readExact(cs columns, strs *stringTable) error {
	var cols [numExactCols]ints
	var segs [numSegmentCols]ints
	var waits [numWaitCols]ints
	if err := errors.Join(intColumns(cs, 0, cols[:]), intColumns(cs, colSegmentFrom, segs[:]), intColumns(cs, colWaitState, waits[:])); err != nil {
		return err
	}
	spans := cs[colWakerSpans]
	if len(spans) != 8*waits[0].n {
		return corrupt("%d bytes of ids for %d waits", len(spans), waits[0].n)
	}
	segment, wait := 0, 0
	for i := range cols[0].n {
		r, ns, nw := cols[colExactRecord].at(i), cols[colExactSegments].at(i), cols[colExactWaits].at(i)
		if uint64(r) >= uint64(len(u.Records)) || ns < 0 || ns > int64(segs[0].n-segment) || nw < 0 || nw > int64(waits[0].n-wait) {
			return corrupt("exact states of record %d", r)
		}
		e := &Exact{
			From: cols[colExactFrom].at(i), To: cols[colExactTo].at(i), Running: cols[colExactRunning].at(i), Stolen: cols[colExactStolen].at(i),
			StolenLow: cols[colExactStolenLow].at(i), StolenHigh: cols[colExactStolenHigh].at(i), Goroutines: cols[colExactGoroutines].at(i),
		}
		if err := e.readSegments(&segs, segment, int(ns), int(nw), strs); err != nil {
			return err
		}
		if err := e.readWaits(&waits, spans, wait, int(nw), len(u.Stacks), strs); err != nil {
			return err
		}
		segment, wait = segment+int(ns), wait+int(nw)
		u.Records[r].Exact = e
	}
	return nil
}

func (e *Exact) readSegments(cols *[numSegmentCols]ints, from, n, waits int, strs *stringTable) error {
	e.Segments = make([]ExactSegment, n)
	at := int64(0)
	for k := range e.Segments {
		i := from + k
		s := ExactSegment{From: at + cols[0].at(i), State: strs.at(cols[2].at(i)), Stolen: cols[3].at(i), Wait: cols[4].at(i) - 1}
		s.To = s.From + cols[1].at(i)
		if s.From < at || s.To < s.From || s.Wait < -1 || s.Wait >= int64(waits) {
			return corrupt("segment %d of exact states", i)
		}
		e.Segments[k], at = s, s.To
	}
	return nil
}

func (e *Exact) readWaits(cols *[numWaitCols]ints, spans []byte, from, n, stacks int, strs *stringTable) error {
	e.Waits = make([]ExactWait, n)
	for k := range e.Waits {
		i := from + k
		w := ExactWait{
			State: strs.at(cols[0].at(i)), Total: cols[1].at(i), Count: cols[2].at(i), Stack: cols[3].at(i) - 1, Waker: cols[4].at(i) - 1,
			WakerSpan: trace.SpanID(spans[8*i:]),
		}
		if w.Stack < -1 || w.Stack >= int64(stacks) || w.Waker < -1 || w.Waker >= int64(stacks) {
			return corrupt("wait %d names a stack of %d", i, stacks)
		}
		e.Waits[k] = w
	}
	return nil
}

// intColumns reads columns that follow one another and have the same length.
func intColumns(cs columns, first byte, cols []ints) (err error) {
	n := -1
	for c := range cols {
		if cols[c], err = cs.ints(first+byte(c), n); err != nil {
			return err
		}
		n = cols[c].n
	}
	return nil
}
