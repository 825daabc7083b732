package exectrace

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	"golang.org/x/exp/trace"
)

// NewerError is returned for a trace in a format that the parser in this build
// does not know: reading another will not work either.
type NewerError struct{ Err error }

func (e *NewerError) Error() string {
	return fmt.Sprintf("read execution trace: its format is newer than this build's parser (golang.org/x/exp/trace): %v", e.Err)
}

func (e *NewerError) Unwrap() error { return e.Err }

// Coverage is what a trace covers, and how much of it there was.
type Coverage struct {
	Start, End time.Time
	Events     int

	// Spans were handed out. Of Unknown ones only the end was seen, and not on the
	// goroutine that they had.
	Spans, Unknown int

	// Readings of the threads' clocks: without any, running counts as CPU time.
	Readings int
}

// Analyze reads a trace to its end and hands out each span in it that belongs to
// a trace which want reports true for (nil: all), a moment after its end; those
// that have not ended come last. Spans may be kept. An error of emit ends the work and is returned, as is one of the trace: of a format that
// is newer than this build's parser, or cut off. What was handed out before
// is right all the same.
func Analyze(r io.Reader, want func(oteltrace.TraceID) bool, emit func(*Span) error) (c Coverage, err error) {
	defer func() {
		if p := recover(); p != nil { // the parser's, on input that it did not expect
			err = fmt.Errorf("read execution trace: %v", p)
		}
	}()
	in, err := trace.NewReader(r)
	if err != nil {
		if strings.Contains(err.Error(), "version") {
			return c, &NewerError{err}
		}
		return c, fmt.Errorf("read execution trace: %w", err)
	}
	a := &analysis{
		want: want, emit: emit, goroutines: map[trace.GoID]*goroutine{}, threads: map[trace.ThreadID]*thread{},
		spans: map[oteltrace.SpanID]*span{}, tasks: map[trace.TaskID]*span{}, first: -1,
	}
	for {
		ev, err := in.ReadEvent()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return a.coverage(), fmt.Errorf("read execution trace: %w", err)
		}
		if err := a.event(&ev); err != nil {
			return a.coverage(), err
		}
	}
	err = a.finish()
	return a.coverage(), err
}

// clock turns the trace's times into those of the wall clock.
type clock struct {
	trace int64
	at    time.Time
}

func (c *clock) wall(t int64) time.Time { return c.at.Add(time.Duration(t - c.trace)) }

// analysis is the state of one pass over a trace.
type analysis struct {
	want       func(oteltrace.TraceID) bool
	emit       func(*Span) error
	goroutines map[trace.GoID]*goroutine
	threads    map[trace.ThreadID]*thread
	spans      map[oteltrace.SpanID]*span // that have not ended
	tasks      map[trace.TaskID]*span     // of those of them that have one
	ended      []*span                    // that wait for the threads' clocks, by end
	stacks     stacks
	clock      clock

	first, now   int64
	stopped      int             // stops of the world that are under way
	readingBegan int64           // 0 when none is under way
	read         [settling]int64 // when the clocks were read last, the oldest first
	events       int
	emitted      int
	unknown      int
	readings     int
}

func (a *analysis) coverage() Coverage {
	return Coverage{
		Start: a.clock.wall(max(0, a.first)), End: a.clock.wall(a.now), Events: a.events,
		Spans: a.emitted, Unknown: a.unknown, Readings: a.readings,
	}
}

func (a *analysis) event(ev *trace.Event) error {
	a.events++
	if a.now = int64(ev.Time()); a.first < 0 {
		a.first = a.now
	}
	switch ev.Kind() {
	case trace.EventSync:
		a.stacks.nextGeneration()
		if c := ev.Sync().ClockSnapshot; c != nil && a.clock.at.IsZero() {
			a.clock = clock{int64(c.Trace), c.Wall}
		}
	case trace.EventStateTransition:
		a.transition(ev)
	case trace.EventLog:
		return a.log(ev)
	case trace.EventTaskBegin:
		a.taskBegins(ev)
	case trace.EventTaskEnd:
		a.taskEnds(ev)
	case trace.EventRangeBegin, trace.EventRangeActive:
		a.rangeChange(ev, +1)
	case trace.EventRangeEnd:
		a.rangeChange(ev, -1)
	}
	return nil
}

