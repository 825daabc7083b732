package spanstore

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// keptShare is the part of a segment that may be copied when it is evicted.
// Every segment begins with what was kept of one other, so it is the part of the
// ring that kept traces may take, too.
const keptShare = 10

// rescue is what is kept of a segment that is evicted.
type rescue struct {
	blocks []encodedBlock // without numbers
	traces []uint32       // fingerprints of the traces that were copied whole, sorted
	spans  int
}

// rescue copies what is to be kept of a segment. It reads the segment twice and
// holds one block of it at a time; beside that about 100 bytes for each of its
// traces. What cannot be read is not kept.
func (r *ring) rescue(seg segment) (out rescue) {
	defer func() {
		if p := recover(); p != nil {
			r.s.report("keep", fmt.Errorf("nothing is kept of segment %d: %v", seg.number(), p))
			out = rescue{}
		}
	}()
	k := r.newKeeper(seg)
	k.survey()
	// What a span takes is a guess from the segment's mean, before it is known
	// how well the chosen ones compress.
	for guess := 1.2; guess < 10; guess *= 1.6 {
		chosen := choose(k.list, len(k.routes), float64(k.limit), k.mean()*guess)
		if out, ok := k.copy(chosen); ok {
			r.keptTimes = spansOfTime(chosen)
			return out
		}
	}
	return rescue{}
}

// keeper looks for the traces to keep of one segment.
type keeper struct {
	s      *Store
	infos  []*blockInfo // the segment's blocks of spans
	usage  []*blockInfo // and of usage
	pins   map[trace.TraceID]struct{}
	others map[uint32]struct{} // fingerprints of the traces kept in other segments, for their own sake
	oldest int64               // what ended before is older than MaxAge
	limit  int64               // bytes that may be kept
	before intervals           // when the traces ran that were kept of the segment before

	at     map[trace.TraceID]int32 // position in list
	list   []candidate
	routes map[route]int32
	spans  int64
	bytes  int64

	resources map[resourceKey]*resource.Resource
}

func (r *ring) newKeeper(seg segment) *keeper {
	s := r.s
	k := &keeper{
		s: s, before: r.keptTimes, others: map[uint32]struct{}{}, oldest: math.MinInt64, limit: s.layout.segmentMax / keptShare,
		at: map[trace.TraceID]int32{}, routes: map[route]int32{}, resources: map[resourceKey]*resource.Resource{},
	}
	if age := s.opts.MaxAge; age > 0 {
		k.oldest = time.Now().Add(-age).UnixNano()
	}
	// When several segments go at once, no more of them all than may wait; and of
	// the whole ring no more than its share, however many segments it has.
	waiting, elsewhere := int64(0), int64(0)
	for _, b := range r.kept {
		waiting += b.info.bytes
	}
	k.limit = min(k.limit, 2*k.limit-waiting)
	s.mu.Lock()
	defer s.mu.Unlock()
	k.pins = s.pins.ids
	inMemory := map[uint64]bool{s.open.sequence(): true}
	for _, p := range s.full {
		inMemory[p.seq] = true
	}
	for _, info := range s.infos {
		switch {
		case info.seg == seg && info.kind == block.KindUsage:
			k.usage = append(k.usage, info)
		case info.seg == seg && inMemory[info.seq]: // and will be committed again
		case info.seg == seg:
			k.infos = append(k.infos, info)
		case info.kept:
			elsewhere += info.bytes
			if info.parts || info.kind != block.KindSpans {
				continue
			}
			for _, fp := range info.traces {
				k.others[fp] = struct{}{}
			}
		}
	}
	k.limit = min(k.limit, r.budget()/keptShare-elsewhere)
	return k
}

// sequence is the block's number, 0 for none: while a store is opened.
func (b *pendingBlock) sequence() uint64 {
	if b == nil {
		return 0
	}
	return b.seq
}

// read returns a block of the segment, nil when it cannot be read.
func (k *keeper) read(info *blockInfo) (*block.Spans, int) {
	data, err := info.seg.read(info.seq)
	if err == nil {
		var b *block.Spans
		if b, err = block.OpenSpans(data, k.s.codec); err == nil {
			return b, len(data)
		}
	}
	k.s.report("keep", fmt.Errorf("nothing is kept of block %d: %w", info.seq, err))
	return nil, 0
}

// survey gathers what choose needs to know.
func (k *keeper) survey() {
	for _, info := range k.infos {
		b, bytes := k.read(info)
		if b == nil {
			continue
		}
		k.spans, k.bytes = k.spans+int64(b.Len()), k.bytes+int64(bytes)
		k.surveyBlock(b, !info.kept || info.parts)
	}
	for i := range k.list {
		if c := &k.list[i]; c.max < k.oldest {
			c.why, c.was, c.root = 0, 0, 0
		}
	}
	markSlow(k.list, len(k.routes))
}

