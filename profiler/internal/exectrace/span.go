package exectrace

import (
	"cmp"
	"slices"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	"golang.org/x/exp/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// Span is what a trace tells of one span.
type Span struct {
	Trace oteltrace.TraceID
	ID    oteltrace.SpanID

	// Start and End are those of the span, as far as the trace reaches: Clipped
	// says that it began before, Open that it had not ended.
	Start, End    time.Time
	Clipped, Open bool

	// Segments say what the span did when, in order and without overlap. What is
	// between them belongs to other spans on its goroutine.
	Segments []Segment

	// Running is how long the span's goroutines ran, all together: it may exceed
	// the wall time. Stolen is the part of it that their threads were not on CPU,
	// an estimate that lies between StolenLow and StolenHigh.
	Running, Stolen, StolenLow, StolenHigh time.Duration

	// Goroutines is how many worked for it.
	Goroutines int

	// Waits are the places where it was blocked, the longest first.
	Waits []Wait
}

// Segment is a stretch of a span's time in one state.
type Segment struct {
	From, To time.Duration // since the span's start
	State    State

	// Stolen is how much of a segment in state CPU the thread was not on CPU: an
	// estimate, see the package documentation.
	Stolen time.Duration

	// Wait is the position in Waits of what was waited for; -1 for none.
	Wait int
}

// Wait is a place where a span was blocked, or waited for a processor.
type Wait struct {
	State State
	Total time.Duration
	Count int

	// Stack is where, Waker where the goroutine was that ended the last of the
	// waits, innermost frame first; nil when the trace does not say. WakerSpan is
	// the span that this goroutine worked for, if any.
	Stack, Waker []spanstore.Frame
	WakerSpan    oteltrace.SpanID
}

// maxWaits bounds the places that are kept of one span; what comes after has
// none. maxSegments bounds its segments; the last one then takes what comes
// after, in state Other. maxRuns bounds the runs that wait for the threads'
// clocks; what is more is scaled by those that are there.
const (
	maxWaits    = 64
	maxSegments = 1 << 14
	maxRuns     = 1 << 12
)

// span is a Span being made. Its times are the trace's, in nanoseconds.
type span struct {
	trace          oteltrace.TraceID
	id             oteltrace.SpanID
	task           trace.TaskID // 0 for none
	start, end     int64
	clipped, ended bool
	unwanted       bool // nobody asks what it did

	main    *goroutine     // on which it started; nil when that is not known any more
	helpers []*goroutine   // others that work for it now
	inState [NumStates]int // how many of helpers are in each state
	helped  int            // how many there were

	now      State // the state of the segment that is open
	since    int64
	thread   *thread // of the goroutine whose state it is
	wait     int32   // the open segment's, -1 for none
	segments []segment
	waits    []wait

	notedIn int64 // the wait of its own goroutine in which noted counts what helpers did
	noted   int

	running int64 // of goroutines' runs that are over
	scaled  onCPU // of those that are scaled
	runs    []run // that are not
}

type segment struct {
	from, to int64
	state    State
	wait     int32
	thread   *thread
}

// run is how long one of the span's goroutines ran on a thread in a stretch of time: all of
// it, or parts that the thread's clock cannot tell apart.
type run struct {
	thread        *thread
	from, to, ran int64
}

type waitKey struct {
	state State
	stack int32
}

type wait struct {
	waitKey
	total     int64
	count     int
	waker     int32 // stack
	wakerSpan oteltrace.SpanID
}

// state returns what the span does now, and the goroutine that does it, as far as one
// can tell before its own goroutine goes on: see settle.
func (s *span) state() (State, *goroutine) {
	g := s.main
	if g == nil || g.current() != s {
		if g != nil {
			return None, nil // a child span on the goroutine has the time
		}
		return s.helperState()
	}
	if g.state.blocked() && !g.mutex {
		if st, h := s.helperState(); h != nil {
			return st, h
		}
	}
	return g.state, g
}

func (s *span) helperState() (State, *goroutine) {
	for _, st := range helping {
		if s.inState[st] == 0 {
			continue
		}
		for _, h := range s.helpers {
			if h.state == st {
				return st, h
			}
		}
	}
	return None, nil
}

// update closes the open segment when the span's state has changed.
func (s *span) update(now int64) {
	if s.unwanted {
		return
	}
	st, g := s.state()
	var th *thread
	w := int32(-1)
	if g != nil {
		if st == CPU {
			th = g.thread
		}
		w = s.waitOf(st, g)
	}
	if st == s.now && th == s.thread && w == s.wait {
		return
	}
	s.close(now)
	s.now, s.thread, s.wait = st, th, w
	if w >= 0 {
		s.waits[w].count++
	}
}

// waitOf returns the place of a wait, -1 for a state that has none.
func (s *span) waitOf(st State, g *goroutine) int32 {
	if st == None || st == CPU || st == STW {
		return -1
	}
	return s.placeOf(waitKey{st, g.stack})
}

// placeOf returns the position of a place in waits, -1 when there are too many.
func (s *span) placeOf(key waitKey) int32 {
	for i := range s.waits {
		if s.waits[i].waitKey == key {
			return int32(i)
		}
	}
	if len(s.waits) == maxWaits {
		return -1
	}
	s.waits = append(s.waits, wait{waitKey: key})
	return int32(len(s.waits) - 1)
}

// close ends the open segment.
func (s *span) close(now int64) {
	from := s.since
	s.since = now
	if now <= from || s.now == None {
		return
	}
	s.push(segment{from, now, s.now, s.wait, s.thread})
}

// push appends a segment, or makes the last one longer.
func (s *span) push(g segment) {
	n := len(s.segments)
	if n == maxSegments {
		last := &s.segments[n-1]
		if last.wait >= 0 {
			s.waits[last.wait].total -= last.to - last.from
		}
		last.to, last.state, last.wait, last.thread = g.to, Other, -1, nil
		return
	}
	if g.wait >= 0 {
		s.waits[g.wait].total += g.to - g.from
	}
	if n > 0 {
		last := &s.segments[n-1]
		if last.to == g.from && last.state == g.state && last.wait == g.wait && last.thread == g.thread {
			last.to = g.to
			return
		}
	}
	s.segments = append(s.segments, g)
}

// ran notes that a goroutine has run for the span.
func (s *span) ran(th *thread, from, to int64) {
	if from >= to || s.unwanted {
		return
	}
	s.running += to - from
	if th == nil {
		d := time.Duration(to - from)
		s.scaled = s.scaled.plus(onCPU{d, 0, d})
		return
	}
	if n := len(s.runs); n > 0 {
		last := &s.runs[n-1]
		if last.thread == th && (last.to == from || last.from >= th.readAt()) {
			last.to = to
			last.ran += to - from
			return
		}
	}
	if len(s.runs) == maxRuns {
		s.scale()
	}
	s.runs = append(s.runs, run{th, from, to, to - from})
}

// scale turns what ran into CPU time, by the threads' shares as far as they are
// known.
func (s *span) scale() {
	for _, r := range s.runs {
		s.scaled = s.scaled.plus(r.thread.onCPU(r.from, r.to, r.ran))
	}
	s.runs = s.runs[:0]
}

// result returns the span as others see it. The shares of its threads are final.
func (s *span) result(c *clock, st *stacks) *Span {
	s.scale()
	out := &Span{
		Trace: s.trace, ID: s.id, Start: c.wall(s.start), End: c.wall(s.end), Clipped: s.clipped, Open: !s.ended,
		Running: time.Duration(s.running), Goroutines: 1 + s.helped,
		Segments: make([]Segment, len(s.segments)),
	}
	out.Stolen, out.StolenLow, out.StolenHigh = out.Running-s.scaled.value, out.Running-s.scaled.high, out.Running-s.scaled.low
	for i, g := range s.segments {
		out.Segments[i] = Segment{From: time.Duration(g.from - s.start), To: time.Duration(g.to - s.start), State: g.state, Wait: int(g.wait)}
		if g.thread != nil {
			out.Segments[i].Stolen = max(0, time.Duration(g.to-g.from)-g.thread.onCPU(g.from, g.to, g.to-g.from).value)
		}
	}
	s.sortWaits(out, st)
	return out
}

func (s *span) sortWaits(out *Span, st *stacks) {
	order := make([]int, len(s.waits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.waits[b].total, s.waits[a].total) })
	place := make([]int, len(s.waits))
	for to, from := range order {
		w := &s.waits[from]
		if w.total == 0 {
			break // no segment has it
		}
		place[from] = to
		out.Waits = append(out.Waits, Wait{
			State: w.state, Total: time.Duration(w.total), Count: w.count,
			Stack: st.of(w.stack), Waker: st.of(w.waker), WakerSpan: w.wakerSpan,
		})
	}
	for i := range out.Segments {
		if w := &out.Segments[i].Wait; *w >= 0 {
			*w = place[*w]
		}
	}
}
