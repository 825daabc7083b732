package stall

import "strings"

// maxStatement bounds how much of a statement is compared.
const maxStatement = 1 << 10

// sameStatement reports whether calls of one name, as far as their statements are known,
// ask for the same but for the values in it. Keys are such values: those who serve them
// have one statement for each operation.
func (a *Analysis) sameStatement(calls []int) bool {
	raw, shape := "", ""
	for _, c := range calls {
		s := a.Nodes[c].Span
		q := text(s, "db.query.text", "db.statement")
		system := text(s, "db.system.name", "db.system")
		if q == "" || q == raw || keyed[system] {
			continue
		}
		is := shapeOf(q, system == "mysql" || system == "mariadb")
		if shape != "" && is != shape {
			return false
		}
		raw, shape = q, is
	}
	return true
}

var keyed = map[string]bool{"redis": true, "valkey": true, "memcached": true}

// shapeOf returns a statement without its comments and with each value, and each list of
// values, as a question mark: numbers, quoted strings, placeholders. Double quotes are
// about names in SQL, but for some, and about values in JSON.
func shapeOf(q string, double bool) string {
	q = strings.TrimSpace(q[:min(len(q), maxStatement)])
	double = double || strings.HasPrefix(q, "{") || strings.HasPrefix(q, "[")
	out := make([]byte, 0, len(q))
	for i := 0; i < len(q); {
		switch c := q[i]; {
		case strings.HasPrefix(q[i:], "/*"):
			i = after(q, i+2, "*/")
		case strings.HasPrefix(q[i:], "--"):
			i = after(q, i+2, "\n")
		case c == '\'' || c == '"' && double:
			i = quoted(q, i)
			out = value(out)
		case digit(c) || (c == '$' || c == ':' || c == '@') && i+1 < len(q) && digit(q[i+1]):
			for i++; i < len(q) && (digit(q[i]) || q[i] == '.'); i++ {
			}
			out = value(out)
		case c == '?':
			i++
			out = value(out)
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			if n := len(out); n > 0 && out[n-1] != ' ' {
				out = append(out, ' ')
			}
		default:
			i++
			out = append(out, c)
		}
	}
	return strings.TrimSpace(string(out))
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// after returns where q goes on after a mark, its end where there is none.
func after(q string, i int, mark string) int {
	if k := strings.Index(q[min(i, len(q)):], mark); k >= 0 {
		return i + k + len(mark)
	}
	return len(q)
}

// quoted returns where the quotes that open at i are over. Two of them are one of the text,
// as is one behind a backslash.
func quoted(q string, i int) int {
	mark := q[i]
	for i++; i < len(q); i++ {
		switch {
		case q[i] == '\\':
			i++
		case q[i] == mark && i+1 < len(q) && q[i+1] == mark:
			i++
		case q[i] == mark:
			return i + 1
		}
	}
	return len(q)
}

// value appends a question mark, unless it goes on with a list of them.
func value(out []byte) []byte {
	if list := strings.TrimRight(string(out[max(0, len(out)-4):]), " "); strings.HasSuffix(list, "?,") || strings.HasSuffix(list, "? ,") {
		return out[:len(out)-trailing(out)]
	}
	return append(out, '?')
}

// trailing is how much of out comes after its last question mark.
func trailing(out []byte) (n int) {
	for n = 0; n < len(out) && out[len(out)-1-n] != '?'; n++ {
	}
	return n
}
