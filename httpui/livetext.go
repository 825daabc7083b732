package httpui

import (
	"fmt"
	"strconv"
	"strings"
)

// liveText is what is in flight as a table: each span with its largest stack.
func liveText(v liveJSON, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in flight at %s UTC\n", plural(len(v.Spans)+v.Omitted, "span", "spans"), shortTime(v.At))
	for _, p := range v.Problems {
		b.WriteString("! " + escape(p) + "\n")
	}
	if len(v.Spans) == 0 {
		return b.String()
	}
	b.WriteByte('\n')
	rows := [][]string{{"AGE", "STATE", "GOROUTINES", "SERVICE", "SPAN", "STANDS IN", "TRACE"}}
	for _, s := range v.Spans {
		state, at := "", ""
		if len(s.Stacks) > 0 {
			state, at = string(s.Stacks[0].State)+"?", standsIn(s.Stacks[0])
		}
		name := s.Name
		if !s.LocalRoot {
			name = "  " + name
		}
		rows = append(rows, []string{
			nanos(s.AgeNS), state, blankZero(s.Goroutines), clip(escape(s.Service), 20), clip(escape(name), max(20, width/4)),
			clip(escape(at), max(20, width/3)), s.TraceID,
		})
	}
	writeTable(&b, rows, "rlrllll")
	if v.Omitted > 0 {
		b.WriteString(strconv.Itoa(v.Omitted) + " more are left out.\n")
	}
	b.WriteString("\nStates are concluded from stacks; cpu? runs or is ready to. Again and again: ?stream=1.\n")
	return b.String()
}

// standsIn is the first function of a stack that is not the runtime's, without the
// path of its package, and its line.
func standsIn(s liveStackJSON) string {
	for _, f := range s.Frames {
		if !plumbing(f.Func) {
			return fmt.Sprintf("%s:%d", f.Func[strings.LastIndexByte(f.Func, '/')+1:], f.Line)
		}
	}
	if len(s.Frames) > 0 {
		return s.Frames[0].Func
	}
	return ""
}
