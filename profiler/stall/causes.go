package stall

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
)

// Kinds of findings that a span's own time gives, by what it did.
const (
	CPUWork         = "cpu_work"         // computing, that no child span explains
	CPUWait         = "cpu_wait"         // ready to run, without a processor
	LockWait        = "lock_wait"        // for a mutex or the like
	ChannelWait     = "channel_wait"     // for a channel
	PoolWait        = "pool_wait"        // for a connection of a pool
	PeerWait        = "peer_wait"        // for an answer from the network
	BlockingSyscall = "blocking_syscall" // in a system call, such as on a file
	GCAssistWork    = "gc_assist"        // for the garbage collector
	SleepWait       = "sleep"            // in time.Sleep
	LongSpan        = "long_span"        // one client's call is most of it
	Uncovered       = "uncovered"        // own time of which nothing more is known
)

// dominates is the share of the wall time from which something that every
// healthy request does as well, computing or asking others, is a finding; hurts is
// that of what none should do.
const (
	dominates = 2  // half
	hurts     = 10 // a tenth
)

// leastCause is the least Saves worth a sentence about what a span did. Requests
// that take less are not slow for a cause of this kind.
const leastCause = time.Millisecond

// cause is the same reason at the same place in spans of the same name.
type cause struct {
	kind, service, name, place string
}

// caused is what was found of one cause.
type caused struct {
	cause
	time   time.Duration // on the critical path
	count  int           // of waits
	states times
	nodes  []int
	cut    map[int][]Segment
	wakers map[string]time.Duration // who let go what was waited for
}

// causes goes through the self time on the critical path.
func (a *Analysis) causes() (out []Finding) {
	found := map[cause]*caused{}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		switch {
		case n.CriticalTime() == 0:
		case len(n.Timeline) > 0:
			a.exactCauses(found, i)
		default:
			a.vagueCauses(found, i)
		}
	}
	for _, c := range found {
		if f, ok := a.finding(c); ok {
			out = append(out, f)
		}
	}
	return out
}

// exactCauses adds what an execution trace tells of a span.
func (a *Analysis) exactCauses(found map[cause]*caused, i int) {
	n := &a.Nodes[i]
	retries := sync.OnceValue(func() bool { return a.failedBefore(i) > 0 })
	for s, part := range n.during(n.Critical) {
		kind, where := n.kindOf(s)
		if kind == ChannelWait && n.byTimer(s) && retries() {
			kind = SleepWait // select { case <-time.After(d): case <-ctx.Done(): }
		}
		if kind == "" {
			continue
		}
		c := causeOf(found, cause{kind, n.Span.Service(), n.Span.Name, where})
		if stolen := s.stolenIn(part); stolen > 0 {
			// The kernel's part is another cause, though in the same stretch: where
			// in it is not known.
			kernel := Segment{part.To - stolen, part.To}
			causeOf(found, cause{CPUWait, n.Span.Service(), n.Span.Name, ""}).add(n, i, Stretch{Segment: kernel, State: StateSteal, Wait: -1}, kernel)
			part.To -= stolen
			s = Stretch{Segment: part, State: StateCPU, Wait: -1}
		}
		c.add(n, i, s, part)
	}
}

func (c *caused) add(n *Node, i int, s Stretch, part Segment) {
	c.time += part.To - part.From
	c.states.addStretch(s, part)
	c.cut[i] = append(c.cut[i], part)
	if k := len(c.nodes); k == 0 || c.nodes[k-1] != i {
		c.nodes = append(c.nodes, i)
	}
	if s.Wait >= 0 {
		c.count++
		if w := Place(n.Usage.Exact.Waits[s.Wait].Waker); w != "" {
			c.wakers[w] += part.To - part.From
		}
	}
}

// causeOf returns what was found of a cause, empty at first.
func causeOf(found map[cause]*caused, key cause) *caused {
	c := found[key]
	if c == nil {
		c = &caused{cause: key, states: newTimes(), cut: map[int][]Segment{}, wakers: map[string]time.Duration{}}
		found[key] = c
	}
	return c
}

