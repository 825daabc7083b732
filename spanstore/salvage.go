package spanstore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

// salvageSuffix ends the name of a segment that is being rebuilt. One that a
// kill left behind is removed by the next Open.
const salvageSuffix = ".salvage"

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

// find is a block in a damaged file whose checksum holds.
type find struct {
	info *blockInfo
	at   extent
	sure bool // its number was reached from the root; else it is a guess, or 0
}

// wreck is a damaged segment file and what can be got out of it.
type wreck struct {
	s    *Store
	f    *os.File
	size int64
	num  uint64

	finds []*find
	log   []byte // the log of evictions, nil when it is lost
	pins  []byte // the pinned traces, nil when they are lost
	runs  []Run

	lostSpans, lostBlocks int // as far as summaries tell; blocks without any
}

// salvageCommit is how many bytes of blocks are written at once, in memory until
// then. Nothing is lost when it stops half-way.
const salvageCommit = 1 << 20

// searchCost bounds how many bytes of a file are checked as a block that then is
// none, in multiples of the file: what has the looks of blocks at every byte
// must not stop the writer for long.
const searchCost = 4

// explore finds every block of the file whose checksum holds: those that can
// still be reached by number, then those that lie about, in free pages or where
// the way to them is broken. Of the latter, what another find holds already is
// left out: they are mostly earlier versions of the segment's unfinished block.
func (w *wreck) explore() error {
	res, err := walkLeniently(w.f, w.size)
	if err != nil && !isDamage(err) {
		return err
	}
	if err := res.checkVersion(w.f); errors.Is(err, errFormat) {
		return err
	}
	for _, p := range res.blocks {
		w.reach(p)
	}
	w.readLog(res)
	hints, err := w.hints()
	if err != nil {
		return err
	}
	loose, err := w.search(hints)
	if err != nil {
		return err
	}
	// The longest version first: the others are its beginnings. What was reached
	// is no exception, as the way to it may be an old one.
	longest := func(a, b *find) int { return cmp.Compare(b.info.count, a.info.count) }
	slices.SortStableFunc(w.finds, longest)
	slices.SortStableFunc(loose, longest)
	found := append(w.finds, loose...)
	w.finds = nil
	for _, f := range found {
		if !w.known(f) {
			w.finds = append(w.finds, f)
		}
	}
	return nil
}

// reach takes a block that the tree leads to. Its summary knows its number and
// its size better than the tree.
func (w *wreck) reach(p place) {
	var summary *blockInfo
	if b, err := w.bytes(p.summary); err == nil {
		if summary, err = decodeSummary(b); err == nil {
			p.seq, p.data.len = summary.seq, int64(summary.size)
		}
	}
	switch info := w.read(p.data, p.seq); {
	case info != nil:
		if summary != nil && info.kind == block.KindUsage {
			info.kept = summary.kept // which usage does not tell
		}
		w.finds = append(w.finds, &find{info: info, at: p.data, sure: true})
	case summary == nil:
		w.lostBlocks++
	case summary.kind == block.KindSpans:
		w.lostSpans += summary.count
	}
}

func (w *wreck) bytes(at extent) ([]byte, error) {
	if at.off < 0 || at.len <= 0 || at.len > w.size-at.off {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, at.len)
	_, err := w.f.ReadAt(b, at.off)
	return b, err
}

// read returns the summary of the block at a place, nil when there is none.
func (w *wreck) read(at extent, seq uint64) *blockInfo {
	b, err := w.bytes(at)
	if err != nil {
		return nil
	}
	switch v := w.decode(b).(type) {
	case *block.Spans:
		return infoOfSpans(seq, len(b), v)
	case *block.Usage:
		return infoOfUsage(seq, len(b), v)
	}
	return nil
}

// decode returns a *block.Spans or *block.Usage, or nil.
func (w *wreck) decode(b []byte) any {
	kind, _, ok := block.Length(b[:min(len(b), block.MaxHeader)])
	if !ok {
		return nil
	}
	if kind == block.KindSpans {
		if v, err := block.OpenSpans(b, w.s.codec); err == nil {
			return v
		}
		return nil
	}
	if v, err := block.DecodeUsage(b, w.s.codec, true); err == nil {
		return v
	}
	return nil
}