// transition follows a goroutine from one state to the next.
func (a *analysis) transition(ev *trace.Event) {
	tr := ev.StateTransition()
	if tr.Resource.Kind != trace.ResourceGoroutine {
		return
	}
	id := tr.Resource.Goroutine()
	from, to := tr.Goroutine()
	g := a.goroutine(id)
	if from == to && to != trace.GoRunning && g.reported != Other && g.reported != None {
		return // said once a second of one that goes on waiting, without the reason
	}
	var th *thread
	if to == trace.GoRunning {
		th = a.thread(ev.Thread())
	}
	if from == trace.GoWaiting && to == trace.GoRunnable {
		a.settle(g, a.goroutines[ev.Goroutine()])
		a.woken(g, ev)
	}
	a.change(g, func() {
		switch from {
		case trace.GoUndetermined:
			g.before = a.newSpan(g, true)
		case trace.GoNotExist:
			if by := a.goroutines[ev.Goroutine()]; by != nil {
				g.base = by.current()
			}
		}
		if g.thread != nil {
			g.thread.stop(a.now)
		}
		if g.thread = th; th != nil {
			th.start(a.now)
		}
		g.reported, g.stack = stateOf(to, tr.Reason), a.where(ev, &tr, from, to)
		if g.reported == Other && (from == to || from == trace.GoUndetermined) {
			g.reported = stateAt(a.stacks.of(g.stack)) // it has waited since before the trace, which gives no reason
		}
		g.mutex = a.stacks.forMutex(g.stack)
	})
	if from == trace.GoNotExist {
		g.inherit(a.goroutines[ev.Goroutine()], 0, a.now)
	}
	if from == trace.GoUndetermined && to == trace.GoWaiting && g.before != nil {
		g.before.since, g.before.start, g.since = a.first, a.first, a.first // or there would have been an event
	}
	if to == trace.GoNotExist {
		a.gone(g)
		delete(a.goroutines, id)
	}
}

// where returns the stack in which a goroutine waits. One that becomes runnable
// stays where it was.
func (a *analysis) where(ev *trace.Event, tr *trace.StateTransition, from, to trace.GoState) int32 {
	switch {
	case to == trace.GoRunning:
		return 0
	case to == trace.GoRunnable && from == trace.GoWaiting:
		return 0 // what it waited for before is over
	case tr.Stack != trace.NoStack:
		return a.stacks.id(tr.Stack)
	}
	return a.stacks.id(ev.Stack())
}

// settle is called when a goroutine is about to go on, which by has let it.
func (a *analysis) settle(g, by *goroutine) {
	switch s := g.current(); {
	case s != nil && s.main == g:
		s.settle(g, by, a.now)
	case g.state.blocked():
		g.inherit(by, g.since, a.now)
	}
	g.send(by, a.now)
}

// woken notes who let a goroutine go on.
func (a *analysis) woken(g *goroutine, ev *trace.Event) {
	s := g.current()
	if s == nil || s.unwanted {
		return
	}
	for i := range s.waits {
		w := &s.waits[i]
		if w.waitKey != (waitKey{g.state, g.stack}) {
			continue
		}
		w.waker = a.stacks.id(ev.Stack())
		if by := a.goroutines[ev.Goroutine()]; by != nil {
			if of := by.current(); of != nil {
				w.wakerSpan = of.id
			}
		}
		return
	}
}

// gone lets go of a goroutine that has ended. A span that it did not end goes
// on without it.
func (a *analysis) gone(g *goroutine) {
	for _, s := range g.spans {
		s.main = nil
	}
	g.errand = errand{}
	if s := g.current(); s != nil {
		a.leave(g, s, g.state)
		g.spans, g.base, g.before = nil, nil, nil
		s.update(a.now)
	}
}

// rangeChange follows what the collector does.
func (a *analysis) rangeChange(ev *trace.Event, by int) {
	r := ev.Range()
	switch {
	case r.Scope.Kind == trace.ResourceGoroutine && r.Name == "GC mark assist":
		g := a.goroutine(r.Scope.Goroutine())
		a.change(g, func() { g.marks = max(0, g.marks+by) })
	case len(r.Name) > 14 && r.Name[:14] == "stop-the-world":
		a.stopped = max(0, a.stopped+by)
		for _, g := range a.goroutines {
			if g.reported == Runnable && g.current() != nil {
				a.change(g, func() {})
			}
		}
	}
}

func (a *analysis) thread(id trace.ThreadID) *thread {
	t := a.threads[id]
	if t == nil {
		t = &thread{since: -1, seen: a.now}
		a.threads[id] = t
	}
	return t
}

func (a *analysis) log(ev *trace.Event) error {
	switch l := ev.Log(); l.Category {
	case categorySpan:
		what, of, id, ok := parseSpan(l.Message)
		if !ok {
			return nil
		}
		g := a.goroutine(ev.Goroutine())
		switch {
		case what != spanEnd:
			a.begin(g, of, id)
			if s := a.spans[id]; what == spanStartTask && s.main == g {
				g.begun = s
			}
		case id != g.ended: // and not with its task already
			a.end(g, of, id)
		}
	case categoryClock:
		return a.readClocks(l.Message)
	}
	return nil
}

// begin begins a span on a goroutine.
func (a *analysis) begin(g *goroutine, of oteltrace.TraceID, id oteltrace.SpanID) {
	if a.spans[id] != nil {
		return // twice: the first counts
	}
	s := a.newSpan(g, false)
	s.trace, s.id, s.unwanted = of, id, !a.wants(of)
	a.spans[id] = s
	a.change(g, func() { g.spans = append(g.spans, s) })
}

