package spanstore

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// pendingBlock is a block of spans that is not, or not finally, on disk.
type pendingBlock struct {
	seq   uint64
	enc   *block.Encoder
	since time.Time

	committed int // spans that the last commit of the unfinished block had

	view *openView // the newest that was made for readers
	lent bool      // a view has the encoder itself, not a copy
}

// openView is a pending block as readers see it.
type openView struct {
	enc   *block.Encoder // nobody adds to it
	once  sync.Once
	spans *block.Spans
	err   error
}

// newPending begins a block. s.mu is held, or nobody else has s yet.
func (s *Store) newPending() *pendingBlock {
	s.seq++
	p := &pendingBlock{seq: s.seq, since: time.Now()}
	if n := len(s.spare); n > 0 {
		p.enc, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		p.enc = block.NewEncoder(s.layout.limits)
	}
	return p
}

// maxSpare bounds the encoders that wait to be used again, 300 kB each.
const maxSpare = 4

// recycle takes back the encoder of a block that is on disk, unless a reader
// has it. s.mu is held.
func (s *Store) recycle(p *pendingBlock) {
	if !p.lent && len(s.spare) < maxSpare {
		p.enc.Reset()
		s.spare = append(s.spare, p.enc)
	}
	p.enc = nil
}

func (b *pendingBlock) isFull(l layout) bool {
	return b.enc.Len() >= blockSpans || b.enc.Size() >= l.blockMax
}

// holds reports whether b has a part of the trace. The newest are asked first.
// s.mu is held.
func (b *pendingBlock) holds(id trace.TraceID) bool {
	for t := b.enc.Traces() - 1; t >= 0; t-- {
		if b.enc.TraceID(t) == id {
			return true
		}
	}
	return false
}

// read returns what readers see of b now, which must not be empty. Open says
// that spans may still be added. s.mu is held.
func (b *pendingBlock) read(open bool) *openView {
	if b.view == nil || b.view.enc.Len() != b.enc.Len() {
		b.view = &openView{enc: b.enc}
		if open {
			b.view.enc = b.enc.Snapshot()
		} else {
			b.lent = true
		}
	}
	return b.view
}

// open decodes the view, once.
func (v *openView) open() (*block.Spans, error) {
	v.once.Do(func() { v.spans, v.err = block.OpenSpans(v.enc.Encode(nil, nil), nil) })
	return v.spans, v.err
}

// pendingUsage is a block of usage that is not on disk yet.
type pendingUsage struct {
	info *blockInfo
	data []byte
}

// encodeBlock turns a block of spans, which nobody adds to, into what is committed.
func (s *Store) encodeBlock(seq uint64, enc *block.Encoder) encodedBlock {
	data := enc.Encode(nil, s.codec)
	info := &blockInfo{
		seq: seq, kind: block.KindSpans, size: len(data), count: enc.Len(),
		longest: enc.Longest(), errors: enc.Errors(), untimed: enc.Untimed(), services: enc.Services(),
		traces: sortedFingerprints(enc.Traces(), enc.TraceID),
	}
	info.min, info.max = enc.Bounds()
	return encodedBlock{info: info, summary: info.encode(), data: data}
}
