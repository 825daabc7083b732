package spanstore

import (
	"math/rand/v2"
	"testing"
)

// Blocks of any size a span, which differ a little from one to the next, leave
// little of their pages empty, and have about as many spans as they should.
func TestPageFit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, per := range []float64{20, 28.7, 31, 33.3, 36, 40, 60, 100, 250, 1000} {
		var f pageFit
		used, taken := 0, 0
		for n := range 200 {
			spans := f.spans()
			if spans < blockSpans*7/8 || spans > blockSpans*9/8 {
				t.Fatalf("%v bytes a span: a block of %d spans; want about %d", per, spans, blockSpans)
			}
			bytes := int(per * float64(spans) * (1 + 0.006*r.NormFloat64()))
			f.learn(spans, bytes)
			f.learn(10, 10*1000) // what is closed early tells nothing
			if n > 0 {
				used += bytes
				taken += (bytes + blockHead + pageSize - 1) / pageSize * pageSize
			}
		}
		if part := float64(used) / float64(taken); part < 0.95 {
			t.Errorf("%v bytes a span: %.3f of the pages is used; want 0.95", per, part)
		}
	}
}

// Where a page is a large part of a block, or no number of spans fits, blocks
// have blockSpans.
func TestPageFitOfSmallBlocks(t *testing.T) {
	for _, per := range []int{0, 1, 2, 5} {
		var f pageFit
		f.learn(blockSpans, per*blockSpans)
		if got := f.spans(); got < blockSpans*7/8 || got > blockSpans*9/8 {
			t.Errorf("%d bytes a span: %d spans; want about %d", per, got, blockSpans)
		}
	}
}
