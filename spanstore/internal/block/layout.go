package block

// Sections of a block of spans.
const (
	secIDs     = 1 // raw: trace, span and foreign parent ids, links' ids
	secCore    = 2 // what lists and trees need
	secStrings = 3
	secDetails = 4 // attributes, events, links
)

// Columns of secIDs: runs of bare ids.
const (
	idTraces  = 1 // 16 bytes for each trace of the block
	idSpans   = 2 // 8 bytes for each span
	idParents = 3 // 8 bytes for each parent that is not in the block
	idLinks   = 4 // 24 bytes for each link: trace id, span id
	idKept    = 5 // a byte for each trace of the block: why it is kept; absent when none is
)

// Columns of secStrings.
const (
	strLens = 1
	strText = 2
)

// Columns of secCore, one value for each span. Times are signed and have slices
// of their own; the others are unsigned.
const (
	colEnd         = iota // difference to the end of the span before
	colDuration           // end - start
	colTrace              // position in idTraces
	colParent             // see parentRefs
	colParentTrace        // 0 none, 1 the span's own, else position in idTraces + 2
	colName
	colKind
	colStatus
	colStatusText
	colResource // 0 none, else position in tabResources + 1
	colScope    // position in tabScopes
	colFlags    // trace flags, the parent's flags << 8, bits for remote
	colState    // trace state
	colParentState
	colChildren
	colDroppedAttrs
	colDroppedEvents
	colDroppedLinks
	colEvents // how many
	colLinks
	numCols

	tabResources = 64 // string positions of encoded resources
	tabScopes    = 65
)

const (
	flagRemote       = 1 << 16
	flagParentRemote = 1 << 17
)

// Columns of secDetails: three attribute tables, then events and links.
const (
	tabSpanAttrs  = 0
	tabEventAttrs = tabSpanAttrs + attrStride
	tabLinkAttrs  = tabEventAttrs + attrStride

	colEventName    = 32
	colEventTime    = 33 // difference to the span's start
	colEventDropped = 34
	colLinkFlags    = 35 // trace flags, flagRemote
	colLinkState    = 36
	colLinkDropped  = 37
)
