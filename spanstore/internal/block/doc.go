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
//	16  min       int64, the least of all starts and ends, Unix nanoseconds
//	24  max       int64, the greatest; without any time min is the greatest int64
//	              and max the least. Of usage: of windows and signals, 0 and 0
//	              without any
//	32  table     sections times (id byte, codec byte, raw length uint32, stored length uint32)
//	    data      the sections, in the table's order, without gaps
//
// Codec 0 stores a section as it is, codec 1 as one zstd frame.
//
// # Sections and columns
//
// A section is a run of columns: (id byte, length uvarint, bytes). A reader skips
// ids it does not know and takes an absent column of integers as all zero, any
// other as empty: columns can be added without a new version. An integer column
// holds n values: count uvarint, least value varint (zigzag), width byte w (0 to
// 8), then w planes of n bytes, the lowest bytes first; value i is the least plus
// the number that byte i of each plane makes. All arithmetic, that of times too,
// wraps at 64 bits. The least int64 as a time is a zero time. A section has at most
// 64 MiB when it is unpacked, a column 1,048,576 integers.
//
// Strings: column 1 their lengths (integers), column 2 their text, one after the
// other. They are named by position; 0 is "". Encoded text below is in this table.
//
// # Spans
//
// Section 1, ids: columns 1 trace ids (16 bytes each), 2 span ids (8, one a
// span), 3 ids of parents that are not in the block (8), 4 links (trace id, span
// id: 24), all spans' links one after the other; 5, when the block has copies of
// kept traces, a byte for each id of column 1: why it is kept. A trace may be in
// column 1 as that of a parent only.
//
// Section 2, one value a span:
//
//	 0 end, difference to the end of the span before (the first: to 0)
//	 1 end - start
//	 2 trace, position in the ids' column 1
//	 3 parent: 0 none; odd v: the span at this one's position plus the zigzag
//	   number v>>1; even v: position v/2-1 in the ids' column 3
//	 4 the parent's trace: 0 none, 1 the span's own, else position + 2
//	 5 name, string
//	 6 kind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer
//	 7 status: 0 unset, 1 error, 2 ok (not OTLP's order); 8 its text, string
//	 9 resource: 0 none, else position in 64, plus one
//	10 scope, position in 65
//	11 trace flags, the parent's << 8, 1<<16 remote, 1<<17 parent remote
//	12 trace state, 13 the parent's: strings as in the W3C header, 0 none
//	14 child spans; 15, 16, 17 dropped attributes, events, links
//	18, 19 how many events, links
//
// and with lengths of their own 64 resources, 65 scopes: positions of their text.
// A resource is its schema URL and key-values, a scope its name, version, schema
// URL and key-values: each a length uvarint and bytes, the key-values as in a map,
// below.
//
// Section 3, strings. Section 4: three attribute tables, of spans (from 0), of
// events (from 4), of links (from 8); of events, all spans' one after the other,
// 32 name, string, 33 time less the span's start, 34 dropped attributes; of links
// 35 trace flags and 1<<16 remote, 36 trace state, 37 dropped attributes.
//
// An attribute table is four columns from its first id on: +0 the value columns,
// each key (string) uvarint and type byte; +1 the shapes, each length in bytes
// uvarint and so many bytes of value column numbers uvarint; +2 the shape of each
// item (integers); +3 the value columns' integers, each with its count, least, width
// and planes, without id or length. Item by item, each attribute takes the next
// value of its column. Absent: no item has attributes.
//
// Types: 0 empty, 1 bool, 2 int64, 3 float64, 4 string, 5 bools, 6 int64s, 7
// float64s, 8 strings, 9 bytes, 10 list, 11 map. In a value column a bool is 0 or
// 1, a float its bits, a string its position, 5 to 11 the position of their
// encoding. A value is encoded as its type byte and: bool a byte; int64 varint;
// float64 8 bytes; strings and bytes length uvarint and bytes; lists their number
// uvarint and the elements, those of 5 to 8 without type bytes, of 10 with; maps
// are key-values: their number uvarint, then each key (length, bytes) and encoded
// value. What is inside 33 lists and maps is empty (type 0).
//
// # Usage
//
// Section 1: columns 1 trace ids, 2 span ids, one a record. Section 2, one value a
// record: 0 trace (position), 1 samples, 2 CPU ns, 3 late samples, 4 how many
// stacks; one a window: 32 start, 33 length, 34 period (ns), 35 samples, 36
// labelled samples, 37 CPU time of the process (ns), 38 why it is a hole (string),
// 39 1 when only local roots were labelled. Section 3, strings.
//
// Section 4, stacks: records' stacks one after the other, 0 which stack, 1
// samples; each distinct stack, 2 how many frames; 3 the frames, leaf first, all
// stacks one after the other; each distinct frame, 4 function and 5 file
// (strings), 6 line.
//
// Section 8, signals, absent when there are none: 0 start and 1 length of each
// stretch of time (ns); 2 the names, sorted, a NUL between two; 16+i the values
// under the i-th name, the least int64 where a stretch has none. At most 128
// names and 1,024 stretches; what is more is left out.
//
// Section 9, what execution traces tell, absent when they tell nothing. One value
// a record that has any: 0 its position among the records, 1 from, 2 to (Unix ns),
// 3 running, 4 stolen, 5 and 6 least and most stolen (ns), 7 goroutines, 8 how
// many segments, 9 how many waits. One a segment, records' one after the other: 32
// from, as difference to the end of the record's segment before (the first: since
// column 1), 33 length, 34 state (string), 35 stolen, 36 position among the
// record's waits plus one, 0 for none. One a wait: 48 state (string), 49 total ns,
// 50 count, 51 stack of section 4 plus one, 52 that of the waker plus one, 0 for
// none; 64 the waker's span ids, 8 bytes each, zero for none.
package block
