package spanstore

// pageFit chooses how many spans a block gets, about blockSpans: so many that it
// fills its pages. bbolt gives it whole ones, half a page of which would be empty
// in the mean: of a block of 30 kB that is a 15th, and as blocks of a service
// are much alike all of them may lack the same 3 kB.
type pageFit struct {
	perSpan float64 // bytes, of the blocks that were closed last; 0 before the first
	most    int     // spans of a block; 0 before the first
}

const (
	// fitRange is the part of blockSpans by which a block may have more or fewer.
	fitRange = 8

	// fitMargin is the part of a block by which it may turn out larger than
	// expected before it takes one more page.
	fitMargin = 64

	// fitLeast is how many spans tell what one takes.
	fitLeast = blockSpans / 4

	// blockHead is what a bucket with a block takes beside summary and block: a
	// page's head, two elements and their keys.
	blockHead = pageHeaderLen + 2*(elementLen+1)
)

// spans is how many fill a block.
func (f *pageFit) spans() int {
	if f.most == 0 {
		return blockSpans
	}
	return f.most
}

// learn takes the size of a block that was closed.
func (f *pageFit) learn(spans, bytes int) {
	if spans < fitLeast {
		return
	}
	per := float64(bytes) / float64(spans)
	if f.perSpan > 0 {
		per = (3*f.perSpan + per) / 4
	}
	f.perSpan, f.most = per, blockSpans
	with := per * (1 + 1./fitMargin)
	pages := int((blockHead + blockSpans*with + pageSize/2) / pageSize) // the nearest
	most := int((float64(pages*pageSize) - blockHead) / with)
	if most >= blockSpans-blockSpans/fitRange && most <= blockSpans+blockSpans/fitRange {
		f.most = most
	}
}
