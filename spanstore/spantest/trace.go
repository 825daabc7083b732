package spantest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/otlp"
)

// Trace is one trace of a test, analysed.
type Trace struct {
	*stall.Analysis
	tb    testing.TB
	fake  bool   // its times are those of a synctest bubble
	noCPU string // why there is no CPU time; "" when there may be
	kept  string // the file with the trace, once a claim has failed
}

// Of returns a trace that comes from somewhere else, such as a file or another
// store.
func Of(tb testing.TB, tr *spanstore.Trace) *Trace {
	return &Trace{Analysis: stall.Analyze(tr), tb: tb}
}

// Check returns nil when the trace meets all claims, and else what is wrong, a
// *Failure for each claim that it does not meet.
func (t *Trace) Check(claims ...Claim) error {
	var errs []error
	for _, c := range claims {
		errs = append(errs, c.Check(t))
	}
	return errors.Join(errs...)
}

// Expect fails the test, which goes on, for each claim that the trace does not meet.
// It prints the outline of the trace with the spans marked that are to blame, and
// leaves the trace as a file.
func (t *Trace) Expect(claims ...Claim) {
	t.tb.Helper()
	if failures := t.failures(claims); len(failures) > 0 {
		t.tb.Error(t.report(failures))
	}
}

// Require is Expect that ends the test.
func (t *Trace) Require(claims ...Claim) {
	t.tb.Helper()
	if failures := t.failures(claims); len(failures) > 0 {
		t.tb.Fatal(t.report(failures))
	}
}

func (t *Trace) failures(claims []Claim) (failures []*Failure) {
	for _, c := range claims {
		if f := c.check(t); f != nil {
			failures = append(failures, f)
		}
	}
	return failures
}

// report says what is wrong, where, and how to look at it.
func (t *Trace) report(failures []*Failure) string {
	var b strings.Builder
	var marks []Mark
	for _, f := range failures {
		fmt.Fprintf(&b, "%s\n", f.Text)
		marks = append(marks, f.Marks...)
	}
	b.WriteString(indent(t.outline(shape{times: true, marks: marks})))
	if file, err := t.keep(); err != nil {
		fmt.Fprintf(&b, "the trace could not be left as a file: %v", err)
	} else {
		fmt.Fprintf(&b, "spanclock view %s", quoted(file))
		if !keepsArtifacts() {
			b.WriteString("   (the file is kept with go test -artifacts)")
		}
	}
	return b.String()
}

// keep leaves the trace as a file among the test's artifacts, once.
func (t *Trace) keep() (file string, err error) {
	if t.kept != "" {
		return t.kept, nil
	}
	file = filepath.Join(t.tb.ArtifactDir(), fmt.Sprintf("trace-%s.json", t.Trace.ID))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	if err := errors.Join(otlp.Write(f, t.Trace), f.Close()); err != nil {
		return "", err
	}
	t.kept = file
	return file, nil
}

// quoted makes a file name safe to paste into a shell.
func quoted(file string) string {
	if strings.ContainsFunc(file, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return "'" + strings.ReplaceAll(file, "'", `'\''`) + "'"
	}
	return file
}

const plain = `abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/\:._-+=@,%`

// Nodes of a selection, for what no claim says.
func (t *Trace) Select(s Selection) (nodes []*stall.Node) {
	for _, i := range s.in(t) {
		nodes = append(nodes, &t.Nodes[i])
	}
	return nodes
}

// marksAt returns the notes for a span.
func marksAt(marks []Mark, node int) (notes []string) {
	for _, m := range marks {
		if m.Node == node && !slices.Contains(notes, m.Note) {
			notes = append(notes, m.Note)
		}
	}
	return notes
}
