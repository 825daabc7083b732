package spantest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/spanclock/spanclock/profiler/stall"
)

// Claim is something that a trace meets or does not. Claims are values: make them
// once, check them on any trace, join them with And, Or and Not.
type Claim struct {
	text  string
	check func(*Trace) *Failure

	// contrary checks the contrary. Nil: it fails where check does not, and marks the
	// spans that about returns.
	contrary func(*Trace) *Failure
	about    func(*Trace) []int // may be nil
}

// NewClaim makes a claim of the test's own. Check returns what is wrong with a
// trace, a *Failure to mark spans.
func NewClaim(text string, check func(*Trace) error) Claim {
	return Claim{text: text, check: func(t *Trace) *Failure {
		err := check(t)
		if f, ok := errors.AsType[*Failure](err); ok || err == nil {
			return f
		}
		return &Failure{Text: err.Error()}
	}}
}

// String returns the claim as a sentence.
func (c Claim) String() string { return c.text }

// Check returns nil when the trace meets the claim, and else a *Failure.
func (c Claim) Check(t *Trace) error {
	if f := c.check(t); f != nil {
		return f
	}
	return nil
}

// Not claims the contrary. What could not be found out stays a failure. Where a figure
// has an interval that holds the limit, neither a claim nor its contrary fails.
func (c Claim) Not() Claim {
	return Claim{text: "not: " + c.text, check: c.denied, contrary: c.check}
}

// denied checks the contrary.
func (c Claim) denied(t *Trace) *Failure {
	if c.contrary != nil {
		return c.contrary(t)
	}
	switch f := c.check(t); {
	case f == nil:
		f = &Failure{Text: fmt.Sprintf("got %s; want the contrary", c.text)}
		if c.about != nil {
			f.Marks = marksOf(c.about(t), "want the contrary")
		}
		return f
	case f.undecided:
		return f
	}
	return nil
}

// And claims both.
func (c Claim) And(o Claim) Claim {
	return Claim{
		text:     c.text + ", and " + o.text,
		check:    func(t *Trace) *Failure { return both(c.check(t), o.check(t)) },
		contrary: func(t *Trace) *Failure { return either(c.denied(t), o.denied(t), true) },
	}
}

// Or claims one of them at least.
func (c Claim) Or(o Claim) Claim {
	return Claim{
		text:     c.text + ", or " + o.text,
		check:    func(t *Trace) *Failure { return either(c.check(t), o.check(t), false) },
		contrary: func(t *Trace) *Failure { return both(c.denied(t), o.denied(t)) },
	}
}

// both is what is wrong with either of two claims.
func both(a, b *Failure) *Failure {
	if a == nil || b == nil {
		return first(a, b)
	}
	return joined(a, b, "; and ")
}

// either is what is wrong with both of two claims; with decided also with one of which
// nothing could be found out.
func either(a, b *Failure, decided bool) *Failure {
	if a != nil && b != nil {
		return joined(a, b, "; nor: ")
	}
	if f := first(a, b); f != nil && decided && f.undecided {
		return f
	}
	return nil
}

func first(a, b *Failure) *Failure {
	if a != nil {
		return a
	}
	return b
}

func joined(a, b *Failure, with string) *Failure {
	return &Failure{a.Text + with + b.Text, slices.Concat(a.Marks, b.Marks), a.undecided || b.undecided}
}

// Failure is why a trace does not meet a claim.
type Failure struct {
	Text  string // a sentence with figures: "got X; want Y"
	Marks []Mark // the spans it is about

	undecided bool // it is not known whether the claim holds
}

// Mark points at a span in the outline that is printed.
type Mark struct {
	Node int    // its position in Trace.Nodes
	Note string // what is to be said beside it
}

// Error returns the text.
func (f *Failure) Error() string { return f.Text }

func undecided(format string, args ...any) *Failure {
	return &Failure{Text: fmt.Sprintf(format, args...), undecided: true}
}

