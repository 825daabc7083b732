package stall

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Kinds of findings that the spans' times alone give: what is concluded from
// them is inferred, as spans do not say who needed whose result.
const (
	// SequentialSiblings are calls that follow one another though each began only
	// when the one before had ended: side by side they would take as long as the
	// longest.
	SequentialSiblings = "sequential_siblings"

	// NPlusOne is many calls of one name, one after the other, where one that asks
	// for all would do. Their statements, where known, differ in values alone.
	NPlusOne = "n_plus_one"

	// WorkAfterEnd is what goes on when the main root has ended.
	WorkAfterEnd = "work_after_end"
)

// leastCalls of one name make an N+1; fewer are not worth a batch.
const leastCalls = 5

// maxRuns bounds the runs that are looked at closely, those first that take most
// of the critical path.
const maxRuns = 64

// structure finds what the order of the spans could gain.
func (a *Analysis) structure(children [][]int) (out []Finding) {
	least := max(leastCause, a.Nodes[0].Wall()/4)
	var runs []run
	for i := range a.Nodes {
		if len(children[i]) > 1 && a.Nodes[i].pathTime() >= least {
			runs = a.runs(runs, i, children[i], least)
		}
	}
	slices.SortStableFunc(runs, func(r, s run) int { return cmp.Compare(s.time, r.time) })
	for _, r := range runs[:min(len(runs), maxRuns)] {
		if f, ok := a.runFinding(r); ok && f.Saves >= least {
			out = append(out, f)
		}
	}
	if f, ok := a.workAfterEnd(); ok {
		out = append(out, f)
	}
	return out
}

// run is calls of one parent, one after the other, and how long they were on the
// critical path.
type run struct {
	parent int
	calls  []int
	time   time.Duration
}

// pathTime is how long the end of the main root hung on a span or its
// descendants.
func (n *Node) pathTime() time.Duration { return n.path.To - n.path.From }

// runs appends the longest runs of awaited client calls among siblings, by start,
// each of which asks the same kind of peer and began when the one before had
// ended, with little of the parent's own time between: a cache, then the
// database, is what it looks like. Those that take less than least are left out.
func (a *Analysis) runs(out []run, parent int, siblings []int, least time.Duration) []run {
	r := run{parent: parent}
	flush := func() {
		if len(r.calls) > 1 && r.time >= least {
			out = append(out, r)
		}
		r = run{parent: parent}
	}
	for _, c := range siblings {
		n := &a.Nodes[c]
		if !n.Awaited || n.Wall() == 0 || !asks(n) {
			flush()
			continue
		}
		if k := len(r.calls); k > 0 {
			last := &a.Nodes[r.calls[k-1]]
			if gap := n.Start - last.End; gap < 0 || gap > max(leastGain, (last.Wall()+n.Wall())/4) || callee(n) != callee(last) {
				flush()
			}
		}
		r.calls, r.time = append(r.calls, c), r.time+n.pathTime()
	}
	flush()
	return out
}

// asks reports whether a span is a call that another could run beside: it asks
// another process, and does not change anything there, as far as one can tell.
func asks(n *Node) bool {
	return n.Span.Kind == trace.SpanKindClient && !writes(n.Span) && !transaction[operation(n.Span)] && !changes(n)
}

// changes reports whether a span is an HTTP request that changes something: whether
// another may overtake it is not for anybody else to say. What a database or a remote
// call sends by POST says nothing.
func changes(n *Node) bool {
	if text(n.Span, "db.system.name", "db.system", "rpc.system.name", "rpc.system") != "" {
		return false
	}
	method := text(n.Span, "http.request.method", "http.method")
	if method == "" {
		method, _, _ = strings.Cut(strings.TrimPrefix(n.Span.Name, "HTTP "), " ")
	}
	switch strings.ToUpper(method) {
	case "POST", "PUT", "PATCH", "DELETE":
		return true
	}
	return false
}