// surveyBlock adds a block to the survey. What is in it follows others, or it
// competes: else copies would hold on to each other for ever.
func (k *keeper) surveyBlock(b *block.Spans, follows bool) {
	of := make([]int32, b.Traces())
	for t := range of {
		of[t] = k.find(b.TraceID(t))
		c := &k.list[of[t]]
		c.was |= b.Kept(t)
		if _, ok := k.pins[c.id]; ok {
			c.why |= keptPinned
		}
		if _, ok := k.others[fingerprint(c.id)]; ok && follows {
			c.why |= keptPart
		}
	}
	for i := range b.Len() {
		c := &k.list[of[b.Trace(i)]]
		start, end := b.Start(i), b.End(i)
		if b.Failed(i) {
			c.why |= keptError
		}
		root := byte(0)
		switch {
		case !b.ParentID(i).IsValid():
			root = 2
		case b.RemoteParent(i):
			root = 1
		}
		if c.spans == 0 || root > c.root || root == c.root && start < c.start {
			c.root, c.start, c.duration = root, start, wall(start, end)
			c.route = k.route(b.Service(i), b.Name(i))
		}
		c.spans++
		for _, t := range []int64{start, end} {
			if t != block.ZeroTime {
				c.min, c.max = min(c.min, t), max(c.max, t)
			}
		}
	}
}

func (k *keeper) find(id trace.TraceID) int32 {
	i, ok := k.at[id]
	if !ok {
		i = int32(len(k.list))
		k.at[id] = i
		k.list = append(k.list, candidate{id: id, min: math.MaxInt64, max: math.MinInt64})
	}
	return i
}

func (k *keeper) route(service, name string) int32 {
	i, ok := k.routes[route{service, name}]
	if !ok {
		i = int32(len(k.routes))
		k.routes[route{strings.Clone(service), strings.Clone(name)}] = i
	}
	return i
}

// mean is the bytes that a span takes, on average.
func (k *keeper) mean() float64 { return float64(k.bytes) / float64(max(1, k.spans)) }

// copy makes blocks of the chosen traces, and of their usage. It fails when they
// take more bytes than they may.
func (k *keeper) copy(chosen []*candidate) (out rescue, ok bool) {
	whys := map[trace.TraceID]byte{}
	fps := map[uint32]struct{}{}
	for _, c := range chosen {
		whys[c.id] = c.why | c.was&keptGap
		if k.gap(c.id) {
			whys[c.id] |= keptGap
		}
		fps[fingerprint(c.id)] = struct{}{}
	}
	w := keptWriter{k: k, whole: block.NewEncoder(k.s.layout.limits), parts: block.NewEncoder(k.s.layout.limits)}
	complete := true
	for _, info := range k.infos {
		if !slices.ContainsFunc(info.traces, func(fp uint32) bool { _, ok := fps[fp]; return ok }) {
			continue
		}
		if b, _ := k.read(info); b == nil || w.take(b, whys) != nil {
			complete = false
		}
		if w.bytes > k.limit {
			return rescue{}, false
		}
	}
	w.finish(w.whole)
	w.finish(w.parts)
	if w.bytes > k.limit {
		return rescue{}, false
	}
	k.copyUsage(&w, chosen, fps)
	out = rescue{blocks: w.out, spans: w.spans}
	if complete {
		for fp := range fps {
			out.traces = append(out.traces, fp)
		}
		slices.Sort(out.traces)
	}
	return out, true
}

// gap reports whether parts of a trace are known to have been evicted.
func (k *keeper) gap(id trace.TraceID) bool {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	_, ok := k.s.gone.find(id)
	return ok
}

// keptWriter makes blocks of copied spans.
type keptWriter struct {
	k     *keeper
	whole *block.Encoder // what is kept for its own sake
	parts *block.Encoder // what is kept because other parts are
	out   []encodedBlock
	bytes int64
	spans int
}

// take copies a block's spans of the chosen traces.
func (w *keptWriter) take(b *block.Spans, whys map[trace.TraceID]byte) error {
	why := make([]byte, b.Traces())
	for t := range why {
		why[t] = whys[b.TraceID(t)]
	}
	r, err := b.Reader()
	if err != nil {
		w.k.s.report("keep", fmt.Errorf("nothing is kept of a block: %w", err))
		return err
	}
	for i := range b.Len() {
		t := b.Trace(i)
		if why[t] == 0 {
			continue
		}
		r.Seek(i)
		s := keptSpan{span: readSpan(b, r, i)}
		s.span.Resource = w.k.resource(s.span.Resource)
		enc := w.whole
		if why[t]&^keptGap == keptPart {
			enc = w.parts
		}
		if enc.Add(&s) {
			enc.Keep(b.TraceID(t), why[t])
			w.spans++
		}
		if enc.Len() >= blockSpans || enc.Size() >= w.k.s.layout.blockMax {
			w.finish(enc)
		}
	}
	return nil
}

