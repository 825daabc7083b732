package spanstore

import (
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// pendingBlock is a block of spans that is not, or not finally, on disk.
type pendingBlock struct {
	seq   uint64
	since time.Time

	enc   *block.Encoder // while it takes spans; nil once it is closed
	ready encodedBlock   // once it is closed

	committed int // spans that the last commit of the unfinished block had

	view *openView // the newest that was made for readers
}

// openView is a pending block as readers see it.
type openView struct {
	enc   *block.Encoder // nobody adds to it; nil when data has the block
	data  []byte
	codec *block.Codec // of data

	services []string
	once     sync.Once
	spans    *block.Spans
	err      error
}

// newPending begins a block with an empty encoder. s.mu is held, or nobody else
// has s yet.
func (s *Store) newPending(enc *block.Encoder) *pendingBlock {
	s.seq++
	return &pendingBlock{seq: s.seq, since: time.Now(), enc: enc}
}

// len returns the number of spans.
func (b *pendingBlock) len() int {
	if b.enc != nil {
		return b.enc.Len()
	}
	return b.ready.info.count
}

// least returns the least start of any span; it means nothing for an empty block.
func (b *pendingBlock) least() int64 {
	if b.enc != nil {
		least, _ := b.enc.Bounds()
		return least
	}
	return b.ready.info.min
}

// mayHold reports whether the trace may have a span in the block. The newest are
// asked first. s.mu is held.
func (b *pendingBlock) mayHold(id trace.TraceID) bool {
	if b.enc == nil {
		return b.ready.info.mayHold(fingerprint(id))
	}
	for t := b.enc.Traces() - 1; t >= 0; t-- {
		if b.enc.TraceID(t) == id {
			return true
		}
	}
	return false
}

// openIsFull reports whether the open block has as much as a block may. s.mu is
// held.
func (s *Store) openIsFull() bool {
	return s.open.enc.Len() >= s.fit.spans() || s.open.enc.Size() >= s.layout.blockMax
}

// read returns what readers see of b now, which must not be empty. s.mu is held.
func (b *pendingBlock) read(c *block.Codec) *openView {
	switch {
	case b.enc == nil && (b.view == nil || b.view.data == nil):
		b.view = &openView{data: b.ready.data, codec: c, services: b.ready.info.services}
	case b.enc != nil && (b.view == nil || b.view.enc.Len() != b.enc.Len()):
		b.view = &openView{enc: b.enc.Snapshot(), services: b.enc.Services()}
	}
	return b.view
}

// open decodes the view, once.
func (v *openView) open() (*block.Spans, error) {
	v.once.Do(func() {
		if v.enc != nil {
			v.spans, v.err = block.OpenSpans(v.enc.Encode(nil, nil), nil)
		} else {
			v.spans, v.err = block.OpenSpans(v.data, v.codec)
		}
	})
	return v.spans, v.err
}

// closeOpen encodes the open block and begins another with the same encoder, so that
// a block that waits takes its 30 kB and not the encoder's 300, and what is
// written next finds the encoder in the processor's caches. A block that cannot
// be encoded is lost. s.mu is held.
func (s *Store) closeOpen() {
	b := s.open
	err := guard(func() error {
		b.ready = s.encodeBlock(b.seq, b.enc, s.buffer())
		return nil
	})
	if err != nil {
		s.counts.droppedBroken.Add(int64(b.enc.Len() - b.committed))
		s.unreported = fmt.Errorf("a block of %d spans is dropped: %w", b.enc.Len(), err)
		s.open = s.newPending(block.NewEncoder(s.layout.limits))
		return
	}
	s.fit.learn(b.ready.info.count, len(b.ready.summary)+len(b.ready.data))
	enc := b.enc
	enc.Reset()
	b.enc, b.view = nil, nil
	s.full = append(s.full, b)
	s.fullBytes += int64(len(b.ready.data))
	s.open = s.newPending(enc)
}

// buffer returns one to encode a block into. s.mu is held.
func (s *Store) buffer() (b []byte) {
	if n := len(s.buffers); n > 0 {
		b, s.buffers = s.buffers[n-1], s.buffers[:n-1]
	}
	return b
}

// maxBuffers bounds the buffers that wait to be used again, and largeBuffer what
// one of them may have grown to.
const (
	maxBuffers  = commitBlocks
	largeBuffer = 128 << 10
)

// recycle takes back the bytes of a block that is on disk, unless a reader has
// them. s.mu is held.
func (s *Store) recycle(b *pendingBlock) {
	if b.view == nil && len(s.buffers) < maxBuffers && cap(b.ready.data) <= largeBuffer {
		s.buffers = append(s.buffers, b.ready.data[:0])
	}
}

// pendingUsage is a block of usage that is not on disk yet.
type pendingUsage struct {
	info *blockInfo
	data []byte
}

// encodeBlock turns a block of spans, which nobody adds to, into what is
// committed, in the memory of buf.
func (s *Store) encodeBlock(seq uint64, enc *block.Encoder, buf []byte) encodedBlock {
	b := s.packBlock(seq, enc, buf)
	b.info.short = s.lister.pack(enc, b.info)
	return b
}

// packBlock does so without a shortlist.
func (s *Store) packBlock(seq uint64, enc *block.Encoder, buf []byte) encodedBlock {
	data := enc.Encode(buf, s.codec)
	info := &blockInfo{
		seq: seq, kind: block.KindSpans, size: len(data), count: enc.Len(),
		longest: enc.Longest(), errors: enc.Errors(), untimed: enc.Untimed(), services: enc.Services(),
		traces: sortedFingerprints(enc.Traces(), enc.TraceID),
	}
	info.min, info.max = enc.Bounds()
	return encodedBlock{info: info, summary: info.encode(), data: data}
}
