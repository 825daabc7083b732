// Package text makes text from spans fit for terminals.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Escape makes text from spans harmless in a terminal: what does not print
// (control characters, also those that turn the direction of writing or have no
// width) is shown as in Go source, bytes that are no UTF-8 as \xNN.
func Escape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[size:]
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Clip shortens s to n characters.
func Clip(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Table writes rows in columns, aligned by one letter each: l or r. Cells
// must be free of control characters.
func Table(b *strings.Builder, rows [][]string, align string) {
	widths := widthsOf(rows, len(align))
	for _, row := range rows {
		line := make([]string, len(row))
		for i, cell := range row {
			line[i] = pad(cell, widths[i], align[i] == 'r')
		}
		b.WriteString(strings.TrimRight(strings.Join(line, "  "), " "))
		b.WriteByte('\n')
	}
}

func widthsOf(rows [][]string, columns int) []int {
	widths := make([]int, columns)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func pad(s string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
	if right {
		return space + s
	}
	return s + space
}

// Give says that a column may become narrower, down to Least characters; 0 lets
// it go altogether.
type Give struct{ Column, Least int }

// Fit makes the rows of a table fit width, by columns that give, the first of them
// first. Where they cannot give enough the table stays wider.
func Fit(rows [][]string, align string, width int, give ...Give) ([][]string, string) {
	widths, over := widthsOf(rows, len(align)), -2-width
	for _, w := range widths {
		over += w + 2
	}
	gone := make([]bool, len(align))
	for _, g := range give {
		if over <= 0 {
			break
		}
		w := widths[g.Column]
		if g.Least == 0 {
			gone[g.Column] = true
			over -= w + 2
			continue
		}
		to := min(w, max(g.Least, w-over))
		over -= w - to
		widths[g.Column] = to
	}
	out := make([][]string, len(rows))
	for i, row := range rows {
		for c, cell := range row {
			if !gone[c] {
				out[i] = append(out[i], Clip(cell, widths[c]))
			}
		}
	}
	var left strings.Builder
	for c := range align {
		if !gone[c] {
			left.WriteByte(align[c])
		}
	}
	return out, left.String()
}

// Wrap breaks lines at spaces so that they fit width, as far as they have any.
// What follows stands below the second column, or below what follows a mark such
// as "* ".
func Wrap(s string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if len(line) <= width {
			b.WriteString(line)
			continue
		}
		line, ended := strings.CutSuffix(line, "\n")
		wrapLine(&b, []rune(line), width, hangOf(line, width))
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func wrapLine(b *strings.Builder, r []rune, width, hang int) {
	lead := 0
	for lead < len(r) && r[lead] == ' ' {
		lead++
	}
	for room := width; len(r) > room; room = width - hang {
		at := lastSpace(r[:room+1], lead)
		if at < 0 {
			if at = nextSpace(r, room); at < 0 {
				break
			}
		}
		b.WriteString(strings.TrimRight(string(r[:at]), " ") + "\n" + strings.Repeat(" ", hang))
		for r = r[at:]; len(r) > 0 && r[0] == ' '; {
			r = r[1:]
		}
		lead = 0
	}
	b.WriteString(string(r))
}

// hangOf finds where a line's second column begins.
func hangOf(line string, width int) int {
	lead := len(line) - len(strings.TrimLeft(line, " "))
	if i := strings.Index(line[lead:], "  "); i > 0 {
		rest := line[lead+i:]
		column := utf8.RuneCountInString(line) - utf8.RuneCountInString(strings.TrimLeft(rest, " "))
		if column < width/2 {
			return column
		}
	}
	if rest := line[lead:]; strings.HasPrefix(rest, "* ") || strings.HasPrefix(rest, "! ") {
		lead += 2
	}
	return min(lead, width/2)
}

func lastSpace(r []rune, after int) int {
	for i := len(r) - 1; i > after; i-- {
		if r[i] == ' ' {
			return i
		}
	}
	return -1
}

func nextSpace(r []rune, from int) int {
	for i := from; i < len(r); i++ {
		if r[i] == ' ' {
			return i
		}
	}
	return -1
}
