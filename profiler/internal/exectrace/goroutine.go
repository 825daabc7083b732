package exectrace

import (
	oteltrace "go.opentelemetry.io/otel/trace"
	"golang.org/x/exp/trace"
)

// goroutine is what is known of one goroutine now.
type goroutine struct {
	state    State
	reported State   // as the trace has it: state without what the collector does to it
	thread   *thread // that it runs on
	stack    int32   // where it waits
	mutex    bool    // that is in a mutex
	since    int64   // when it was changed last

	spans  []*span // that started on it and have not ended, the current one last
	base   *span   // in which it was started
	before *span   // a span without an id, in case that one ends here which began before the trace
	helped *span   // that it helped last
	begun  *span   // that began on it last, until its task does
	past   history // of what it did as a helper, while that may be what is waited for
	errand errand  // that it does for another span than its own

	ended oteltrace.SpanID // by its task, last
	marks int              // mark assists that it is in
}

// current is the span that the goroutine works for.
func (g *goroutine) current() *span {
	if n := len(g.spans); n > 0 {
		return g.spans[n-1]
	}
	if g.base != nil && !g.base.ended {
		return g.base
	}
	return g.before
}

// effective is the state with what the collector does to a goroutine.
func (g *goroutine) effective(stopped bool) State {
	switch {
	case g.reported == CPU && g.marks > 0:
		return GCAssist
	case g.reported == Runnable && stopped:
		return STW
	}
	return g.reported
}

// helps reports whether g works for s without being its own goroutine.
func (g *goroutine) helps(s *span) bool { return s != nil && s.main != g }

// goroutine returns the goroutine of an id, new when it is not known.
func (a *analysis) goroutine(id trace.GoID) *goroutine {
	g := a.goroutines[id]
	if g == nil {
		g = &goroutine{}
		a.goroutines[id] = g
	}
	return g
}

// change lets f change a goroutine, and brings the spans up to date that it
// worked for before and works for after.
func (a *analysis) change(g *goroutine, f func()) {
	was, state := g.current(), g.state
	if was != nil && state == CPU {
		was.ran(g.thread, g.since, a.now)
	}
	if was.awaits() && g.helps(was) {
		g.noteState(was, a.now)
	}
	g.since = a.now
	f()
	g.state = g.effective(a.stopped > 0)
	is := g.current()
	if was != is {
		a.leave(g, was, state)
		a.join(g, is)
	} else if g.helps(is) {
		is.inState[state]--
		is.inState[g.state]++
	}
	if was != nil && was != is {
		was.update(a.now)
	}
	if is != nil {
		is.update(a.now)
	}
}

// leave takes g, which was in a state, from a span's helpers.
func (a *analysis) leave(g *goroutine, s *span, state State) {
	if !g.helps(s) {
		return
	}
	for i, h := range s.helpers {
		if h == g {
			last := len(s.helpers) - 1
			s.helpers[i] = s.helpers[last]
			s.helpers = s.helpers[:last]
			s.inState[state]--
			return
		}
	}
}

func (a *analysis) join(g *goroutine, s *span) {
	if !g.helps(s) {
		return
	}
	s.helpers = append(s.helpers, g)
	s.inState[g.state]++
	if g.helped != s { // and not back from a span of its own
		g.helped = s
		s.helped++
	}
}