func (w *wreck) readLog(res *walkResult) {
	if at, ok := res.meta[string(keyEvictions)]; ok {
		if b, err := w.bytes(at); err == nil && len(b) > 4 {
			w.log = b
		}
	}
	if at, ok := res.meta[string(keyPins)]; ok {
		if b, err := w.bytes(at); err == nil {
			w.pins = b
		}
	}
	for _, at := range res.runs {
		if b, err := w.bytes(at); err == nil {
			if r, err := decodeRun(b); err == nil {
				w.runs = append(w.runs, r)
			}
		}
	}
}

// hint says that a block has a number: one with a page of its own by that page,
// a small one, which lies in the page of the bucket above, by its bytes.
type hint struct {
	root int64
	at   extent
	seq  uint64
}

// hints looks through all pages for entries that give a number to a block,
// whether or not they are reached. Pages are used again for later blocks, so the
// greatest number counts.
func (w *wreck) hints() (hints []hint, err error) {
	b := make([]byte, pageSize)
	for id := int64(2); id < w.size/pageSize; id++ {
		if n, err := w.f.ReadAt(b, id*pageSize); n < len(b) && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if order.Uint64(b) != uint64(id) || order.Uint16(b[8:]) != flagLeaf {
			continue
		}
		for i := range min(int(order.Uint16(b[10:])), (pageSize-pageHeaderLen)/elementLen) {
			e := pageHeaderLen + i*elementLen
			key, vsize := int64(e)+int64(order.Uint32(b[e+4:])), int64(order.Uint32(b[e+12:]))
			if order.Uint32(b[e:]) == flagBucket && order.Uint32(b[e+8:]) == 8 && vsize >= bucketLen && key+8+vsize <= pageSize {
				hints = append(hints, hint{
					root: int64(order.Uint64(b[key+8:])), at: extent{id*pageSize + key + 8, vsize}, seq: binary.BigEndian.Uint64(b[key:]),
				})
			}
		}
	}
	return hints, nil
}

// numberAt returns the number of the block that begins at off, 0 when it is not
// known. A block begins in the first page of its bucket unless its summary fills
// that.
func numberAt(hints []hint, off int64) (seq uint64) {
	for _, h := range hints {
		if h.root == 0 && off > h.at.off && off < h.at.off+h.at.len {
			return h.seq
		}
	}
	for page := off / pageSize; seq == 0 && page > off/pageSize-4; page-- {
		for _, h := range hints {
			if h.root == page {
				seq = max(seq, h.seq)
			}
		}
	}
	return seq
}

// search finds the blocks that were not reached by what they begin with.
func (w *wreck) search(hints []hint) (loose []*find, err error) {
	reached := map[int64]bool{}
	for _, f := range w.finds {
		reached[f.at.off] = true
	}
	budget := searchCost * w.size
	buf := make([]byte, 1<<20)
	for base := int64(0); base < w.size; {
		n, err := w.f.ReadAt(buf, base)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		b, at := buf[:n], 0
		for {
			i := block.Find(b[at:])
			if i < 0 {
				break
			}
			at += i
			off := base + int64(at)
			at += block.MagicLen
			if reached[off] || budget < 0 {
				continue
			}
			if f, cost := w.try(off); f != nil {
				f.info.seq = numberAt(hints, off)
				loose = append(loose, f)
			} else {
				budget -= cost
			}
		}
		if n < len(buf) {
			break
		}
		base += int64(n - block.MagicLen + 1) // what begins at the end of the buffer
	}
	return loose, nil
}

// try reads the block that may begin at off, and says what the attempt cost.
func (w *wreck) try(off int64) (*find, int64) {
	head := make([]byte, min(block.MaxHeader, w.size-off))
	if _, err := w.f.ReadAt(head, off); err != nil {
		return nil, 0
	}
	_, n, ok := block.Length(head)
	if !ok || n > w.size-off {
		return nil, 0
	}
	at := extent{off, n}
	if info := w.read(at, 0); info != nil {
		return &find{info: info, at: at}, 0
	}
	return nil, n
}

// known reports whether the block f is a find already, or stands elsewhere.
func (w *wreck) known(f *find) bool {
	b, err := w.bytes(f.at)
	if err != nil {
		return true
	}
	for _, o := range w.finds {
		if !related(o.info, f.info) {
			continue
		}
		switch other, err := w.bytes(o.at); {
		case err != nil:
		case w.within(b, other):
			return true
		case w.within(other, b): // the way to the newest version is lost
			f.info.seq, f.sure = o.info.seq, o.sure
			*o = *f
			return true
		}
	}
	return w.elsewhere(f)
}

