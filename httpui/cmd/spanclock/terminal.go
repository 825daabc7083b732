package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spanclock/spanclock/httpui/internal/text"
)

// isTerminal reports whether w is a device that shows what is written to it.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

// tell writes one line to the standard error. What stands in it may come from spans.
func (a *app) tell(format string, args ...any) {
	lines := strings.Split(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n")
	for i := range lines {
		lines[i] = text.Escape(lines[i])
	}
	fmt.Fprintf(a.err, "spanclock: %s\n", strings.Join(lines, "; "))
}

// maxTroubles bounds the lines about what could not be read.
const maxTroubles = 20

// trouble tells of something that could not be read, once; the exit code will say so
// too. Whose it is, a trace's as a rule, may be empty.
func (a *app) trouble(whose string, problems ...string) {
	for _, p := range problems {
		a.damaged = true
		if slices.ContainsFunc(a.told, func(t string) bool { return strings.Contains(t, p) }) {
			continue
		}
		if len(a.told) > maxTroubles {
			continue
		}
		if a.told = append(a.told, p); len(a.told) > maxTroubles {
			a.tell("there is more of that")
			continue
		}
		if whose != "" {
			p = whose + ": " + p
		}
		a.tell("%s", p)
	}
}

// progress shows how far long work has come, when somebody watches.
type progress struct {
	a     *app
	what  string
	shown time.Time
	wrote bool
}

// progressEvery is how often the line is written anew; what takes less than that is
// not shown at all.
const progressEvery = 200 * time.Millisecond

func (a *app) progress(what string) *progress {
	return &progress{a: a, what: what, shown: time.Now()}
}

func (p *progress) at(done, of int) {
	if !p.a.terminal || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown, p.wrote = time.Now(), true
	if of > 0 {
		fmt.Fprintf(p.a.err, "\r%s %d of %d\x1b[K", p.what, done, of)
	} else {
		fmt.Fprintf(p.a.err, "\r%s %d\x1b[K", p.what, done)
	}
}

// say shows at once what is done that has no steps.
func (p *progress) say() {
	if p.a.terminal {
		p.wrote = true
		fmt.Fprintf(p.a.err, "\r%s\x1b[K", text.Escape(p.what))
	}
}

// done takes the line away.
func (p *progress) done() {
	if p.wrote {
		fmt.Fprint(p.a.err, "\r\x1b[K")
	}
}
