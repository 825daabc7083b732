//go:build unix

package main

import (
	"bytes"
	"strings"
	"testing"
)

// Every contender runs, and has its line in the table.
func TestTable(t *testing.T) {
	got, err := measure(2, 50)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	header(&b, 2, 50)
	table(&b, got)
	for _, c := range contenders {
		if !strings.Contains(b.String(), c.name) {
			t.Errorf("got no line for %s in\n%s", c.name, &b)
		}
	}
}

// What the labels may allocate does not depend on the machine: three objects for
// a span on the bare SDK, one of them the SDK's snapshot, and none for a span
// that is not sampled.
func TestAllocations(t *testing.T) {
	for i := range contenders {
		c := &contenders[i]
		if !strings.HasPrefix(c.name, "spanclock") {
			continue
		}
		most := map[string]float64{bare: 5.3, exporting: 5.3, notSampled: 2.1}[c.base]
		got, err := take(c, 2000)
		if err != nil {
			t.Fatal(err)
		}
		if got.allocs > most {
			t.Errorf("%s over %s: got %.2f allocations for a span; want at most %.1f, the SDK's own included", c.name, c.base, got.allocs, most)
		}
	}
}
