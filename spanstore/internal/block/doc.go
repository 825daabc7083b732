// Package block is the codec of the store's blocks: a few thousand spans, or
// one window of usage and signals, as columns.
//
// # Frame
//
// All integers are little endian. A block is
//
//	 0  magic     "SPCK"
//	 4  version   1 byte, 1
//	 5  kind      1 byte, 1 spans, 2 usage
//	 6  sections  uint16, how many
//	 8  count     uint32, spans or usage records
//	12  crc       uint32, CRC-32C of the whole block with these four bytes zero
//	16  min       int64, least start in the block, Unix nanoseconds
//	24  max       int64, greatest end
//	32  table     sections times (id byte, codec byte, raw length uint32, stored length uint32)
//	    data      the sections, in the table's order
//
// Codec 0 stores a section as it is, codec 1 as one zstd frame. Ids are random
// and stay raw.
//
// # Sections and columns
//
// A section is a run of columns: (id byte, length uvarint, bytes). A reader
// skips ids it does not know and takes a column that is absent as all zero, so
// columns can be added without a new version.
//
// A block of copies of kept traces says why: in the ids' column 5, a byte for
// each trace, as many as there are ids in column 1.
//
// An integer column holds n values in frame of reference: count uvarint, least
// value zigzag varint, width byte w (0 to 8), then w planes of n bytes, the
// lowest bytes first. All-equal values cost three bytes; the upper planes of
// near-equal ones compress to nothing.
//
// Signals are section 8 of a block of usage, when there are any: the columns 0
// start and 1 length of each stretch of time, in nanoseconds; 2 the names, sorted,
// a NUL between two; 16+i the values under the i-th name, the least int64 where a
// stretch has none. At most 128 names and 1,024 stretches.
//
// Strings are kept once per block, in a table, and named by their position.
//
// Attributes: every set of attributes with the same keys and types, in the same
// order, has the same shape. Each item names its shape; the values of one key
// and type form one integer column (strings by their position, floats by their
// bits, other types by the position of their encoding in the string table).
package block
