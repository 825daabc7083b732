package stall

import (
	"cmp"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// State is what a span, or its goroutine, was doing.
type State string

// From samples and spans alone only StateCPU, StateNet, StateCovered and
// StateUnknown can be told; the others take an execution trace.
const (
	StateCPU      State = "cpu"       // on a CPU
	StateRunnable State = "runnable"  // in Go's run queue
	StateSteal    State = "steal"     // running for Go, descheduled by the kernel
	StateLock     State = "lock"      // waiting for a mutex or the like
	StateChan     State = "chan"      // waiting for a channel
	StateSelect   State = "select"    // waiting in a select
	StateNet      State = "net"       // waiting for the network
	StateSyscall  State = "syscall"   // in a system call
	StateGCAssist State = "gc_assist" // helping the garbage collector
	StateSTW      State = "stw"       // the world was stopped
	StateSleep    State = "sleep"     // in time.Sleep
	StateOther    State = "other"     // waiting for something else
	StateCovered  State = "covered"   // awaited children were running
	StateUnknown  State = "unknown"   // no evidence
)

// States returns all states.
func States() []State {
	return []State{
		StateCPU, StateRunnable, StateSteal, StateLock, StateChan, StateSelect, StateNet, StateSyscall,
		StateGCAssist, StateSTW, StateSleep, StateOther, StateCovered, StateUnknown,
	}
}

// Share is the part of a time that was spent in one state.
type Share struct {
	State           State
	Time, Low, High time.Duration // Low and High are the interval of Time
	Evidence        Evidence
}

// divideStates divides each span's wall time. What the children cover is known
// from the spans' times, CPU from samples, and of what is then left a client's
// part is taken for waiting on the network.
func (a *Analysis) divideStates() {
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if covered := n.Wall() - n.Self; covered > 0 {
			n.States = append(n.States, Share{StateCovered, covered, covered, covered, Exact})
		}
		if n.Self == 0 {
			continue
		}
		if len(n.Timeline) > 0 {
			n.States = append(n.States, exactStates(n)...)
			continue
		}
		cpu := cpuShare(n.CPU, n.Self)
		if cpu.Evidence != None {
			n.States = append(n.States, cpu)
		}
		if rest := n.Self - cpu.Time; rest > 0 {
			state, evidence := restOf(n.Span)
			n.States = append(n.States, Share{state, rest, n.Self - cpu.High, n.Self - cpu.Low, evidence})
		}
	}
}

// exactStates divides the self time of a span by its timeline, the greatest share
// first.
func exactStates(n *Node) (out []Share) {
	t := newTimes()
	known := t.within(n, n.SelfSegments)
	t.add(StateUnknown, n.Self-known, None)
	for s, d := range t.of {
		out = append(out, Share{s, d, d, d, t.evidence[s]})
	}
	sortShares(out)
	return out
}

// sortShares puts CPU first, then the greatest.
func sortShares(shares []Share) {
	slices.SortFunc(shares, func(s, t Share) int {
		return cmp.Or(cmp.Compare(rank(s), rank(t)), cmp.Compare(t.Time, s.Time), cmp.Compare(s.State, t.State))
	})
}

// cpuShare is the part of own that c can account for: goroutines of a span that
// run side by side may have burnt more CPU time than there was wall time.
func cpuShare(c CPU, own time.Duration) Share {
	if c.Evidence == None {
		return Share{State: StateCPU, High: own, Evidence: None}
	}
	return Share{StateCPU, min(c.Value, own), min(c.Low, own), min(c.High, own), c.Evidence}
}

// restOf says what a span does in its self time when it is not on CPU. Clients
// and producers wait for their peer, except where there is none: embedded
// databases are clients by convention only.
func restOf(s *spanstore.Span) (State, Evidence) {
	if s.Kind != trace.SpanKindClient && s.Kind != trace.SpanKindProducer {
		return StateUnknown, None
	}
	switch text(s, "db.system.name", "db.system") {
	case "sqlite", "duckdb":
		return StateUnknown, None
	}
	return StateNet, Inferred
}

// text returns the first of the named attributes that is a string and not empty.
func text(s *spanstore.Span, keys ...attribute.Key) string {
	for _, k := range keys {
		if v, ok := s.Attribute(k); ok && v.Type() == attribute.STRING && v.AsString() != "" {
			return v.AsString()
		}
	}
	return ""
}

// criticalBudget divides the critical path by state. What an execution trace
// tells is counted as it lies on the path. Of other spans sampled CPU has no
// position, so the part of their self time that is on the path gets its CPU in
// proportion. The interval of that is the interval of one figure, not a sum of
// intervals: the spans on the path were sampled together.
func (a *Analysis) criticalBudget(c *coverage) []Share {
	if a.Critical == 0 {
		return nil
	}
	exact, rest := newTimes(), newTimes()
	sampled, samples := time.Duration(0), 0.0 // of the path: looked at by samples
	for i := range a.Nodes {
		n := &a.Nodes[i]
		own := n.CriticalTime()
		if own == 0 {
			continue
		}
		if len(n.Timeline) > 0 {
			exact.add(StateUnknown, own-exact.within(n, n.Critical), None)
			continue
		}
		sampled += own
		part := float64(own) / float64(n.Self)
		used := min(own, time.Duration(part*float64(cpuShare(n.CPU, n.Self).Time)))
		samples += part * float64(n.CPU.Samples)
		rest.add(StateCPU, used, Sampled)
		state, evidence := restOf(n.Span)
		rest.add(state, own-used, evidence)
	}

	n := 0
	if rest.of[StateCPU] > 0 {
		n = max(1, int(min(math.Round(samples), math.MaxInt32)))
	}
	var cpu Share
	if sampled > 0 {
		root := Segment{a.Nodes[0].Start, a.Nodes[0].End}
		cpu = cpuShare(c.estimate(root, n, rest.of[StateCPU], len(a.Services)), sampled)
	} else {
		cpu = Share{State: StateCPU, Evidence: Exact}
	}
	delete(rest.of, StateCPU)
	return a.mergeBudget(exact, rest, cpu, sampled > 0)
}

// mergeBudget adds up what is known exactly and what is not. The interval of the
// sampled CPU time is that of what stands beside it, the other way round.
func (a *Analysis) mergeBudget(exact, rest times, cpu Share, sampled bool) (budget []Share) {
	up, down := cpu.High-cpu.Time, cpu.Time-cpu.Low
	if d := exact.of[StateCPU]; d > 0 || cpu.Evidence != None && sampled {
		s := Share{StateCPU, cpu.Time + d, cpu.Low + d, cpu.High + d, cpu.Evidence}
		if s.Evidence == None {
			s.Evidence = Exact
		}
		budget = append(budget, s)
	}
	all := newTimes()
	for s, d := range exact.of {
		if s != StateCPU {
			all.add(s, d, exact.evidence[s])
		}
	}
	for s, d := range rest.of {
		all.add(s, d, rest.evidence[s])
	}
	for s, d := range all.of {
		x := Share{s, d, d, d, all.evidence[s]}
		if _, ok := rest.of[s]; ok {
			x.Low, x.High = max(0, d-up), min(a.Critical, d+down)
		}
		budget = append(budget, x)
	}
	sortShares(budget)
	return budget
}

// rank puts CPU first: it is what the rest is compared with.
func rank(s Share) int {
	if s.State == StateCPU {
		return 0
	}
	return 1
}
