package stall

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// forest is the parents and children of a trace's spans by their index in
// Trace.Spans, before they are put into display order.
type forest struct {
	parent   []int // -1 for a root
	children [][]int
	roots    []int
	first    map[trace.SpanID]int // the span that an id stands for
}

// buildTree fills Nodes with everything that the tree alone decides.
func (a *Analysis) buildTree() {
	spans := a.Trace.Spans
	f := a.plant(spans)
	a.breakCycles(f, spans)
	f.link(spans)
	main := a.chooseMain(f, spans)
	a.layOut(f, spans, main)
	a.Critical = a.Nodes[0].Wall()
	a.Wall = a.Critical
	if a.Rootless {
		a.Wall = a.Extent
	}
	a.findSkew()
}

// plant finds each span's parent, and names ids that are missing or ambiguous.
func (a *Analysis) plant(spans []spanstore.Span) *forest {
	f := &forest{parent: make([]int, len(spans)), first: make(map[trace.SpanID]int, len(spans))}
	var twice, missing examples
	for i := range spans {
		id := spans[i].SpanID()
		if _, ok := f.first[id]; ok {
			twice.add(id.String())
			continue
		}
		f.first[id] = i
	}
	for i := range spans {
		f.parent[i] = -1
		if spans[i].Root() {
			continue
		}
		if p, ok := f.first[spans[i].Parent.SpanID()]; ok {
			f.parent[i] = p
			continue
		}
		missing.add(fmt.Sprintf("%s (parent %s)", clip(spans[i].Name), spans[i].Parent.SpanID()))
	}
	if missing.n > 0 {
		a.problem("%s not in this trace: not ended yet, evicted, or recorded elsewhere. Shown as roots: %s.",
			plural(missing.n, "span has a parent that is", "spans have a parent that is"), &missing)
	}
	if twice.n > 0 {
		a.problem("%s that another span has too; children and CPU are given to the first of them: %s.",
			plural(twice.n, "span has an id", "spans have an id"), &twice)
	}
	return f
}

// breakCycles makes a root of the earliest span of every cycle of parents.
// Spans are ordered by start, so that is the least index.
func (a *Analysis) breakCycles(f *forest, spans []spanstore.Span) {
	const (
		unseen = iota
		onWay  // met on the walk that is under way
		done
	)
	var broken examples
	state := make([]byte, len(spans))
	var way []int
	for i := range spans {
		way = way[:0]
		j := i
		for ; j >= 0 && state[j] == unseen; j = f.parent[j] {
			state[j] = onWay
			way = append(way, j)
		}
		if j >= 0 && state[j] == onWay {
			cut := slices.Min(way[slices.Index(way, j):])
			f.parent[cut] = -1
			broken.add(clip(spans[cut].Name))
		}
		for _, k := range way {
			state[k] = done
		}
	}
	if broken.n > 0 {
		a.problem("%s of spans that are each other's parents; cut before its earliest span: %s.",
			plural(broken.n, "circle", "circles"), &broken)
	}
}

// link collects roots and children, each by start. The sort is stable, so the
// order of Trace.Spans decides ties.
func (f *forest) link(spans []spanstore.Span) {
	f.children = make([][]int, len(spans))
	for i, p := range f.parent {
		if p < 0 {
			f.roots = append(f.roots, i)
		} else {
			f.children[p] = append(f.children[p], i)
		}
	}
	byStart := func(i, j int) int { return spans[i].Start.Compare(spans[j].Start) }
	slices.SortStableFunc(f.roots, byStart)
	for _, c := range f.children {
		slices.SortStableFunc(c, byStart)
	}
}

// chooseMain returns the root that speaks for the trace, as Summary does: the
// earliest without a parent, else the earliest of all.
func (a *Analysis) chooseMain(f *forest, spans []spanstore.Span) int {
	main, trueRoots := f.roots[0], 0
	for _, r := range slices.Backward(f.roots) {
		if spans[r].Root() {
			main = r
			trueRoots++
		}
	}
	a.Rootless = trueRoots == 0
	if trueRoots > 1 {
		a.problem("%d spans have no parent; the earliest of them speaks for the trace.", trueRoots)
	}
	return main
}

