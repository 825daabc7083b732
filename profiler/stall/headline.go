package stall

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spanclock/spanclock/spanstore"
)

// Headline says what matters most about a trace. Both parts are whole
// sentences; Rest may be empty. Names in them come from spans: hostile text.
type Headline struct {
	Strong, Rest string
}

// String joins both parts.
func (h Headline) String() string { return strings.TrimSpace(h.Strong + " " + h.Rest) }

// headline chooses what dominates the critical path: a write at the tail that
// the request may not need, one client's wait, or one span's own time.
func (a *Analysis) headline() Headline {
	root := &a.Nodes[0]
	if a.Critical == 0 {
		return Headline{Strong: fmt.Sprintf("%s took no time that could be measured.", clip(root.Span.Name))}
	}
	top := a.longestOnPath()
	longest, sampledTop := a.longest(top)
	deferrable, hasTail := a.find(DeferrableTail)
	tail := ""
	if hasTail {
		tail = a.tailSentence(deferrable)
	}
	var h Headline
	rest := make([]string, 0, 4)
	switch {
	case hasTail && deferrable.Saves >= a.Critical/5 && deferrable.Saves >= top.CriticalTime()/2:
		h.Strong = tail
		rest = append(rest, longest)
	case hasTail:
		h.Strong = longest
		rest = append(rest, tail)
	default:
		h.Strong = longest
	}
	if cpu := topFunction(top); sampledTop && cpu != "" {
		rest = append(rest, cpu)
	}
	if !sampledTop {
		rest = append(rest, a.cpuSentence())
	}
	if after := a.afterwards(); after != "" {
		rest = append(rest, after)
	}
	if a.Pending {
		rest = append(rest, "CPU samples may still arrive.")
	}
	h.Rest = strings.Join(rest, " ")
	return h
}

func (a *Analysis) longestOnPath() *Node {
	top, most := &a.Nodes[0], time.Duration(-1)
	for i := range a.Nodes {
		if t := a.Nodes[i].CriticalTime(); t > most {
			top, most = &a.Nodes[i], t
		}
	}
	return top
}

// longest is the sentence about the span that is longest on the critical path.
// It reports whether it speaks of that span's CPU.
func (a *Analysis) longest(top *Node) (sentence string, cpu bool) {
	own := top.CriticalTime()
	name := clip(top.Span.Name)
	share := fmt.Sprintf("%s of %s (%s)", FormatDuration(own), FormatDuration(a.Critical), FormatPercent(own, a.Critical))
	if own < a.Critical/4 {
		return fmt.Sprintf("No single span dominates: the longest on the critical path is %s, %s.", name, share), false
	}
	if len(top.Timeline) > 0 {
		return fmt.Sprintf("%s is %s's own time: %s.", share, name, ownStates(top)), cpuMost(top)
	}
	if state, _ := restOf(top.Span); state == StateNet && cpuShare(top.CPU, top.Self).Time < top.Self/2 {
		return fmt.Sprintf("%s took %s, waiting (network, inferred from its kind).", name, share), false
	}
	return fmt.Sprintf("%s is %s's own time: %s.", share, name, ownCPU(top)), true
}