// kindOf says what a stretch of a span is a finding of, and where; "" for none.
func (n *Node) kindOf(s Stretch) (kind, where string) {
	if s.Wait >= 0 {
		w := &n.Usage.Exact.Waits[s.Wait]
		if where = Place(w.Stack); pooled(w.Stack) {
			return PoolWait, where
		}
	}
	state, _ := restOf(n.Span)
	client := state == StateNet
	switch s.State {
	case StateCPU:
		return CPUWork, ""
	case StateRunnable, StateSteal:
		return CPUWait, ""
	case StateNet:
		return PeerWait, where
	case StateChan, StateSelect:
		if client || s.Wait >= 0 && asksPeer(n.Usage.Exact.Waits[s.Wait].Stack) { // its connection is read by a goroutine of its own
			return PeerWait, where
		}
		return ChannelWait, where
	case StateLock:
		return LockWait, where
	case StateSyscall:
		return BlockingSyscall, where
	case StateGCAssist, StateSTW:
		return GCAssistWork, ""
	case StateSleep:
		return SleepWait, where
	}
	return "", ""
}

// byTimer reports whether no goroutine ended a wait for a channel: a timer did, or it
// is not known.
func (n *Node) byTimer(s Stretch) bool {
	return s.Wait >= 0 && len(n.Usage.Exact.Waits[s.Wait].Waker) == 0
}

// vagueCauses adds what samples, kind and times tell of a span.
func (a *Analysis) vagueCauses(found map[cause]*caused, i int) {
	n := &a.Nodes[i]
	own := n.CriticalTime()
	cpu := cpuShare(n.CPU, n.Self)
	used := time.Duration(float64(cpu.Time) * float64(own) / float64(n.Self))
	kind := Uncovered
	if state, _ := restOf(n.Span); state == StateNet {
		kind = LongSpan
	}
	add := func(kind string, d time.Duration, state State, e Evidence) {
		c := causeOf(found, cause{kind, n.Span.Service(), n.Span.Name, ""})
		c.time += d
		c.states.add(state, d, e)
		c.nodes = append(c.nodes, i)
		c.cut[i] = shorten(n.Critical, d)
	}
	if used > 0 && 2*n.CPU.Low >= n.CPU.Value { // else it may as well be little
		add(CPUWork, used, StateCPU, n.CPU.Evidence)
	}
	if rest := own - used; rest > 0 {
		state, e := restOf(n.Span)
		add(kind, rest, state, e)
	}
}

// shorten returns the last part of segs that adds up to d.
func shorten(segs []Segment, d time.Duration) (out []Segment) {
	for _, s := range slices.Backward(segs) {
		if d <= 0 {
			break
		}
		part := Segment{max(s.From, s.To-d), s.To}
		out, d = append(out, part), d-(part.To-part.From)
	}
	slices.Reverse(out)
	return out
}

// finding turns a cause into a sentence, when it is worth one.
func (a *Analysis) finding(c *caused) (Finding, bool) {
	share := time.Duration(hurts)
	switch c.kind {
	case CPUWork, PeerWait, LongSpan, Uncovered, BlockingSyscall:
		share = dominates
	}
	wall := a.Nodes[0].Wall()
	least := max(leastCause, wall/share)
	if c.time < least {
		return Finding{}, false
	}
	saves := wall - a.wallWithoutTimes(c.cut)
	if saves < least {
		return Finding{}, false
	}
	f := Finding{Kind: c.kind, Text: a.sentence(c), Spans: c.nodes, Saves: saves}
	slices.SortStableFunc(f.Spans, func(i, j int) int { return cmp.Compare(a.Nodes[j].CriticalTime(), a.Nodes[i].CriticalTime()) })
	return f, true
}