// elsewhere reports whether f is in another segment, or still in memory. Where
// it is the later version of a block in another segment, it gets that one's
// number, under which it takes its place.
func (w *wreck) elsewhere(f *find) bool {
	w.s.mu.Lock()
	infos := slices.Clone(w.s.infos)
	var views []*openView
	for _, p := range w.s.pending() {
		views = append(views, p.read(w.s.codec))
	}
	w.s.mu.Unlock()
	infos = slices.DeleteFunc(infos, func(o *blockInfo) bool { return o.seg.number() == w.num || !related(o, f.info) })
	if len(infos) == 0 && len(views) == 0 {
		return false
	}
	b, err := w.bytes(f.at)
	if err != nil {
		return true
	}
	for _, o := range infos {
		switch other, err := o.seg.read(o.seq); {
		case err != nil:
		case w.within(b, other):
			return true
		case w.within(other, b):
			f.info.seq, f.sure = o.seq, true
		}
	}
	spans, ok := w.decode(b).(*block.Spans)
	return ok && slices.ContainsFunc(views, func(v *openView) bool {
		in, err := v.open()
		return err == nil && spans.Prefix(in)
	})
}

// related reports whether two blocks may be versions of one another.
func related(a, b *blockInfo) bool {
	if a.count > b.count {
		a, b = b, a
	}
	switch {
	case a.kind != b.kind:
		return false
	case a.kind == block.KindUsage: // there is one version only
		return a.count == b.count && a.min == b.min && a.max == b.max && slices.Equal(a.traces, b.traces)
	}
	return a.min >= b.min && a.max <= b.max && !slices.ContainsFunc(a.traces, func(fp uint32) bool { return !b.mayHold(fp) })
}

// within reports whether the encoded block a is b, or an earlier version of it.
func (w *wreck) within(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, _ := w.decode(a).(*block.Spans)
	y, _ := w.decode(b).(*block.Spans)
	return x != nil && y != nil && x.Prefix(y)
}

// number gives every find a number of its own: what was reached keeps its, a
// guess is taken when nothing else has it, the rest gets what is free between
// the segments before and after.
func (w *wreck) number(wrecks []wreckFile) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	below, above, taken := w.s.around(w.num, wrecks)
	var loose []*find
	mine := map[uint64]bool{}
	for _, f := range w.finds { // those that are sure come first
		if seq := f.info.seq; !mine[seq] && (f.sure || seq > 0 && seq < maxSeq && !taken(seq)) {
			mine[seq] = true
		} else {
			loose = append(loose, f)
		}
	}
	// From the top, and with a distance where there is none: what is older and
	// still to be salvaged needs numbers too.
	slices.SortFunc(loose, func(a, b *find) int { return cmp.Compare(b.info.min, a.info.min) })
	if above == math.MaxUint64 {
		above = max(below, w.s.seq) + uint64(len(wrecks))<<20
	}
	for _, f := range loose {
		for above--; above > below && (mine[above] || taken(above)); above-- {
		}
		if f.info.seq = above; above <= below {
			above = below + 1 // there are no more: any number is better than none
			for w.s.seq++; mine[w.s.seq]; w.s.seq++ {
			}
			f.info.seq = w.s.seq
		}
		mine[f.info.seq] = true
	}
	slices.SortFunc(w.finds, func(a, b *find) int { return cmp.Compare(a.info.seq, b.info.seq) })
}

// maxSeq bounds the numbers that are believed where nothing vouches for them.
const maxSeq = 1 << 48

// around returns between which numbers, both exclusive, there may be some that
// no other segment's blocks have, and what tells which are taken. s.mu is held.
func (s *Store) around(num uint64, wrecks []wreckFile) (below, above uint64, taken func(uint64) bool) {
	above = math.MaxUint64
	others := map[uint64]bool{}
	has := func(n, seq uint64) {
		if n == num {
			return
		}
		others[seq] = true
		if n < num {
			below = max(below, seq)
		} else {
			above = min(above, seq)
		}
	}
	for _, o := range s.infos {
		has(o.seg.number(), o.seq)
	}
	for _, p := range s.pending() {
		has(math.MaxUint64, p.seq)
	}
	for _, u := range s.usage {
		has(math.MaxUint64, u.info.seq)
	}
	for _, w := range wrecks {
		if w.first > 0 {
			has(w.num, w.first)
			has(w.num, w.last)
		}
	}
	return below, above, func(seq uint64) bool {
		return others[seq] || slices.ContainsFunc(wrecks, func(w wreckFile) bool { return w.num != num && seq >= w.first && seq <= w.last && w.first > 0 })
	}
}

