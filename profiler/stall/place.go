package stall

import (
	"fmt"
	"strings"

	"github.com/spanclock/spanclock/spanstore"
)

// Place names where a stack stands, for people: the innermost function that is
// the program's own, with the last part of its package and its line; else the
// innermost of all.
func Place(frames []spanstore.Frame) string {
	if len(frames) == 0 {
		return ""
	}
	at := frames[0]
	for _, f := range frames {
		if !standard(f.Func) {
			at = f
			break
		}
	}
	file, name := at.File[strings.LastIndexByte(at.File, '/')+1:], shortName(at.Func)
	if file == "" {
		return clip(name)
	}
	return fmt.Sprintf("%s (%s:%d)", clip(name), clip(file), at.Line)
}

// standard reports whether a function is of the standard library, whose package
// paths have no dot in their first element, or of the instrumentation. The main
// package is the program's own.
func standard(function string) bool {
	pkg := packageOf(function)
	if pkg == "main" || pkg == "" {
		return false
	}
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".") || strings.HasPrefix(pkg, "go.opentelemetry.io/")
}

// pooled reports whether a stack waits for a connection of a pool: those of the
// standard library and of the usual drivers.
func pooled(frames []spanstore.Frame) bool {
	for _, f := range frames {
		for _, name := range []string{"database/sql.(*DB).conn", "/internal/pool.(*ConnPool).", "/puddle/", "pgxpool.(*Pool).Acquire", "net/http.(*Transport).getConn"} {
			if strings.Contains(f.Func, name) {
				return true
			}
		}
	}
	return false
}
