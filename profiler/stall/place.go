package stall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spanclock/spanclock/spanstore"
)

// Place names where a stack stands, for people: the innermost function that is
// the program's own, with the last part of its package and its line; else the
// innermost that is not the runtime's, else that of all.
func Place(frames []spanstore.Frame) string {
	if len(frames) == 0 {
		return ""
	}
	at := slices.IndexFunc(frames, func(f spanstore.Frame) bool { return !standard(f.Func) })
	if at < 0 {
		at = slices.IndexFunc(frames, func(f spanstore.Frame) bool { return packageOf(f.Func) != "runtime" })
	}
	f := frames[max(0, at)]
	file, name := f.File[strings.LastIndexByte(f.File, '/')+1:], shortName(f.Func)
	if file == "" {
		return clip(name)
	}
	return fmt.Sprintf("%s (%s:%d)", clip(name), clip(file), f.Line)
}

// standard reports whether a function is of the standard library or of the
// instrumentation. A path without a dot says nothing: modules that are never
// published often have a name such as "shop".
func standard(function string) bool {
	pkg := packageOf(function)
	first, _, _ := strings.Cut(pkg, "/")
	return library[first] || strings.HasPrefix(pkg, "go.opentelemetry.io/")
}

// library has the first elements of the paths of the standard library's packages.
var library = wordSet(`archive arena bufio bytes cmp compress container context crypto database debug embed encoding errors
	expvar flag fmt go hash html image index internal io iter log maps math mime net os path plugin reflect regexp runtime
	simd slices sort strconv strings structs sync syscall testing text time unicode unique unsafe vendor weak`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// pooled reports whether a stack waits for a connection of a pool: those of the
// standard library and of the usual drivers.
func pooled(frames []spanstore.Frame) bool {
	return calls(frames, "database/sql.(*DB).conn", "/internal/pool.(*ConnPool).", "/puddle/", "pgxpool.(*Pool).Acquire", "net/http.(*Transport).getConn")
}

// asksPeer reports whether a stack waits for an answer from the network that another
// goroutine reads: the usual clients do.
func asksPeer(frames []spanstore.Frame) bool {
	return calls(frames, "net/http.(*persistConn).roundTrip", "net/http.(*http2ClientConn).", "net/http.(*http2clientStream).", "golang.org/x/net/http2.(*ClientConn).", "google.golang.org/grpc/internal/transport.")
}

// calls reports whether the name of a function of the stack has one of parts in it.
func calls(frames []spanstore.Frame, parts ...string) bool {
	for _, f := range frames {
		for _, part := range parts {
			if strings.Contains(f.Func, part) {
				return true
			}
		}
	}
	return false
}