// pending returns the blocks in memory. s.mu is held.
func (s *Store) pending() []*pendingBlock {
	if s.open == nil { // in Open
		return nil
	}
	return append(slices.Clone(s.full), s.open)
}

func (w *wreck) spans() (n int) {
	for _, f := range w.finds {
		if f.info.kind == block.KindSpans {
			n += f.info.count
		}
	}
	return n
}

// need is about how large a segment with the finds becomes.
func (w *wreck) need() int64 {
	n := 16*pageSize + int64(len(w.log)) + growthStep(w.s.layout.segmentMost())
	for _, f := range w.finds {
		n += w.needOf(f)
	}
	return n
}

// needOf is what one find takes: a small block lies inside the page of its bucket,
// which bbolt leaves half empty, others take pages of their own.
func (w *wreck) needOf(f *find) int64 {
	n := f.at.len + int64(len(f.info.encode())) + 64
	if n < pageSize/4 {
		return 2 * (n + 64)
	}
	return n/pageSize*pageSize + pageSize + 128
}

// build writes the finds into a new segment file, which must not become larger
// than there is room.
func (w *wreck) build(path string, limit, room int64) (err error) {
	seg, err := createSegment(path, w.num, limit, w.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, seg.close()) }()
	if w.pins != nil {
		if err := seg.commit(&commit{pins: w.pins}); err != nil {
			return err
		}
	}
	for _, r := range w.runs {
		if err := seg.commit(&commit{run: &r}); err != nil {
			return err
		}
	}
	for rest := w.finds; len(rest) > 0; {
		c := &commit{}
		for len(rest) > 0 && c.bytes() < salvageCommit {
			data, err := w.bytes(rest[0].at)
			if err != nil {
				return err
			}
			c.blocks = append(c.blocks, encodedBlock{info: rest[0].info, summary: rest[0].info.encode(), data: data})
			rest = rest[1:]
		}
		if err := seg.commit(c); err != nil {
			return err
		}
		if seg.size() > room {
			return fmt.Errorf("what is whole of it takes more than %d bytes, for which there is room", room)
		}
	}
	return nil
}

// wreckFile is a damaged segment that has yet to be salvaged.
type wreckFile struct {
	num    uint64
	path   string
	bytes  int64
	was    segment // as which it is in the index, nil when it never was
	newest bool    // nothing was written after it
	why    error

	// The numbers of the blocks that can be reached in it, so that no other
	// segment's get the same. Both are 0 when there are none.
	first, last uint64
}

// wreckAt notes that the segment file at path is damaged.
func (r *ring) wreckAt(path string, num uint64, was segment, why error) {
	w := wreckFile{num: num, path: path, was: was, newest: num+1 == r.next, why: why}
	if f, err := os.Open(path); err == nil {
		defer f.Close()
		if fi, err := f.Stat(); err == nil {
			w.bytes = fi.Size()
		}
		if res, _ := walkLeniently(f, w.bytes); len(res.blocks) > 0 {
			w.first, w.last = res.blocks[0].seq, res.blocks[len(res.blocks)-1].seq
		}
	}
	r.wrecks = append(r.wrecks, w)
}

