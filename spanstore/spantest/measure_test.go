package spantest

import (
	"testing"

	"github.com/spanclock/spanclock/profiler/stall"
)

// TestContraryOfInterval: a claim fails only when no value of the interval would meet
// it, and so does its contrary: where the limit is in the interval neither does.
func TestContraryOfInterval(t *testing.T) {
	figure := Measure[int]{"the figure", func(*Trace) ([]value[int], *Failure) {
		return []value[int]{{v: 20, low: 10, high: 30, node: -1}}, nil
	}}
	const neither, holds, contrary = "neither fails", "the contrary fails", "the claim fails"
	for _, c := range []struct {
		claim Claim
		want  string
	}{
		{figure.Under(15), neither}, {figure.Under(25), neither}, {figure.Under(30), neither}, {figure.Under(31), holds}, {figure.Under(10), contrary},
		{figure.AtMost(10), neither}, {figure.AtMost(30), holds}, {figure.AtMost(9), contrary},
		{figure.Over(10), neither}, {figure.Over(25), neither}, {figure.Over(9), holds}, {figure.Over(30), contrary},
		{figure.AtLeast(30), neither}, {figure.AtLeast(10), holds}, {figure.AtLeast(31), contrary},
		{figure.Between(15, 25), neither}, {figure.Between(0, 20), neither}, {figure.Between(10, 30), holds}, {figure.Between(31, 40), contrary}, {figure.Between(1, 9), contrary},
		{figure.Is(20), neither}, {figure.Is(31), contrary},
		{figure.Under(25).Not().Not(), neither}, {figure.Under(25).And(figure.Over(9)), neither}, {figure.Under(25).Or(figure.Over(30)), neither},
		{figure.Under(31).And(figure.Over(9)), holds}, {figure.Under(10).Or(figure.Over(30)), contrary},
	} {
		got := neither
		tr := &Trace{Analysis: &stall.Analysis{}}
		yes, no := c.claim.Check(tr), c.claim.Not().Check(tr)
		switch {
		case yes != nil && no != nil:
			got = "both fail"
		case yes != nil:
			got = contrary
		case no != nil:
			got = holds
		}
		if got != c.want {
			t.Errorf("%s, of 10 to 30: got that %s (%v, %v); want that %s", c.claim, got, yes, no, c.want)
		}
	}
}