// taskBegins notes the task of a span that has just begun on the goroutine.
func (a *analysis) taskBegins(ev *trace.Event) {
	g := a.goroutine(ev.Goroutine())
	if s := g.begun; s != nil {
		s.task = ev.Task().ID
		a.tasks[s.task] = s
		g.begun = nil
	}
}

// taskEnds ends a span with its task. Its end may be logged after that, too.
func (a *analysis) taskEnds(ev *trace.Event) {
	if s := a.tasks[ev.Task().ID]; s != nil {
		g := a.goroutine(ev.Goroutine())
		a.end(g, s.trace, s.id)
		g.ended = s.id
	}
}

func (a *analysis) wants(of oteltrace.TraceID) bool { return a.want == nil || a.want(of) }

// end ends a span, whichever goroutine says so.
func (a *analysis) end(g *goroutine, of oteltrace.TraceID, id oteltrace.SpanID) {
	s := a.spans[id]
	if s == nil {
		a.endBefore(g, of, id)
		return
	}
	delete(a.spans, id)
	if s.task != 0 {
		delete(a.tasks, s.task)
	}
	for _, h := range s.helpers {
		a.change(h, func() {}) // what it ran until now counts
		h.past = history{}
	}
	if m := s.main; m != nil {
		a.change(m, func() {
			m.spans = slices.DeleteFunc(m.spans, func(o *span) bool { return o == s })
		})
	}
	a.over(s)
}

// endBefore ends a span that began before the trace, on a goroutine that worked
// for no other: it has had it since the trace began, or since the one before it
// ended.
func (a *analysis) endBefore(g *goroutine, of oteltrace.TraceID, id oteltrace.SpanID) {
	s := g.before
	if s == nil || len(g.spans) > 0 {
		a.unknown++
		return
	}
	s.trace, s.id, s.unwanted = of, id, !a.wants(of)
	a.change(g, func() { g.before = a.newSpan(g, true) })
	a.over(s)
}

// over puts a span that has ended where it waits to be handed out.
func (a *analysis) over(s *span) {
	s.close(a.now)
	s.end, s.ended = a.now, true
	s.main, s.helpers, s.now = nil, nil, None
	if !s.unwanted {
		a.ended = append(a.ended, s)
	}
}

func (a *analysis) newSpan(g *goroutine, clipped bool) *span {
	return &span{start: a.now, since: a.now, wait: -1, main: g, clipped: clipped}
}

// settling is how many readings after a time the shares of it are final in any case:
// two, when each has all threads, and as many again for one that was opened late.
const settling = 5

// readClocks follows the readings of the threads' clocks.
func (a *analysis) readClocks(message string) error {
	rs := parseClocks(message)
	if rs == nil {
		a.readingBegan = a.now
		for _, t := range a.threads {
			t.before = t.ranUntil(a.now)
		}
		return nil
	}
	if a.readingBegan == 0 {
		return nil // it began before the trace
	}
	for _, r := range rs {
		// Also of those that have not run a goroutine yet: from where they start counts.
		a.thread(trace.ThreadID(r.thread)).read(a.readingBegan, a.now, r.cpu)
	}
	a.readings++
	a.readingBegan = 0
	copy(a.read[:], a.read[1:])
	a.read[settling-1] = a.now
	return a.handOut(false)
}

// handOut hands out the spans that ended before the clocks' shares became final.
func (a *analysis) handOut(all bool) error {
	if a.clock.at.IsZero() {
		return errors.New("read execution trace: it does not say when it was taken, as those before Go 1.25")
	}
	until := a.now
	for _, t := range a.threads {
		if !all {
			until = min(until, max(t.settledUntil(), a.read[0])) // a thread's end must not hold up all
		}
	}
	n := 0
	for ; n < len(a.ended) && (all || a.ended[n].end < until); n++ {
		a.emitted++
		if err := a.emit(a.ended[n].result(&a.clock, &a.stacks)); err != nil {
			return err
		}
		a.ended[n] = nil
	}
	a.ended = slices.Delete(a.ended, 0, n)
	if !all {
		a.forget()
	}
	return nil
}

// forget drops the shares of times before those of any span.
func (a *analysis) forget() {
	oldest := a.now
	for _, s := range a.spans {
		oldest = min(oldest, s.start)
	}
	for _, s := range a.ended {
		oldest = min(oldest, s.start)
	}
	for _, g := range a.goroutines {
		if g.before != nil {
			oldest = min(oldest, g.before.start)
		}
	}
	for _, t := range a.threads {
		t.forget(oldest)
	}
}

// finish hands out what is left.
func (a *analysis) finish() error {
	for _, t := range a.threads {
		t.settle(true)
	}
	for _, g := range a.goroutines {
		if g.current() != nil {
			a.change(g, func() {}) // runs that are under way count until now
		}
	}
	for _, s := range a.spans {
		if s.unwanted {
			continue
		}
		s.close(a.now)
		s.end = a.now
		a.ended = append(a.ended, s)
	}
	return a.handOut(true)
}