// callee is the kind of peer that a client span asks.
func callee(n *Node) string {
	if s := text(n.Span, "db.system.name", "db.system", "rpc.system.name", "rpc.system", "messaging.system"); s != "" {
		return s
	}
	if text(n.Span, "http.request.method", "http.method") != "" {
		return "http"
	}
	name, _, _ := strings.Cut(n.Span.Name, " ")
	name, _, _ = strings.Cut(name, ".")
	return name
}

// transaction are statements whose order matters.
var transaction = map[string]bool{"BEGIN": true, "START": true, "COMMIT": true, "ROLLBACK": true, "SAVEPOINT": true, "PREPARE": true, "AUTH": true, "HELLO": true, "PING": true}

// runFinding is what a run of siblings could gain.
func (a *Analysis) runFinding(r run) (Finding, bool) {
	run, parent, wall := r.calls, r.parent, a.Nodes[0].Wall()
	longest := run[0]
	names := map[string]bool{}
	for _, c := range run {
		if a.Nodes[c].Wall() > a.Nodes[longest].Wall() {
			longest = c
		}
		names[a.Nodes[c].Span.Name] = true
	}
	others := make([]int, 0, len(run)-1)
	for _, c := range run {
		if c != longest {
			others = append(others, c)
		}
	}
	saves := wall - a.WallWithout(others...)
	total := a.Nodes[run[len(run)-1]].End - a.Nodes[run[0]].Start
	f := Finding{Spans: run, Saves: saves}
	alike := len(names) == 1 && a.sameStatement(run)
	if n := len(run); alike && n >= leastCalls {
		f.Kind = NPlusOne
		f.Text = fmt.Sprintf("%s calls %s %d times, one after the other, for %s: one call for all of them would save about %s (inferred).",
			clip(a.Nodes[parent].Span.Name), clip(a.Nodes[run[0]].Span.Name), n, FormatDuration(total), FormatDuration(saves))
		return f, true
	}
	if alike && a.Nodes[run[0]].Span.Status.Code != 0 {
		return Finding{}, false // attempts, not calls
	}
	f.Kind = SequentialSiblings
	f.Text = fmt.Sprintf("%s makes %s one after the other, %s to %s, for %s: side by side, if none needs another's answer, they would save about %s (inferred).",
		clip(a.Nodes[parent].Span.Name), plural(len(run), "call", "calls"), clip(a.Nodes[run[0]].Span.Name), clip(a.Nodes[run[len(run)-1]].Span.Name),
		FormatDuration(total), FormatDuration(saves))
	return f, true
}

// workAfterEnd is about spans, or goroutines that still carried a span's label,
// that went on when the root had ended. What a consumer does with a message is meant
// to take its time.
func (a *Analysis) workAfterEnd() (Finding, bool) {
	root := &a.Nodes[0]
	var late []int
	last, samples := root.End, 0
	consumed := make([]bool, len(a.Nodes))
	for i := range a.Nodes {
		n := &a.Nodes[i]
		consumed[i] = n.Parent >= 0 && (n.Span.Kind == trace.SpanKindConsumer || consumed[n.Parent])
		if n.End > root.End+max(leastGain, root.Wall()/20) && !consumed[i] && !(n.Parent >= 0 && call(&a.Nodes[n.Parent], n)) {
			late = append(late, i)
			last = max(last, n.End)
		}
		if n.Usage.LateSamples > 0 {
			samples += n.Usage.LateSamples
			if n.End <= root.End {
				late = append(late, i)
			}
		}
	}
	if len(late) == 0 || a.Rootless {
		return Finding{}, false
	}
	text := ""
	if last > root.End {
		text = fmt.Sprintf("Work goes on for %s after %s has ended, in %s.", FormatDuration(last-root.End), a.subject(), clip(a.Nodes[late[0]].Span.Name))
	}
	if samples > 0 {
		if text != "" {
			text += " "
		}
		text += fmt.Sprintf("Goroutines that a span started computed on after its end (%s).", plural(samples, "CPU sample", "CPU samples"))
	}
	return Finding{Kind: WorkAfterEnd, Text: text, Spans: late}, true
}