// sentence says what happened, for how long, where, and what to do.
func (a *Analysis) sentence(c *caused) string {
	name := clip(c.name)
	if len(c.nodes) > 1 {
		name = fmt.Sprintf("%d × %s", len(c.nodes), name)
	}
	d := fmt.Sprintf("%s of %s (%s)", FormatDuration(c.time), FormatDuration(a.Critical), FormatPercent(c.time, a.Critical))
	at := ""
	if c.place != "" {
		at = " at " + c.place
	}
	switch c.kind {
	case CPUWork:
		what := ""
		if top := topFunction(&a.Nodes[c.nodes[0]]); top != "" {
			what = " " + top
		}
		return fmt.Sprintf("%s computed for %s that no child span explains%s.%s", name, d, a.inferred(c), what)
	case CPUWait:
		return fmt.Sprintf("%s was ready to run but waited for a processor for %s%s.", name, d, c.cpuWait())
	case LockWait:
		return fmt.Sprintf("%s waited for a lock for %s%s, %s%s.", name, d, at, plural(c.count, "time", "times"), c.waker("; it was let go by"))
	case ChannelWait:
		return fmt.Sprintf("%s waited for a channel for %s%s%s.", name, d, at, c.waker("; it went on after"))
	case PoolWait:
		return fmt.Sprintf("%s waited for a connection of its pool for %s%s: more connections, or shorter use of them, would save it.", name, d, at)
	case PeerWait:
		return fmt.Sprintf("%s waited for the network for %s%s: its peer is slow.", name, d, at)
	case BlockingSyscall:
		return fmt.Sprintf("%s was in a blocking system call for %s%s.", name, d, at)
	case GCAssistWork:
		return fmt.Sprintf("%s worked, or waited, for the garbage collector for %s: it allocates faster than the collector keeps up.", name, d)
	case SleepWait:
		if n := a.failedBefore(c.nodes[0]); n > 0 {
			return fmt.Sprintf("%s slept for %s%s, between %s: a retry loop.", name, d, at, plural(n, "failed attempt", "failed attempts"))
		}
		return fmt.Sprintf("%s slept for %s%s.", name, d, at)
	case LongSpan:
		return fmt.Sprintf("%s took %s, waiting for its peer (inferred from its kind).", name, d)
	}
	return fmt.Sprintf("%s took %s of its own, of which no child span and no measurement tells more.", name, d)
}

// inferred says how CPU time is known, when that is not from event to event.
func (a *Analysis) inferred(c *caused) string {
	if e := c.states.evidence[StateCPU]; e != "" && e != Exact {
		return fmt.Sprintf(" (%s)", e)
	}
	return ""
}

// cpuWait says which queue it was: Go's or the kernel's.
func (c *caused) cpuWait() string {
	runnable, steal := c.states.of[StateRunnable], c.states.of[StateSteal]
	switch {
	case steal == 0:
		return ", in Go's run queue: more goroutines are ready than GOMAXPROCS lets run"
	case runnable == 0:
		return ", in the kernel's: a CPU quota, or other processes"
	}
	return fmt.Sprintf(": %s in Go's run queue, %s in the kernel's", FormatDuration(runnable), FormatDuration(steal))
}

// waker names who ended most of the waiting.
func (c *caused) waker(words string) string {
	who, most := "", time.Duration(0)
	for w, d := range c.wakers {
		if d > most || d == most && w < who {
			who, most = w, d
		}
	}
	if who == "" {
		return ""
	}
	return words + " " + who
}

// failedBefore counts the children of a span that failed and were followed by
// another of the same name.
func (a *Analysis) failedBefore(i int) (n int) {
	last := map[string]bool{} // by name: whether the last one failed
	for _, c := range a.whatIf().awaited(i) {
		s := a.Nodes[c].Span
		if last[s.Name] {
			n++
		}
		last[s.Name] = s.Status.Code == codes.Error
	}
	return n
}

// firstOfKind says which of two findings comes first that would save the same:
// the one that says what to do.
var firstOfKind = map[string]int{DeferrableTail: -2, NPlusOne: -1, SequentialSiblings: -1, CPUWork: 1, LongSpan: 2, Uncovered: 2}

// rankFindings puts the greatest gain first.
func rankFindings(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Saves, a.Saves), cmp.Compare(firstOfKind[a.Kind], firstOfKind[b.Kind]), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Text, b.Text))
	})
}