// salvageAll saves what is whole of the damaged segments, and puts what it made
// of them into the ring. What cannot be saved is set aside. The newest comes
// first: of a block in two segments the later version counts.
func (r *ring) salvageAll() error {
	slices.SortFunc(r.wrecks, func(a, b wreckFile) int { return cmp.Compare(a.num, b.num) })
	for len(r.wrecks) > 0 {
		wf := r.wrecks[len(r.wrecks)-1]
		var w *wreck
		err := guard(func() (err error) {
			w, err = r.salvage(wf)
			return err
		})
		if errors.Is(err, errFormat) {
			return fmt.Errorf("%s is damaged, and was written by another version: %w", wf.path, err)
		}
		r.wrecks = r.wrecks[:len(r.wrecks)-1]
		left, held := len(r.wrecks), r.s.held(wf.was)
		if err == nil {
			err = r.loadSegment(wf.num, wf.newest && !r.loaded, wf.was)
		}
		if err == nil && len(r.wrecks) > left {
			r.wrecks = r.wrecks[:left]
			err = errors.New("what was made of it is damaged too")
		}
		if err != nil {
			if wf.was != nil {
				r.s.forget(wf.was)
			}
			r.s.counts.lost.Add(int64(held))
			r.setFileAside(wf.path, fmt.Errorf("%w; nothing could be saved of it: %w", wf.why, err))
			continue
		}
		r.s.counts.damaged.Add(1)
		r.s.counts.lost.Add(int64(max(w.lostSpans, held-w.spans())))
		r.s.report("damaged "+wf.path, fmt.Errorf("segment %s was damaged and is replaced by what could be saved of it: %s: %w", wf.path, w.tell(), wf.why))
	}
	return nil
}

// held returns how many spans of a segment are in the index.
func (s *Store) held(seg segment) (spans int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.infos {
		if seg != nil && b.seg == seg && b.kind == block.KindSpans {
			spans += b.count
		}
	}
	return spans
}

// salvage replaces a damaged segment by one with every block in it whose
// checksum holds. On an error the file is as it was.
func (r *ring) salvage(wf wreckFile) (*wreck, error) {
	f, err := os.Open(wf.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := &wreck{s: r.s, f: f, size: wf.bytes, num: wf.num}
	if err := w.explore(); err != nil {
		return nil, err
	}
	if len(w.finds) == 0 {
		return nil, errors.New("no block in it is whole")
	}
	w.number(r.wrecks)
	room, err := r.roomFor(w)
	if err != nil {
		return nil, err
	}
	if r.loaded || !w.logWhole() {
		// In a running store it is in memory; else what left the ring before this
		// segment was begun is not known any more.
		if !r.loaded && wf.newest {
			r.s.gone.since = time.Now()
		}
		w.log = r.log()
	}
	tmp := strings.TrimSuffix(wf.path, segmentSuffix) + salvageSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	defer os.Remove(tmp) // nothing is there any more after the rename
	if err := w.build(tmp, r.s.layout.segmentMost(), room); err != nil {
		return nil, err
	}
	f.Close() // Windows does not replace a file that is open
	if err := os.Rename(tmp, wf.path); err != nil {
		return nil, err
	}
	return w, syncDir(r.s.dir)
}

// logWhole reports whether the log of evictions could be read.
func (w *wreck) logWhole() bool {
	n := len(w.log) - 4
	return n > 0 && binary.LittleEndian.Uint32(w.log[n:]) == block.Checksum(w.log[:n])
}

func (w *wreck) tell() string {
	saved := fmt.Sprintf("%d spans in %d blocks", w.spans(), len(w.finds))
	switch {
	case w.lostSpans > 0 && w.lostBlocks > 0:
		return fmt.Sprintf("%s; %d spans are lost, and %d blocks of unknown size", saved, w.lostSpans, w.lostBlocks)
	case w.lostSpans > 0:
		return fmt.Sprintf("%s; %d spans are lost", saved, w.lostSpans)
	case w.lostBlocks > 0:
		return fmt.Sprintf("%s; %d blocks of unknown size are lost", saved, w.lostBlocks)
	}
	return saved + "; nothing is known to be lost"
}

// roomFor makes room in the budget for the segment that is rebuilt beside the
// damaged one: damaged files go first, then older segments, at last the wreck's
// own oldest blocks. It returns the room there is.
func (r *ring) roomFor(w *wreck) (room int64, err error) {
	free := func() int64 {
		taken := r.sealedBytes()
		if r.active != nil {
			taken += r.active.size()
		}
		return r.budget() - taken
	}
	need := w.need()
	for free() < need && r.removeDamaged() {
	}
	for free() < need && len(r.sealed) > 0 && r.sealed[0].number() < w.num {
		if err := r.evict("room was needed to save what is whole of a damaged segment", true); err != nil {
			return 0, err
		}
	}
	for room = free(); need > room; w.finds = w.finds[1:] {
		if len(w.finds) == 0 {
			return 0, errors.New("the budget has no room to save what is whole of it")
		}
		f := w.finds[0]
		need -= w.needOf(f)
		if f.info.kind == block.KindSpans {
			w.lostSpans += f.info.count
		}
	}
	return room, nil
}