// layOut puts the spans into display order. It keeps its own stack: a trace
// may be as deep as it is long.
func (a *Analysis) layOut(f *forest, spans []spanstore.Span, main int) {
	type visit struct{ span, parent, depth int }
	var stack []visit
	for _, r := range slices.Backward(f.roots) {
		if r != main {
			stack = append(stack, visit{r, -1, 0})
		}
	}
	stack = append(stack, visit{main, -1, 0})

	a.Nodes = make([]Node, 0, len(spans))
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		s := &spans[v.span]
		n := Node{Span: s, Parent: v.parent, Depth: v.depth, Children: len(f.children[v.span])}
		n.Start, n.End = a.offsets(s)
		if f.first[s.SpanID()] == v.span {
			n.Usage = a.Trace.Usage[s.SpanID()]
		}
		at := len(a.Nodes)
		a.Nodes = append(a.Nodes, n)
		for _, c := range slices.Backward(f.children[v.span]) {
			stack = append(stack, visit{c, at, v.depth + 1})
		}
	}
}

// childIndex lists the children of each node by index, in display order.
func (a *Analysis) childIndex() [][]int {
	children := make([][]int, len(a.Nodes))
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if n.Children > 0 {
			children[i] = make([]int, 0, n.Children)
		}
		if n.Parent >= 0 {
			children[n.Parent] = append(children[n.Parent], i)
		}
	}
	return children
}

// findSkew names spans whose times cannot be right.
func (a *Analysis) findSkew() {
	var early, backward, timeless examples
	for i := range a.Nodes {
		n := &a.Nodes[i]
		switch {
		case n.Span.Start.IsZero() || n.Span.End.IsZero():
			timeless.add(clip(n.Span.Name))
		case n.Span.End.Before(n.Span.Start):
			backward.add(clip(n.Span.Name))
		case n.Parent >= 0 && n.Start < a.Nodes[n.Parent].Start:
			early.add(clip(n.Span.Name))
		}
	}
	if timeless.n > 0 {
		a.problem("%s no start or no end time: %s.", plural(timeless.n, "span has", "spans have"), &timeless)
	}
	if backward.n > 0 {
		a.problem("%s before the start and counted as taking no time: %s.", plural(backward.n, "span ends", "spans end"), &backward)
	}
	if early.n > 0 {
		a.problem("%s before the parent, so their clocks differ; only what lies inside the parent is counted: %s.",
			plural(early.n, "span starts", "spans start"), &early)
	}
}

func (a *Analysis) problem(format string, args ...any) {
	a.Problems = append(a.Problems, fmt.Sprintf(format, args...))
}

// examples counts things and remembers the first few of them, so that a
// problem that 100,000 spans have is still one sentence.
type examples struct {
	n     int
	named []string
}

func (e *examples) add(name string) {
	e.n++
	if len(e.named) < 3 {
		e.named = append(e.named, name)
	}
}

func (e *examples) String() string {
	s := strings.Join(e.named, ", ")
	if more := e.n - len(e.named); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// clip shortens a name for use inside a sentence.
func clip(name string) string {
	const most = 60
	if name == "" {
		return "(unnamed)"
	}
	runes := 0
	for i := range name {
		if runes == most {
			return name[:i] + "…"
		}
		runes++
	}
	return name
}

// byEnd orders children for a walk backward in time: the last to end first,
// and of those that end together the last to start.
func (a *Analysis) byEnd(i, j int) int {
	m, n := &a.Nodes[i], &a.Nodes[j]
	return cmp.Or(cmp.Compare(n.End, m.End), cmp.Compare(n.Start, m.Start), cmp.Compare(j, i))
}
