package spanstore

import (
	"fmt"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// keptWriter makes blocks of copied spans.
type keptWriter struct {
	k     *keeper
	whole *block.Encoder // what is kept for its own sake
	parts *block.Encoder // what is kept because other parts are
	out   []encodedBlock
	times intervals // when the traces ran
	bytes int64
	spans int
	span  *keptSpan // the one that is being copied

	resources map[resourceKey]*resource.Resource
	last      [2]*resource.Resource // that was asked for last, and what was answered
}

// newKeptWriter returns a writer with the ring's encoders.
func (r *ring) newKeptWriter(k *keeper) keptWriter {
	for i := range r.copiers {
		if r.copiers[i] == nil {
			r.copiers[i] = block.NewEncoder(r.s.layout.limits)
		}
		r.copiers[i].Reset()
	}
	return keptWriter{k: k, span: &keptSpan{}, whole: r.copiers[0], parts: r.copiers[1], resources: map[resourceKey]*resource.Resource{}}
}

// move takes a block of copies over as it is, if it is whole: damage must not get
// into another segment.
func (w *keptWriter) move(info *blockInfo, list *shortlist) bool {
	data, err := info.seg.read(info.seq)
	if err == nil {
		err = block.Whole(data)
	}
	if err != nil {
		w.k.trouble(fmt.Errorf("nothing is kept of block %d: %w", info.seq, err))
		return false
	}
	moved := *info
	moved.seg, moved.older = nil, nil
	moved.short, _ = list.pack(info, nil)
	w.add(encodedBlock{info: &moved, data: data})
	w.spans += info.count
	for _, fp := range info.traces {
		if c := &w.k.list[w.k.at[fp]]; c.min <= c.max {
			w.times = append(w.times, [2]int64{c.min, c.max})
		}
	}
	return true
}

// take copies a block's spans of the traces that there is a reason for, and
// reports whether it could read them all.
func (w *keptWriter) take(info *blockInfo, whys map[uint32]byte) bool {
	b := w.k.lend(info)
	if b == nil {
		return false
	}
	r, err := b.Reader()
	if err != nil {
		w.k.trouble(fmt.Errorf("nothing is kept of block %d: %w", info.seq, err))
		return false
	}
	why := make([]byte, b.Traces())
	for t := range why {
		why[t] = whys[fingerprint(b.TraceID(t))]
	}
	for i := range b.Len() {
		if t := b.Trace(i); why[t] != 0 {
			r.Seek(i)
			w.takeSpan(b, r, i, why[t])
		}
	}
	return true
}

func (w *keptWriter) takeSpan(b *block.Spans, r *block.Reader, i int, why byte) {
	s := w.span
	s.span = readSpan(b, r, i)
	s.span.Resource = w.resource(s.span.Resource)
	enc := w.whole
	if why&^keptGap == keptPart {
		enc = w.parts
	}
	if enc.Add(s) {
		enc.Keep(b.TraceID(b.Trace(i)), why)
		w.spans++
	}
	if start, end := b.Start(i), b.End(i); start != block.ZeroTime && end != block.ZeroTime {
		w.times = append(w.times, [2]int64{min(start, end), max(start, end)})
	}
	if enc.Len() >= blockSpans || enc.Size() >= w.k.s.layout.blockMax {
		w.finish(enc)
	}
}

// finish ends a block that is being filled.
func (w *keptWriter) finish(enc *block.Encoder) {
	if enc.Len() == 0 {
		return
	}
	b := w.k.s.packBlock(0, enc, nil)
	b.info.keepOnly(enc.Traces(), enc.TraceID, enc.Kept)
	b.info.short = w.k.s.lister.pack(enc, b.info)
	w.add(b)
	enc.Reset()
}

func (w *keptWriter) add(b encodedBlock) {
	b.info.kept = true
	b.number(math.MaxInt64) // takes as much room as any
	w.bytes += b.info.bytes
	w.out = append(w.out, b)
}

// keepOnly makes b the summary of a block of copies. The ids of parents in other
// traces are in the block too; those traces are not kept with it.
func (b *blockInfo) keepOnly(traces int, id func(int) trace.TraceID, why func(int) byte) {
	b.kept, b.parts, b.traces = true, true, nil
	for t := range traces {
		if w := why(t); w != 0 {
			b.traces = append(b.traces, fingerprint(id(t)))
			b.parts = b.parts && w&^keptGap == keptPart
		}
	}
	slices.Sort(b.traces)
	b.traces = slices.Compact(b.traces)
}

// markKept does so when s, whose summary b is, is such a block.
func (b *blockInfo) markKept(s *block.Spans) {
	for t := range s.Traces() {
		if s.Kept(t) != 0 {
			b.keepOnly(s.Traces(), s.TraceID, s.Kept)
			return
		}
	}
}

// number gives a block its number, which its summary tells.
func (b *encodedBlock) number(seq uint64) {
	b.info.seq = seq
	b.summary = b.info.encode()
	b.info.bytes = int64(len(b.summary) + len(b.data))
}

// resourceKey tells resources apart by what is in them.
type resourceKey struct {
	set    attribute.Distinct
	schema string
}

// resource returns one pointer for equal resources, which the encoder then
// stores once: each block that is read has its own.
func (w *keptWriter) resource(r *resource.Resource) *resource.Resource {
	if r == nil {
		return nil
	}
	if r == w.last[0] {
		return w.last[1]
	}
	key := resourceKey{r.Equivalent(), r.SchemaURL()}
	same, ok := w.resources[key]
	if !ok {
		same = r
		w.resources[key] = r
	}
	w.last = [2]*resource.Resource{r, same}
	return same
}

// keptSpan is a stored span as the encoder takes it.
type keptSpan struct {
	sdktrace.ReadOnlySpan // nil: only its unexported method is needed, and never called
	span                  Span
}

func (s *keptSpan) Name() string                                { return s.span.Name }
func (s *keptSpan) SpanContext() trace.SpanContext              { return s.span.SpanContext }
func (s *keptSpan) Parent() trace.SpanContext                   { return s.span.Parent }
func (s *keptSpan) SpanKind() trace.SpanKind                    { return s.span.Kind }
func (s *keptSpan) StartTime() time.Time                        { return s.span.Start }
func (s *keptSpan) EndTime() time.Time                          { return s.span.End }
func (s *keptSpan) Attributes() []attribute.KeyValue            { return s.span.Attributes }
func (s *keptSpan) Links() []sdktrace.Link                      { return s.span.Links }
func (s *keptSpan) Events() []sdktrace.Event                    { return s.span.Events }
func (s *keptSpan) Status() sdktrace.Status                     { return s.span.Status }
func (s *keptSpan) InstrumentationScope() instrumentation.Scope { return s.span.Scope }
func (s *keptSpan) Resource() *resource.Resource                { return s.span.Resource }
func (s *keptSpan) DroppedAttributes() int                      { return s.span.DroppedAttributes }
func (s *keptSpan) DroppedLinks() int                           { return s.span.DroppedLinks }
func (s *keptSpan) DroppedEvents() int                          { return s.span.DroppedEvents }
func (s *keptSpan) ChildSpanCount() int                         { return s.span.ChildSpanCount }