// each claims something of every selected span; wrong returns what is wrong with
// one, "" for nothing.
func (s Selection) each(text string, wrong func(t *Trace, i int) string) Claim {
	return Claim{text: s.text + " " + text, check: func(t *Trace) *Failure {
		nodes, f := s.some(t)
		if f != nil {
			return f
		}
		var marks []Mark
		for _, i := range nodes {
			if w := wrong(t, i); w != "" {
				marks = append(marks, Mark{i, w})
			}
		}
		return t.failed(marks, "want "+text)
	}, about: s.in}
}

// failed makes a failure of marks, of which the text has the first; nil for none.
func (t *Trace) failed(marks []Mark, want string) *Failure {
	if len(marks) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s: %s; %s", t.Nodes[marks[0].Node].Span.Name, marks[0].Note, want)
	if more := len(marks) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return &Failure{Text: text, Marks: marks}
}

// Before claims that every span of s has ended when the first of o begins.
func (s Selection) Before(o Selection) Claim {
	return s.against(o, "before", func(t *Trace, i, k int) string {
		if late := t.Nodes[i].End - t.Nodes[k].Start; late > 0 {
			return fmt.Sprintf("ends %s after %s began", duration(late), t.Nodes[k].Span.Name)
		}
		return ""
	})
}

// Overlaps claims that every span of s runs at the same time as each of o, for a
// while at least.
func (s Selection) Overlaps(o Selection) Claim {
	return s.against(o, "at the same time as", func(t *Trace, i, k int) string {
		a, b := &t.Nodes[i], &t.Nodes[k]
		if from := max(a.Start, b.Start); from < min(a.End, b.End) {
			return ""
		}
		if a.End <= b.Start {
			return fmt.Sprintf("ends %s before %s begins", duration(b.Start-a.End), b.Span.Name)
		}
		return fmt.Sprintf("begins %s after %s has ended", duration(a.Start-b.End), b.Span.Name)
	})
}

// against claims something of each pair of spans.
func (s Selection) against(o Selection, word string, wrong func(t *Trace, i, k int) string) Claim {
	want := s.text + " " + word + " " + o.text
	return Claim{text: want, check: func(t *Trace) *Failure {
		nodes, f := s.some(t)
		others, g := o.some(t)
		if f := first(f, g); f != nil {
			return f
		}
		if len(nodes) == 1 && slices.Equal(nodes, others) {
			return undecided("%q and %q select the same one span; want two", s.text, o.text)
		}
		var marks []Mark
		for _, i := range nodes {
			for _, k := range others {
				if i == k {
					continue
				}
				if w := wrong(t, i, k); w != "" {
					marks = append(marks, Mark{i, w})
					break
				}
			}
		}
		return t.failed(marks, "want "+want)
	}, about: s.in}
}

// OnCriticalPath claims that the end of the trace hung on the span itself for a
// while.
func (s Selection) OnCriticalPath() Claim {
	return s.each("on the critical path", func(t *Trace, i int) string {
		if t.Nodes[i].CriticalTime() == 0 {
			return "is not on the critical path"
		}
		return ""
	})
}

// OffCriticalPath claims the contrary: the trace would not have ended earlier
// without the span.
func (s Selection) OffCriticalPath() Claim {
	return s.each("off the critical path", func(t *Trace, i int) string {
		if d := t.Nodes[i].CriticalTime(); d > 0 {
			return fmt.Sprintf("is on the critical path for %s", duration(d))
		}
		return ""
	})
}

// Awaited claims that the span ended before its parent did, so that that may have
// waited for it.
func (s Selection) Awaited() Claim {
	return s.each("awaited by its parent", func(t *Trace, i int) string {
		if n := &t.Nodes[i]; !n.Awaited {
			return fmt.Sprintf("ends %s after its parent", duration(n.End-t.Nodes[n.Parent].End))
		}
		return ""
	})
}

// NotAwaited claims that the span ended after its parent, which cannot have waited
// for it.
func (s Selection) NotAwaited() Claim {
	return s.each("not awaited by its parent", func(t *Trace, i int) string {
		switch n := &t.Nodes[i]; {
		case n.Parent < 0:
			return "has no parent"
		case n.Awaited:
			return fmt.Sprintf("ends %s before its parent", duration(t.Nodes[n.Parent].End-n.End))
		}
		return ""
	})
}

