package block

import (
	"bytes"
	"encoding/binary"
)

// MaxHeader is how many bytes from a block's first on Length may need.
const MaxHeader = headerLen + maxSections*tableEntry

// maxSections bounds the sections that Length believes in: no block has more.
const maxSections = 16

// Length reads the beginning of a block, and returns what the block holds and
// how long it is. It is for finding blocks in a damaged file: it believes the
// header, which only OpenSpans and DecodeUsage check.
func Length(b []byte) (kind Kind, length int64, ok bool) {
	if len(b) < headerLen || string(b[:4]) != magic || b[4] != version {
		return 0, 0, false
	}
	kind = Kind(b[5])
	n := int(binary.LittleEndian.Uint16(b[6:]))
	if kind != KindSpans && kind != KindUsage || n == 0 || n > maxSections || headerLen+n*tableEntry > len(b) {
		return 0, 0, false
	}
	length = int64(headerLen + n*tableEntry)
	for i := range n {
		e := b[headerLen+i*tableEntry:]
		if e[1] > codecZstd || binary.LittleEndian.Uint32(e[2:]) > maxRaw {
			return 0, 0, false
		}
		length += int64(binary.LittleEndian.Uint32(e[6:]))
	}
	return kind, length, true
}

// Find returns the place of the first bytes in b that a block may begin with, -1
// when there are none.
func Find(b []byte) int { return bytes.Index(b, []byte(magic)) }

// MagicLen is how many bytes Find looks for.
const MagicLen = len(magic)

// Prefix reports whether the spans of s are the first ones of o, by their ids:
// whether o is the same block at a later time, or again.
func (s *Spans) Prefix(o *Spans) bool {
	if s.Len() > o.Len() || !bytes.HasPrefix(o.spanIDs, s.spanIDs) {
		return false
	}
	for i := range s.Len() {
		if s.TraceID(s.Trace(i)) != o.TraceID(o.Trace(i)) {
			return false
		}
	}
	return true
}