// finish ends a block that is being filled.
func (w *keptWriter) finish(enc *block.Encoder) {
	if enc.Len() == 0 {
		return
	}
	b := w.k.s.encodeBlock(0, enc)
	b.info.keepOnly(enc.Traces(), enc.TraceID, enc.Kept)
	w.add(b)
	enc.Reset()
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

func (w *keptWriter) add(b encodedBlock) {
	b.info.kept = true
	b.number(math.MaxInt64) // takes as much room as any
	w.bytes += b.info.bytes
	w.out = append(w.out, b)
}

// copyUsage copies what was measured of the chosen traces and of those kept
// before, and the windows and signals of the time in which the chosen
// ones, or those of the segment before, ran. The stacks are left out
// when they do not fit, and everything when that does not: it is counted.
func (k *keeper) copyUsage(w *keptWriter, chosen []*candidate, fps map[uint32]struct{}) {
	all := &UsageBatch{}
	times := spansOfTime(chosen)
	for _, info := range k.usage {
		data, err := info.seg.read(info.seq)
		if err != nil {
			k.s.report("keep", fmt.Errorf("no usage is kept of block %d: %w", info.seq, err))
			continue
		}
		u, err := block.DecodeUsage(data, k.s.codec, true)
		if err != nil {
			k.s.report("keep", fmt.Errorf("no usage is kept of block %d: %w", info.seq, err))
			continue
		}
		for _, x := range u.Windows {
			if times.overlap(x.Start, x.Start+x.Length) || k.before.overlap(x.Start, x.Start+x.Length) {
				all.Windows = append(all.Windows, window(x))
			}
		}
		for _, x := range u.Signals {
			if times.overlap(x.Start, x.Start+x.Length) || k.before.overlap(x.Start, x.Start+x.Length) {
				all.Signals = append(all.Signals, signals(x))
			}
		}
		for _, rec := range u.Records {
			fp := fingerprint(rec.TraceID)
			_, here := fps[fp]
			if _, there := k.others[fp]; here || there {
				all.Spans = append(all.Spans, Usage{}.plus(u, rec))
			}
		}
	}
	w.addUsage(all)
}

func (w *keptWriter) addUsage(all *UsageBatch) {
	for spans := all.Spans; len(spans)+len(all.Windows)+len(all.Signals) > 0; {
		n, m := usageThatFits(spans), min(len(all.Signals), block.MaxStretches)
		part := UsageBatch{Windows: all.Windows, Signals: all.Signals[:m], Spans: spans[:n]}
		if !w.fitUsage(part) && !w.fitBareUsage(part) {
			w.k.s.counts.usageDropped.Add(int64(len(spans)))
			return
		}
		spans, all.Windows, all.Signals = spans[n:], nil, all.Signals[m:]
	}
}

// fitBareUsage adds a block without stacks, and if need be without signals: they
// are of less use than the rest.
func (w *keptWriter) fitBareUsage(part UsageBatch) bool {
	part.Spans = slices.Clone(part.Spans)
	for i := range part.Spans {
		part.Spans[i].Stacks = nil
	}
	if w.fitUsage(part) {
		return true
	}
	part.Signals = nil
	return len(part.Windows)+len(part.Spans) > 0 && w.fitUsage(part)
}

// fitUsage adds a block of usage, if it fits into the bytes that are left.
func (w *keptWriter) fitUsage(part UsageBatch) bool {
	info, data := encodeUsage(w.k.s.codec, packUsage(part))
	b := encodedBlock{info: info, data: data}
	if w.bytes+int64(len(data)+len(info.encode())) > w.k.limit || len(data) > w.k.s.layout.blockMax {
		return false
	}
	w.add(b)
	return true
}

// intervals are stretches of time, in order and apart.
type intervals [][2]int64

// spansOfTime returns when the traces ran.
func spansOfTime(chosen []*candidate) (out intervals) {
	for _, c := range chosen {
		if c.min <= c.max {
			out = append(out, [2]int64{c.min, c.max})
		}
	}
	slices.SortFunc(out, func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
	apart := out[:0]
	for _, x := range out {
		if n := len(apart); n > 0 && x[0] <= apart[n-1][1] {
			apart[n-1][1] = max(apart[n-1][1], x[1])
		} else {
			apart = append(apart, x)
		}
	}
	return apart
}

func (v intervals) overlap(from, to int64) bool {
	// The first that does not end before.
	i, _ := slices.BinarySearchFunc(v, from, func(x [2]int64, from int64) int {
		if x[1] < from {
			return -1
		}
		return 1
	})
	return i < len(v) && v[i][0] <= to
}

// resourceKey tells resources apart by what is in them.
type resourceKey struct {
	set    attribute.Distinct
	schema string
}

// resource returns one pointer for equal resources, which the encoder then
// stores once: each block that is read has its own.
func (k *keeper) resource(r *resource.Resource) *resource.Resource {
	if r == nil {
		return nil
	}
	key := resourceKey{r.Equivalent(), r.SchemaURL()}
	if same, ok := k.resources[key]; ok {
		return same
	}
	k.resources[key] = r
	return r
}

// exchange takes an evicted segment out of the index and puts what was saved of
// it in, at one moment: no reader misses it or has it twice. It returns how many
// spans are gone.
func (r *ring) exchange(seg segment, saved rescue, why string) (gone int) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	spans, traces := s.forgetLocked(seg)
	hold := newMemSegment(0, math.MaxInt64)
	for _, b := range saved.blocks {
		s.seq++
		b.number(s.seq)
		b.info.seg = hold
		hold.blocks[b.info.seq] = b.data
		s.addInfo(b.info)
		r.kept = append(r.kept, b)
	}
	traces = slices.DeleteFunc(traces, func(fp uint32) bool { return has(saved.traces, fp) })
	if len(traces) > 0 {
		s.gone.add(evictedSegment{when: time.Now(), why: why, traces: traces})
		r.logged = false
	}
	return spans - saved.spans
}

// commitKept commits copies that wait, as many as the active segment has room
// for. The next segment takes the others.
func (r *ring) commitKept() error {
	for len(r.kept) > 0 && r.active != nil {
		n := min(len(r.kept), commitBlocks)
		var c *commit
		for ; n > 0; n-- {
			// Readers have the infos: those that name the new place are others.
			blocks := slices.Clone(r.kept[:n])
			for i := range blocks {
				info := *blocks[i].info
				blocks[i].info = &info
			}
			c = r.fill(blocks)
			c.run = nil // copies are not this run's
			if r.active.room(c) {
				break
			}
		}
		if n == 0 {
			return nil
		}
		begun := r.begun
		err := r.commitOne(c)
		if r.begun = begun; err != nil {
			return err
		}
		r.kept = r.kept[n:]
	}
	return nil
}

// expireKept takes copies out of the index that ended before a time. Their bytes
// go with the segment.
func (r *ring) expireKept(before time.Time, why string) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	var traces []uint32
	spans := 0
	old := func(b *blockInfo) bool {
		return b.kept && b.kind == block.KindSpans && b.max < before.UnixNano()
	}
	s.infos = slices.DeleteFunc(s.infos, func(b *blockInfo) bool {
		if !old(b) {
			return false
		}
		s.cache.drop(b)
		spans += b.count
		traces = append(traces, b.traces...)
		return true
	})
	r.kept = slices.DeleteFunc(r.kept, func(b encodedBlock) bool { return old(b.info) })
	if len(traces) == 0 {
		return
	}
	slices.Sort(traces)
	s.gone.add(evictedSegment{when: time.Now(), why: why, traces: slices.Compact(traces)})
	s.counts.evictedSpans.Add(int64(spans))
	r.logged = false
}

// countKept counts the kept traces, when they have changed.
func (s *Store) countKept() {
	s.mu.Lock()
	var lists [][]uint32
	sum := uint64(0)
	for _, b := range s.infos {
		if b.kept && b.kind == block.KindSpans {
			lists = append(lists, b.traces)
			sum += b.seq
		}
	}
	same := s.keptSum == sum
	s.mu.Unlock()
	if same {
		return
	}
	all := slices.Concat(lists...)
	slices.Sort(all)
	n := len(slices.Compact(all))
	s.mu.Lock()
	s.keptTraces, s.keptSum = n, sum
	s.mu.Unlock()
}

// keeps reports whether a kept block has a part of the trace. s.mu is held.
func (s *Store) keeps(fp uint32) bool {
	return slices.ContainsFunc(s.infos, func(b *blockInfo) bool {
		return b.kept && b.kind == block.KindSpans && b.mayHold(fp)
	})
}

// kept names why a trace is kept.
func (sn *snapshot) kept(id trace.TraceID, why byte) string {
	_, pinned := sn.pins[id]
	switch {
	case pinned:
		return "pinned"
	case why&keptError != 0:
		return "error"
	case why&keptSlow != 0:
		return "slow"
	}
	return ""
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
