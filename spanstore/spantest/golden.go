package spantest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// The flag is there for every test that imports this package; one that has golden
// files of its own uses Updating in place of a second flag of that name.
func init() {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "write golden files anew instead of comparing with them")
	}
}

// Updating reports whether golden files are to be written anew: go test -update.
func Updating() bool { return isSet("update") }

// keepsArtifacts reports whether go test keeps what tests leave behind.
func keepsArtifacts() bool { return isSet("test.artifacts") }

func isSet(name string) bool {
	f := flag.Lookup(name)
	return f != nil && f.Value.String() == "true"
}

// Golden compares the outline of the trace, with the attributes of these keys, to
// testdata/<name>.outline, and fails the test with their difference. With go test
// -update it writes that file. The order of siblings is compared under fake time alone:
// of spans that goroutines make side by side real time may have one end before the
// other begins, or not. Before claims an order.
func (t *Trace) Golden(name string, attrs ...attribute.Key) {
	t.tb.Helper()
	file := filepath.Join("testdata", filepath.FromSlash(name)+".outline")
	if Updating() {
		if err := writeGolden(file, t.Outline(attrs...)); err != nil {
			t.tb.Fatalf("spantest: %v", err)
		}
		return
	}
	if err := t.CompareGolden(file, attrs...); err != nil {
		t.tb.Error(t.report([]*Failure{{Text: err.Error()}}))
	}
}

// CompareGolden compares the outline to a file and returns the difference.
func (t *Trace) CompareGolden(file string, attrs ...attribute.Key) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: go test -update writes it", err)
	}
	if err != nil {
		return err
	}
	want := strings.ReplaceAll(string(data), "\r\n", "\n") // as git may have it on Windows
	if got := t.Outline(attrs...); got != want && (t.fake || unordered(got) != unordered(want)) {
		return fmt.Errorf("the trace's shape is not that of %s (- want, + got; go test -update accepts it):\n%s", file, indent(difference(want, got)))
	}
	return nil
}

// unordered returns an outline with siblings in the order of their text.
func unordered(outline string) string {
	rest := lines(outline)
	var level func(depth int) string
	level = func(depth int) string {
		var texts []string
		for len(rest) > 0 && strings.HasPrefix(rest[0], strings.Repeat("  ", depth)) {
			head, n := number(rest[0])
			rest = rest[1:]
			texts = append(texts, slices.Repeat([]string{head + "\n" + level(depth+1)}, n)...)
		}
		slices.Sort(texts)
		return counted(texts)
	}
	return level(0)
}

// number takes the number of those that look the same from a line of an outline.
func number(line string) (head string, n int) {
	if at := strings.LastIndex(line, times); at >= 0 {
		if n, err := strconv.Atoi(line[at+len(times):]); err == nil && n > 1 && n < 1<<20 {
			return line[:at], n
		}
	}
	return line, 1
}

func writeGolden(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// maxDifference bounds the lines that are compared one by one: it takes the product
// of both sides.
const maxDifference = 1500

// difference returns the lines of both texts: those of a alone with -, those of b
// alone with +.
func difference(a, b string) string {
	x, y := lines(a), lines(b)
	if max(len(x), len(y)) > maxDifference {
		return fmt.Sprintf("%d lines and %d lines: too many to compare\n", len(x), len(y))
	}
	// common[i][k] is how many lines x[i:] and y[k:] have in common, in order.
	common := make([][]int, len(x)+1)
	for i := range common {
		common[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for k := len(y) - 1; k >= 0; k-- {
			if x[i] == y[k] {
				common[i][k] = common[i+1][k+1] + 1
			} else {
				common[i][k] = max(common[i+1][k], common[i][k+1])
			}
		}
	}
	var out strings.Builder
	for i, k := 0, 0; i < len(x) || k < len(y); {
		switch {
		case i < len(x) && k < len(y) && x[i] == y[k]:
			out.WriteString("  " + x[i] + "\n")
			i, k = i+1, k+1
		case k == len(y) || i < len(x) && common[i+1][k] >= common[i][k+1]:
			out.WriteString("- " + x[i] + "\n")
			i++
		default:
			out.WriteString("+ " + y[k] + "\n")
			k++
		}
	}
	return out.String()
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
