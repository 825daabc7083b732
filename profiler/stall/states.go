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

// criticalBudget divides the critical path by state. A span's sampled CPU has no
// position, so the part of its self time that is on the path gets its CPU in
// proportion. The interval is that of one figure, not a sum of intervals: the
// spans on the path were sampled together.
func (a *Analysis) criticalBudget(c *coverage) []Share {
	var cpu, net, unknown time.Duration
	var samples float64
	for i := range a.Nodes {
		n := &a.Nodes[i]
		own := n.CriticalTime()
		if own == 0 {
			continue
		}
		part := float64(own) / float64(n.Self)
		used := min(own, time.Duration(part*float64(cpuShare(n.CPU, n.Self).Time)))
		samples += part * float64(n.CPU.Samples)
		cpu += used
		if state, _ := restOf(n.Span); state == StateNet {
			net += own - used
		} else {
			unknown += own - used
		}
	}
	if a.Critical == 0 {
		return nil
	}

	n := 0
	if cpu > 0 {
		n = max(1, int(min(math.Round(samples), math.MaxInt32)))
	}
	root := Segment{a.Nodes[0].Start, a.Nodes[0].End}
	sure := cpuShare(c.estimate(root, n, cpu, len(a.Services)), a.Critical)
	up, down := sure.High-sure.Time, sure.Time-sure.Low

	var budget []Share
	if sure.Evidence != None {
		budget = append(budget, sure)
	}
	for _, s := range []Share{
		{State: StateNet, Time: net, Evidence: Inferred},
		{State: StateUnknown, Time: unknown, Evidence: None},
	} {
		if s.Time > 0 {
			s.Low, s.High = max(0, s.Time-up), min(a.Critical, s.Time+down)
			budget = append(budget, s)
		}
	}
	slices.SortStableFunc(budget, func(s, t Share) int {
		return cmp.Or(cmp.Compare(rank(s), rank(t)), cmp.Compare(t.Time, s.Time))
	})
	return budget
}

// rank puts CPU first: it is what the rest is compared with.
func rank(s Share) int {
	if s.State == StateCPU {
		return 0
	}
	return 1
}
