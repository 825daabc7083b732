package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spanclock/spanclock/httpui/internal/text"
)

// Columns give in the order in which they are named, and only as much as is needed.
func TestFit(t *testing.T) {
	rows := [][]string{{"ID", "NAME", "MORE"}, {"12345678", "GET /api/product", "≈ 4"}}
	for _, c := range []struct {
		width int
		want  string
	}{
		{31, "ID        NAME             MORE\n12345678  GET /api/produ…   ≈ 4\n"},
		{40, "ID        NAME              MORE\n12345678  GET /api/product   ≈ 4\n"},
		{18, "ID        NAME\n12345678  GET /ap…\n"},
		{10, "ID        NAME\n12345678  GET /ap…\n"}, // no more to give
	} {
		var b strings.Builder
		fitted, align := text.Fit(rows, "llr", c.width, text.Give{Column: 1, Least: 8}, text.Give{Column: 2})
		text.Table(&b, fitted, align)
		if b.String() != c.want {
			t.Errorf("in %d columns:\n%s\nwant\n%s", c.width, b.String(), c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	const in = "short\n" +
		"  key   a value of several words that is too long ≈ 4\n" +
		"A sentence that takes more than one line of text.\n" +
		"* a finding that takes more than one\n" +
		"/a/path/that/has/no/space/and/is/too/long/to/fit\n"
	const want = "short\n" +
		"  key   a value of several\n        words that is too\n        long ≈ 4\n" +
		"A sentence that takes more\nthan one line of text.\n" +
		"* a finding that takes\n  more than one\n" +
		"/a/path/that/has/no/space/and/is/too/long/to/fit\n"
	if got := text.Wrap(in, 26); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	long := strings.Repeat("wörd ", 400)
	for width := range 60 {
		for line := range strings.Lines(text.Wrap(long, width+6)) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width+6 {
				t.Fatalf("a line has %d characters; want at most %d", n, width+6)
			}
		}
	}
}