// ownStates says what a span did on the critical path, as an execution trace
// tells: the three greatest shares above a twentieth.
func ownStates(n *Node) string {
	t := newTimes()
	t.add(StateUnknown, n.CriticalTime()-t.within(n, n.Critical), None)
	var shares []Share
	for s, d := range t.of {
		shares = append(shares, Share{State: s, Time: d})
	}
	slices.SortFunc(shares, func(s, t Share) int { return cmp.Or(cmp.Compare(t.Time, s.Time), cmp.Compare(s.State, t.State)) })
	var words []string
	for _, s := range shares[:min(3, len(shares))] {
		if len(words) == 0 || s.Time >= n.CriticalTime()/20 {
			word := stateWords[s.State] + " " + FormatDuration(s.Time)
			if s.State == StateCPU {
				word += inFunction(n)
			}
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

var stateWords = map[State]string{
	StateCPU: "on CPU", StateRunnable: "waiting for a processor", StateSteal: "put aside by the kernel", StateLock: "waiting for a lock",
	StateChan: "waiting for a channel", StateSelect: "waiting in a select", StateNet: "waiting for the network", StateSyscall: "in system calls",
	StateGCAssist: "helping the garbage collector", StateSTW: "stopped for the garbage collector", StateSleep: "asleep", StateOther: "blocked", StateUnknown: "unknown",
}

// cpuMost reports whether a span computed for more of its time than anything else.
func cpuMost(n *Node) bool {
	shares := exactStates(n)
	return len(shares) > 0 && shares[0].State == StateCPU && 2*shares[0].Time > n.Self
}

// ownCPU says how much of a span's self time was CPU time.
func ownCPU(n *Node) string {
	c := n.CPU
	switch {
	case c.Evidence == None:
		return "CPU not known (" + c.Reason + ")"
	case c.Evidence == Sampled && c.Samples == 0 && c.High >= n.Self:
		return "CPU not known (no sample falls on so short a time)"
	case c.Value > n.Self && c.Low <= n.Self:
		if c.Samples == 1 {
			return "CPU at most all of it (1 sample)"
		}
		return fmt.Sprintf("CPU at most all of it (%d samples)", c.Samples) + inFunction(n)
	case c.Value >= n.Self-n.Self/10:
		return "CPU " + c.String() + inFunction(n)
	}
	return "CPU " + c.String() + inFunction(n) + ", the rest unknown"
}

// cpuSentence is about the CPU time of all spans.
func (a *Analysis) cpuSentence() string {
	switch {
	case a.CPU.Evidence == None:
		return fmt.Sprintf("CPU not known: %s.", a.CPU.Reason)
	case a.CPU.Evidence == Sampled && a.CPU.Samples == 0 && a.CPU.High >= a.Wall:
		return "CPU not known: no sample fell on so short a trace."
	}
	return fmt.Sprintf("CPU of all spans %s, %s.", a.CPU, a.CPU.Evidence)
}

// tailSentence is about the deferrable tail.
func (a *Analysis) tailSentence(f Finding) string {
	subject := a.subject()
	if subject == theRequest {
		subject = "The request" // a span's name keeps its case
	}
	return fmt.Sprintf("%s ends when %s ends: without it, about %s, %s less.",
		subject, clip(a.Nodes[f.Spans[0]].Span.Name), FormatDuration(a.Critical-f.Saves), FormatDuration(f.Saves))
}

// afterwards is about work that goes on when the main root has ended.
func (a *Analysis) afterwards() string {
	root := &a.Nodes[0]
	if a.Extent <= root.End+max(leastGain, root.Wall()/20) {
		return ""
	}
	last := root
	for i := range a.Nodes {
		if a.Nodes[i].End > last.End {
			last = &a.Nodes[i]
		}
	}
	return fmt.Sprintf("%s goes on for %s after the end of %s.",
		clip(last.Span.Name), FormatDuration(last.End-root.End), clip(root.Span.Name))
}

// fewSamples is below what a share of functions says nothing.
const fewSamples = 3

// topCPU finds the innermost function that nearly all of a span's CPU samples ran
// in, and what called it from outside of its package: a cipher says more when one
// sees that it was the password hash. Where the samples are spread so much that only
// the server's own machinery holds them all, it is the most frequent leaf instead.
// The name is empty when there is too little to go by.
func topCPU(n *Node) (name, from, share string) {
	stacks := n.Usage.Stacks
	all, in := countFunctions(stacks)
	if all < fewSamples || len(stacks[0].Frames) == 0 {
		return "", "", ""
	}
	frames := stacks[0].Frames // of the most frequent stack
	top := slices.IndexFunc(frames, func(f spanstore.Frame) bool { return 10*in[f.Func] >= 9*all })
	if top < 0 || machinery(frames[top].Func) {
		top = 0
	}
	name = frames[top].Func
	for _, f := range frames[top+1:] {
		if packageOf(f.Func) != packageOf(name) {
			if !machinery(f.Func) {
				from = f.Func
			}
			break
		}
	}
	return name, from, FormatPercent(time.Duration(in[name]), time.Duration(all))
}

// topFunction is topCPU as a sentence.
func topFunction(n *Node) string {
	name, from, share := topCPU(n)
	if name == "" {
		return ""
	}
	if from != "" {
		from = fmt.Sprintf(" (from %s)", clip(from))
	}
	return fmt.Sprintf("Top CPU: %s%s, %s.", clip(name), from, share)
}

// inFunction is topCPU within a sentence, without the paths of packages.
func inFunction(n *Node) string {
	name, from, _ := topCPU(n)
	if name == "" {
		return ""
	}
	if from != "" {
		from = fmt.Sprintf(" (from %s)", clip(shortName(from)))
	}
	return " in " + clip(shortName(name)) + from
}

// shortName is a function's name from the last part of its package's path on.
func shortName(function string) string { return function[strings.LastIndexByte(function, '/')+1:] }

// countFunctions counts all samples, and those with each function anywhere on
// the stack.
func countFunctions(stacks []spanstore.Stack) (all int, in map[string]int) {
	in = map[string]int{}
	for _, s := range stacks {
		all += s.Samples
		seen := map[string]bool{}
		for _, f := range s.Frames {
			if !seen[f.Func] {
				seen[f.Func] = true
				in[f.Func] += s.Samples
			}
		}
	}
	return all, in
}

// packageOf returns the package path of a function's full name.
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	if dot := strings.IndexByte(function[slash:], '.'); dot >= 0 {
		return function[:slash+dot]
	}
	return function
}

// machinery reports whether a function is under every request and so names none.
func machinery(function string) bool {
	for _, p := range []string{"net/http.", "go.opentelemetry.io/", "runtime/pprof.", "runtime.goexit"} {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}
