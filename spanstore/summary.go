package spanstore

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// blockInfo is what the store keeps in memory of each block on disk: enough to
// tell which blocks a query needs. It is written beside its block, so that Open
// reads the blocks' summaries instead of the blocks.
type blockInfo struct {
	seq      uint64
	kind     block.Kind
	size     int // bytes of the block
	count    int
	min, max int64 // Unix nanoseconds: of spans, or of windows
	longest  int64 // greatest duration of a span
	errors   int
	untimed  int // spans without a start or an end, which min and max leave out
	services []string
	traces   []uint32 // fingerprints of the traces in it, sorted
	kept     bool     // it holds copies of kept traces only, or their usage
	parts    bool     // of a kept one: it holds parts that follow others only
	bytes    int64    // of a kept one: what it takes of its segment

	seg segment // where it is; set when it is committed or loaded

	short packedList // of spans that this process encoded; never changed

	// older is the block's version in an older segment, the shorter one or a
	// copy, which readers fall back on should this one turn out to be damaged;
	// mostly nil. Down the chain the numbers of the segments fall, so it ends. Never
	// changed once readers may have the block.
	older *blockInfo
}

const (
	summaryVersion = 1

	keptKind  = 0x80 // set in the kind of a block of kept traces
	partsKind = 0x40 // and in that of one with parts that follow others only
)

// fingerprint maps a trace id to 32 bits. Ids need not be random in any
// particular bytes, so all of them count. Among 200,000 traces a lookup meets a
// false match once in 20,000 times, and then reads one block too many.
func fingerprint(id trace.TraceID) uint32 {
	h := binary.LittleEndian.Uint64(id[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(id[8:])
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h >> 32)
}

func sortedFingerprints(n int, id func(int) trace.TraceID) []uint32 {
	fps := make([]uint32, n)
	for i := range fps {
		fps[i] = fingerprint(id(i))
	}
	slices.Sort(fps)
	return slices.Compact(fps)
}

func (b *blockInfo) mayHold(fp uint32) bool {
	_, ok := slices.BinarySearch(b.traces, fp)
	return ok
}

func (b *blockInfo) overlaps(from, to int64) bool { return b.min <= to && b.max >= from }

// encode returns the summary: version, kind, number, size, then varints, strings, and the
// fingerprints, four bytes each; a CRC-32C of all of it at the end.
func (b *blockInfo) encode() []byte {
	kind := byte(b.kind)
	if b.kept {
		kind |= keptKind
	}
	if b.parts {
		kind |= partsKind
	}
	n := 2 + 10*binary.MaxVarintLen64 + 4*len(b.traces) + 4
	for _, s := range b.services {
		n += binary.MaxVarintLen64 + len(s)
	}
	out := append(make([]byte, 0, n), summaryVersion, kind)
	out = binary.AppendUvarint(out, b.seq)
	out = binary.AppendUvarint(out, uint64(b.size))
	out = binary.AppendUvarint(out, uint64(b.count))
	out = binary.AppendVarint(out, b.min)
	out = binary.AppendVarint(out, b.max)
	out = binary.AppendVarint(out, b.longest)
	out = binary.AppendUvarint(out, uint64(b.errors))
	out = binary.AppendUvarint(out, uint64(b.untimed))
	out = binary.AppendUvarint(out, uint64(len(b.services)))
	for _, s := range b.services {
		out = append(binary.AppendUvarint(out, uint64(len(s))), s...)
	}
	out = binary.AppendUvarint(out, uint64(len(b.traces)))
	for _, fp := range b.traces {
		out = binary.LittleEndian.AppendUint32(out, fp)
	}
	return binary.LittleEndian.AppendUint32(out, block.Checksum(out))
}

var errSummary = errors.New("damaged block summary")

// decodeBlockInfo reads the summary of the block of size bytes under the number
// seq. That it says both itself tells a damaged key, or a damaged length.
func decodeBlockInfo(seq uint64, size int, b []byte) (*blockInfo, error) {
	info, err := decodeSummary(b)
	if err == nil && (info.seq != seq || info.size != size) {
		return nil, errSummary
	}
	return info, err
}

func decodeSummary(b []byte) (*blockInfo, error) {
	r, ok := checkedReader(b, summaryVersion)
	if !ok {
		return nil, errSummary
	}
	kind := r.take(1)[0]
	info := &blockInfo{kind: block.Kind(kind &^ (keptKind | partsKind)), kept: kind&keptKind != 0, parts: kind&partsKind != 0, seq: r.uvarint()}
	info.size = int(r.uvarint())
	info.count = int(r.uvarint())
	info.min, info.max, info.longest = r.varint(), r.varint(), r.varint()
	info.errors = int(r.uvarint())
	info.untimed = int(r.uvarint())
	for range r.count(1) {
		info.services = append(info.services, string(r.take(r.count(1))))
	}
	info.traces = make([]uint32, r.count(4))
	for i := range info.traces {
		info.traces[i] = binary.LittleEndian.Uint32(r.take(4))
	}
	if r.bad || len(r.b) != 0 || info.count < 0 || info.count > math.MaxInt32 {
		return nil, errSummary
	}
	return info, nil
}

// checkedReader reads what is between the version byte and the checksum of b, and
// reports false when those are not as they must be.
func checkedReader(b []byte, version byte) (reader, bool) {
	if len(b) < 5 || b[0] != version || binary.LittleEndian.Uint32(b[len(b)-4:]) != block.Checksum(b[:len(b)-4]) {
		return reader{}, false
	}
	return reader{b: b[1 : len(b)-4]}, true
}

// reader reads varints and runs of bytes; after a fault it reads zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads the number of items that take at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.b, r.bad = nil, true
		return 0
	}
	return int(n)
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// infoOfSpans makes a block's summary from the block.
func infoOfSpans(seq uint64, size int, b *block.Spans) *blockInfo {
	info := &blockInfo{
		seq: seq, kind: block.KindSpans, size: size, count: b.Len(),
		traces: sortedFingerprints(b.Traces(), b.TraceID),
	}
	info.min, info.max = b.Bounds()
	for i := range b.Len() {
		if from, to := b.Start(i), b.End(i); from != block.ZeroTime && to != block.ZeroTime {
			info.longest = max(info.longest, to-from)
		} else {
			info.untimed++
		}
		if b.Failed(i) {
			info.errors++
		}
		if at, ok := slices.BinarySearch(info.services, b.Service(i)); !ok && b.Service(i) != "" {
			info.services = slices.Insert(info.services, at, strings.Clone(b.Service(i)))
		}
	}
	info.markKept(b)
	return info
}

// infoOfUsage is the same for a block of usage.
func infoOfUsage(seq uint64, size int, u *block.Usage) *blockInfo {
	info := &blockInfo{
		seq: seq, kind: block.KindUsage, size: size, count: len(u.Records),
		traces: sortedFingerprints(len(u.Records), func(i int) trace.TraceID { return u.Records[i].TraceID }),
	}
	info.min, info.max = u.Bounds()
	return info
}