// Fails claims that the status is Error.
func (s Selection) Fails() Claim { return s.Status(codes.Error) }

// Succeeds claims that the status is not Error.
func (s Selection) Succeeds() Claim {
	return s.each("to succeed", func(t *Trace, i int) string {
		if st := t.Nodes[i].Span.Status; st.Code == codes.Error {
			return strings.TrimSuffix("failed: "+st.Description, ": ")
		}
		return ""
	})
}

// Status claims that the status has this code.
func (s Selection) Status(code codes.Code) Claim {
	return s.each("status "+code.String(), func(t *Trace, i int) string {
		if got := t.Nodes[i].Span.Status; got.Code != code {
			return strings.TrimSuffix(fmt.Sprintf("got status %s: %s", got.Code, got.Description), ": ")
		}
		return ""
	})
}

// Has claims that the span has these attributes.
func (s Selection) Has(attrs ...attribute.KeyValue) Claim {
	return s.each(attrsText(attrs), func(t *Trace, i int) string {
		for _, kv := range attrs {
			v, ok := t.Nodes[i].Span.Attribute(kv.Key)
			switch {
			case !ok:
				return fmt.Sprintf("got no attribute %s", kv.Key)
			case !hasAll(&t.Nodes[i], []attribute.KeyValue{kv}):
				return fmt.Sprintf("got %s=%s (%s)", kv.Key, v.String(), v.Type())
			}
		}
		return ""
	})
}

// None claims that there is no such span.
func (s Selection) None() Claim { return s.Count().Is(0) }

// NoFinding claims that the analysis finds nothing of these kinds, of any kind when
// none is given; see the constants of package stall. A kind that there is not is a
// failure.
func NoFinding(kinds ...string) Claim {
	text := "no finding"
	if len(kinds) > 0 {
		text += " of kind " + strings.Join(kinds, ", ")
	}
	return Claim{text: text, check: func(t *Trace) *Failure {
		for _, k := range kinds {
			if f := misspelt("kind of finding", k, stall.FindingKinds()); f != nil {
				return f
			}
		}
		for _, f := range t.Findings {
			if len(kinds) == 0 || slices.Contains(kinds, f.Kind) {
				return &Failure{Text: fmt.Sprintf("got finding %s: %s; want %s", f.Kind, f.Text, text), Marks: marksOf(f.Spans, f.Kind)}
			}
		}
		return nil
	}}
}

// Finding claims that the analysis finds something of this kind about a span of s.
func (s Selection) Finding(kind string) Claim {
	return Claim{text: "finding " + kind + " about " + s.text, check: func(t *Trace) *Failure {
		if f := misspelt("kind of finding", kind, stall.FindingKinds()); f != nil {
			return f
		}
		nodes, fail := s.some(t)
		if fail != nil {
			return fail
		}
		var got []string
		for _, f := range t.Findings {
			if f.Kind == kind && slices.ContainsFunc(f.Spans, func(i int) bool { return slices.Contains(nodes, i) }) {
				return nil
			}
			got = append(got, f.Kind+": "+f.Text)
		}
		return &Failure{
			Text:  fmt.Sprintf("got findings [%s]; want %s about %s", strings.Join(got, "; "), kind, s.text),
			Marks: marksOf(nodes, "want "+kind),
		}
	}, about: s.in}
}

// misspelt is a failure when there is no such name: what never is would be claimed in
// vain.
func misspelt[T ~string](what string, name T, all []T) *Failure {
	if slices.Contains(all, name) {
		return nil
	}
	return undecided("there is no %s %q; there are %s", what, name, strings.Trim(fmt.Sprint(all), "[]"))
}

func marksOf(nodes []int, note string) (marks []Mark) {
	for _, i := range nodes {
		marks = append(marks, Mark{i, note})
	}
	return marks
}
