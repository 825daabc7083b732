// Package spanstore keeps finished OpenTelemetry spans in a bounded ring on
// local disk, and gives them back whole.
//
//	store, err := spanstore.Open("traces", nil)
//	if err != nil {
//		log.Print(err) // the nil store is inert: the service runs on
//	}
//	defer store.Close()
//	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))
//
// A *Store is an sdktrace.SpanExporter too, so sdktrace.WithBatcher(store)
// works; Processor loses less and shows a span as soon as it has ended.
//
// # What is kept
//
// Everything that a span has: ids, parent, remote flags, trace state, kind,
// times to the nanosecond, attributes of all types, events, links, status,
// dropped counts, resource and scope. Beside it, what the profiler measured
// (AddUsage): the CPU usage of spans, which the store adds up, and signals of the
// process, second by second; it attaches no meaning to either.
//
// A string longer than 64 KiB is cut between two runes; a span's attributes,
// events and links beyond 256 KiB together are left out and counted in its
// dropped counts. With a MaxBytes below 64 MiB the limits are smaller: a 64th
// and a 16th of a segment. Times before 1678 and after 2262 become the nearest
// that fits. Stats.Clipped counts.
//
// # What is promised
//
//  1. The sum of all files in the directory never exceeds Options.MaxBytes. It is
//     counted before each commit; the segment that is written may take what the
//     sealed ones, cut to the pages they use, leave.
//  2. A span is readable as soon as ExportSpans has returned, or OnEnd of a
//     Processor, and durable two seconds later, or when Flush has returned nil.
//  3. What was durable survives a kill of the process at any moment, and is
//     removed only by eviction, oldest segment first; but for what is kept, see
//     below, in the moment in which it moves on.
//  4. No span is lost silently: Stats counts what was dropped, and why.
//  5. Nothing here panics, and OnEnd never blocks. When the disk fails, spans
//     wait in memory up to a bound and are then dropped; writing resumes by
//     itself.
//  6. What a query returns shares nothing that the store will change.
//
// # What is kept longer
//
// When a segment is evicted for room, copies of some of its traces move on to the
// segment that begins: those that were pinned (Pin); those with a span whose
// status is Error; and the slowest hundredth of each route that had 20 or more
// of them in the segment, at least one. A route is the service and the name of
// the trace's root, or of its entry span where the root is in another process;
// what is slow follows from what the route does, there is no threshold to set.
// What may turn out to be slow is noted while a block is encoded: of each route
// the slowest twelfth, at most 128 traces of a block that failed or were slow,
// in turn of their routes.
//
// Copies take a tenth of the ring at most. They get it in turn: pinned traces
// first, parts of traces that are kept already next, and then always a trace of
// the route that has had the fewest bytes so far, its newest error or else its
// slowest, so that a route which fails all the time does not push out one that
// failed once. A trace that takes more than a quarter of that room is not kept
// unless it is pinned. When the segment with the copies goes they compete again;
// a block of which three quarters are chosen moves on as it is, as long as there
// is a reason to keep each trace in it.
//
// Of a kept trace what the segment has is copied; parts in younger segments
// follow when those go. Parts that went before are a gap, which
// Trace.Problems names. Usage follows, with the windows and signals of their time;
// its stacks, and then the signals, are left out where the room does not suffice.
// Summary.Kept and Trace.Kept say why, Stats how much. Evicted takes a trace that
// is kept for one that is there. MaxAge removes kept traces too.
//
// Copies exist in memory only between the unlinking of the old segment and the
// first commit of the new one, a few milliseconds later unless the disk fails: a
// crash in between loses them.
//
// # Queries
//
// Traces lists traces by conditions on a span, on the whole trace and on time,
// newest or longest first, page by page; ParseQuery reads them from text. A
// page's cursor is a place in the order: a trace that does not change is on one
// page, once, whatever arrives between pages. Services, Operations, Latencies,
// Edges and Profiles sum up. All of them see every span accepted before the call, and
// name what they could not read.
//
// A query asks the index first: times, services, whether there are errors, the
// longest span. Of the blocks that are left it reads the columns that it needs,
// on up to eight processors, and tests each distinct text of a block once. It
// ends with its context.
//
// # Cost
//
// OnEnd takes a lock for a slice append. Encoding and writing happen in two
// background goroutines; behind ExportSpans its caller encodes. A block has about
// 1,024 spans, up to an eighth more or fewer so that it fills its pages. It is
// encoded as soon as it is full, and committed when sixteen wait, or a mebibyte
// of them, and every 1.8 s with all there is; the open block is then closed when
// it is at least half full, and else written as it stands and again when it has
// grown. A transaction writes five pages beside its blocks.
//
// Options.MaxMemory bounds the memory: up to 16,384 queued spans, encoded blocks
// up to 4 MiB that wait when the disk is slow, a cache of up to 8 MiB, half a MiB
// for each lookup under way, and an index of about 2 bytes a span, 8 where a
// trace has but one. When the index
// grows the cache and the queue shrink, and then the oldest segments go before
// the disk's budget is full. Stats.MemoryBytes says what is held.
//
// # Caveats
//
// One process at a time writes to a directory. Eviction removes a whole
// segment, a 16th of the budget (an 8th below 32 MiB). Segments that were ended
// early, by MaxAge or because their index had become large, are smaller; there are
// four times as many at most, then the oldest goes. A network file system is
// no place for a memory-mapped database.
//
// # On disk
//
// The directory holds a file named lock, which is locked and names its holder,
// and segments NNNNNNNN.seg with ascending numbers; the highest is written,
// the others are sealed. NNNNNNNN.damaged is a segment that could not be read,
// set aside: it counts towards the budget and is the first to be evicted.
// NNNNNNNN.salvage is a segment that is being rebuilt; Open removes one that a
// kill left behind.
//
// A read copies a block out at once and holds nothing of the file after that;
// eviction waits for the reads that are under way before it unlinks a segment. So
// there are no bytes that are unlinked but still open, and none to count apart:
// what the directory lists is all that the store takes of the disk. A process that
// reads beside the writer has a file open for the length of a read, too.
//
// A segment is a bbolt database with pages of 4 KiB, in the byte order of the
// machine that wrote it. All other integers are little endian, or varints as in
// encoding/binary (varint is the zigzag one); keys that are numbers are 8 bytes
// big endian.
//
//	meta
//	  format     two bytes: 1, and its complement
//	  evictions  the log of evictions as of the segment's last change of it, see
//	             below; the highest segment's counts
//	  pins       the pinned traces, see below; absent: as in the segment before
//	commit
//	  tx         the number of bbolt's transaction that wrote last, 8 bytes big
//	             endian
//	runs
//	  <number of the run's first block>  JSON of Run
//	blocks
//	  <block number>
//	    0        summary: what Open reads
//	    1        the block, see package block
//
// Keys that are not named here may come with a later version of the same format
// and are passed over.
//
// Blocks are numbered in the order in which they are begun. The unfinished block
// is committed every two seconds under its number and replaced by its longer
// self; when a rotation comes between, the older segment keeps the shorter
// version, and the version in the higher segment counts. Its spans are the first
// ones of the longer.
//
// A summary is version byte 1; kind byte (1 spans, 2 usage; 128 is added when the
// block holds copies of kept traces or their usage, and 64 when those are only
// parts that follow other copies); the block's number and its size in bytes
// uvarint; count uvarint; least start, greatest end and
// longest duration varint, in nanoseconds; spans with status Error, and spans
// without a start or an end, uvarint each; the services, each as length uvarint
// and bytes, their number uvarint before them; the sorted fingerprints of the
// traces, uint32 little endian each, their number uvarint before them; CRC-32C
// of all that, uint32 little endian.
//
// The least start and the greatest end are the block's min and max. A span without
// a start or an end has no duration, and one that ends before it starts none above
// 0. Services and fingerprints are ascending, each there once; those of traces that
// the block names as a parent's only are among them. Of copies, the fingerprints
// are those of the traces with a reason only. Of usage, count is its records, the
// times are those of its windows and signals, the fingerprints those of its
// records, and the rest is 0. Summaries tell how to find a block; the shortlists of
// what may be kept are not stored.
//
// The fingerprint of a trace id, read as two little-endian uint64 a and b, is
// h = a*0x9e3779b97f4a7c15 ^ b; h ^= h>>32; h *= 0xd6e8feb86659fd93; h>>32.
//
// The log of evictions is version byte 1; how far back it reaches, varint, in
// Unix nanoseconds, the least int64 when it has everything; its entries, oldest
// first, their number uvarint before them: when varint, why as length uvarint and
// bytes, the sorted fingerprints as differences uvarint, the first one's to 0,
// their number uvarint before them; CRC-32C of all that, uint32 little endian.
//
// The pins are version byte 1; the number of traces uvarint; their ids, 16 bytes
// each, ascending; CRC-32C of all that, uint32 little endian. The highest segment
// that has pins counts.
//
// The reason byte of a kept trace (see package block) is a sum: 1 a span has
// failed, 2 slow for its route, 4 pinned, 8 other parts of it were kept before,
// 16 parts of it were evicted before.
//
// What holds of a directory between two commits, and is tried by Check:
//
//  7. Every file is one of the above, or not ours.
//  8. A segment passes the walk: of its two meta pages both are intact and of
//     successive transactions, the later one that of commit/tx; every page
//     below the high-water mark is used once, or free and listed once; page
//     numbers, types, lengths and the order of keys are as bbolt writes them.
//  9. Every block in the index can be read.
//  10. Every block's and summary's checksum holds, and the block decodes.
//  11. A summary says of its block what the block says.
//  12. A number in several segments is of one block, the version in the lower
//     segment being the beginning of that in the higher.
//  13. A block's bucket has a summary and a block.
//  14. The index has the newest version of every block, in the order of their
//     numbers, and nothing else, but for copies that MaxAge has removed; behind
//     each are the versions in older segments, newest first, whichever was read
//     first; segments are in the order of theirs.
//  15. The checksums of the log of evictions and of the pins hold, and they decode.
//  16. A run is the JSON of a Run.
//
// # Damage
//
// Open walks the pages of every segment before bbolt maps it, several segments at
// a time (about 2 ms of CPU time for a million spans), as bbolt panics, faults,
// or fills the memory on pages that are not its own; the index is read on the
// way. Of a segment that does not pass, or that turns out to be damaged
// later, the writer saves every block whose checksum holds into a new file,
// which then takes its place; what was saved and lost goes to the log and to
// Stats. Where nothing can be saved the file is set aside. Errors of the system
// (no descriptors, no permission, a failing disk) are no damage: Open returns
// them and leaves the file alone.
//
// Options.ReadOnly opens a directory beside the process that writes it, or one
// left behind, without a lock and without changing anything.
package spanstore
