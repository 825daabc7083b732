package spanstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// sim does things to a store at random, and compares it with a model after each.
type sim struct {
	t    *testing.T
	g    *spangen.Gen
	m    *simModel
	dir  string
	opts spanstore.Options
	s    *spanstore.Store

	harm    bool           // segments are damaged, too
	newest  uint64         // the segment with the highest number that was seen
	blocked string         // the directory that stands where the next segment should
	log     []string       // of what was done
	counts  map[string]int // of what was done and seen
}

// TestSimulation does random things to a store and compares all that it gives
// back with a plain map. Its time is a bubble's, so that MaxAge costs none. With
// -seed it does the same again, but for what the system's scheduler decides.
func TestSimulation(t *testing.T) {
	rounds, steps := 2, 70
	switch {
	case spanstore.Soak:
		rounds, steps = 100, 200
	case spanstore.RaceEnabled:
		rounds, steps = 2, 40
	case testing.Short():
		rounds = 1
	}
	began := time.Now()
	total := map[string]int{}
	for round := range rounds {
		seed := *seed + uint64(round)
		t.Logf("seed %d", seed)
		dir := filepath.Join(spanstore.QuickDir(t), "store")
		synctest.Test(t, func(t *testing.T) {
			m := newSim(t, seed, dir)
			defer m.end()
			for m.counts["step"] < steps {
				m.step()
			}
			m.audit()
			m.count()
			for name, n := range m.counts {
				total[name] += n
			}
		})
		if t.Failed() {
			return
		}
	}
	var figures []string
	for _, name := range slices.Sorted(maps.Keys(total)) {
		figures = append(figures, fmt.Sprintf("%d %s", total[name], name))
	}
	t.Logf("%d simulations in %v: %s", rounds, time.Since(began).Round(time.Millisecond), strings.Join(figures, ", "))
	for _, name := range []string{"spans", "segments evicted", "traces compared", "kept traces seen"} {
		if total[name] == 0 {
			t.Errorf("no %s: the test is too weak", name)
		}
	}
}

func newSim(t *testing.T, seed uint64, dir string) *sim {
	m := &sim{t: t, g: spangen.New(seed), m: newSimModel(), dir: dir, counts: map[string]int{}}
	m.opts.MaxBytes = spanstore.MinMaxBytes
	if m.g.IntN(4) == 0 {
		m.opts.MaxBytes += 1 << 20
	}
	if m.g.IntN(3) == 0 {
		m.opts.MaxAge = 8 * time.Hour
	}
	m.harm = seed%2 == 0
	m.opts.Logger = slog.New(slog.DiscardHandler)
	m.open()
	return m
}

func (m *sim) end() {
	m.unblock()
	if m.s != nil {
		_ = m.s.Close()
	}
	if m.t.Failed() {
		m.t.Logf("the last steps: %s", strings.Join(m.log[max(0, len(m.log)-40):], "; "))
	}
}

func (m *sim) fatal(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("step %d: %s", m.counts["step"], fmt.Sprintf(format, args...))
}

func (m *sim) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

// step does one thing, and then looks at what must hold at any time.
func (m *sim) step() {
	m.counts["step"]++
	switch n := m.g.IntN(100); {
	case n < 40:
		m.write(20 + m.g.IntN(300))
	case n < 48:
		m.flush()
	case n < 52:
		m.measure()
	case n < 60:
		m.sleep()
	case n < 65:
		m.pin()
	case n < 68:
		m.block()
	case n < 72:
		m.unblock()
	case n < 78:
		m.reopen(false)
	case n < 80:
		m.reopen(m.harm)
	case n < 82 && m.harm:
		m.damage("while open")
	case n < 87:
		m.read()
	case n < 92:
		m.kill()
	default:
		m.audit()
	}
	m.check(m.s)
	m.budget()
}

// segs returns the numbers of the first and the last segment. When MaxAge has removed
// them all, and no other can be made, they are those between which none is.
func (m *sim) segs() (oldest, newest uint64) {
	nums := segmentNumbers(m.dir)
	if len(nums) == 0 {
		return m.newest + 1, m.newest
	}
	m.newest = nums[len(nums)-1]
	return nums[0], m.newest
}

func (m *sim) open() {
	s, err := spanstore.Open(m.dir, &m.opts)
	if err != nil {
		m.fatal("open: %v", err)
	}
	m.s = s
	m.m.opens++
}

// finding is what Check says of one place.
var finding = regexp.MustCompile(`^invariant \d+: .*?(?:segment |/)0*(\d+)`)

// check runs Check. What was damaged may be found to be so, nothing else.
func (m *sim) check(s *spanstore.Store) {
	m.t.Helper()
	err := s.Check(ctx)
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		at := finding.FindStringSubmatch(line)
		if at == nil {
			m.fatal("check: %v", err)
		}
		if num, _ := strconv.ParseUint(at[1], 10, 64); !m.m.hurt[num] {
			m.fatal("check: %v; damaged are %v", err, m.m.hurt)
		}
	}
}

func (m *sim) budget() {
	m.t.Helper()
	if n := dirBytes(m.t, m.dir); n > m.opts.MaxBytes {
		m.fatal("the files have %d bytes, more than %d", n, m.opts.MaxBytes)
	}
}

// spans makes spans: of requests, some of them large, of any kind, and late ones
// of traces that were there before.
func (m *sim) spans(n int) (out []tracetest.SpanStub) {
	for len(out) < n {
		switch k := m.g.IntN(10); {
		case k < 6 || len(m.m.ids) == 0:
			out = append(out, m.request()...)
		case k < 8:
			out = append(out, m.recent(m.g.Wild()))
		default:
			late := m.g.Request(time.Now(), 2)[0]
			back := 1 + m.g.IntN(min(len(m.m.ids), []int{5, 50, 5000}[m.g.IntN(3)]))
			of := m.m.traces[m.m.ids[len(m.m.ids)-back]][0].stub.SpanContext
			late.SpanContext, late.Parent = late.SpanContext.WithTraceID(of.TraceID()), of
			out = append(out, late)
		}
	}
	out = slices.DeleteFunc(out, func(x tracetest.SpanStub) bool { return m.m.collides(x.SpanContext.TraceID()) })
	m.g.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// request makes a trace. Those without an error are large: the ring turns often,
// and what is kept of it stays small.
func (m *sim) request() []tracetest.SpanStub {
	stubs := m.g.Request(time.Now(), 1+m.g.IntN(4))
	for i := range stubs {
		x := &stubs[i]
		if i == len(stubs)-1 && x.Status.Code == codes.Error || len(m.m.pinned) == 0 && m.g.IntN(20) == 0 {
			return stubs
		}
		x.Attributes = append(x.Attributes, attribute.String("fat", noise(m.g, m.g.IntN(7000))))
	}
	return stubs
}

// recent moves a wild span's times from its hour to the last one.
func (m *sim) recent(x tracetest.SpanStub) tracetest.SpanStub {
	by := time.Now().Add(-time.Hour).Sub(time.Unix(0, 1_700_000_000_000_000_000))
	move := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(by)
	}
	x.StartTime, x.EndTime = move(x.StartTime), move(x.EndTime)
	for i := range x.Events {
		x.Events[i].Time = move(x.Events[i].Time)
	}
	return x
}

// write hands spans to the store in batches, by either way.
func (m *sim) write(n int) {
	stubs := m.spans(n)
	m.note("write %d", len(stubs))
	m.counts["spans"] += len(stubs)
	for part := range slices.Chunk(stubs, 1+m.g.IntN(60)) {
		if m.blocked == "" && m.g.IntN(2) == 0 {
			m.onEnd(part)
		} else {
			m.export(part)
		}
		m.budget()
	}
}

// export takes note of which spans found room while the disk fails.
func (m *sim) export(stubs []tracetest.SpanStub) {
	_, newest := m.segs()
	before := m.s.Stats()
	if err := m.s.ExportSpans(ctx, tracetest.SpanStubs(stubs).Snapshots()); err != nil {
		m.fatal("export: %v", err)
	}
	after := m.s.Stats()
	n := int(after.Accepted - before.Accepted)
	if lost := int(after.DroppedDisk - before.DroppedDisk); n+lost != len(stubs) || lost > 0 && m.quiet() {
		m.fatal("of %d spans %d are accepted and %d dropped", len(stubs), n, lost)
	}
	m.counts["spans dropped"] += len(stubs) - n
	m.m.accept(stubs[:n], max(1, newest))
}

// quiet reports whether nothing keeps the store from writing.
func (m *sim) quiet() bool {
	return m.blocked == "" && len(m.m.hurt) == 0
}

func (m *sim) onEnd(stubs []tracetest.SpanStub) {
	_, newest := m.segs()
	p := m.s.Processor()
	for _, span := range tracetest.SpanStubs(stubs).Snapshots() {
		p.OnEnd(span)
	}
	m.m.accept(stubs, max(1, newest))
	if _, err := m.s.Services(ctx); err != nil { // any query takes what has ended
		m.fatal("%v", err)
	}
	if m.s.Stats().Queued > 0 { // more blocks than may wait
		m.flush()
	}
	if d := m.s.Stats().DroppedQueue; d > 0 {
		m.fatal("%d spans found the queue full", d)
	}
}

// flush must succeed unless something is in the way. A segment that was damaged
// may fail it once, as it may be found so only then.
func (m *sim) flush() {
	m.t.Helper()
	var err error
	for range 1 + len(m.m.hurt) {
		if err = m.s.Flush(ctx); err == nil {
			break
		}
	}
	m.note("flush %v", err)
	if err != nil {
		if m.blocked == "" {
			m.fatal("flush: %v", err)
		}
		m.counts["flushes that failed"]++
		return
	}
	_, newest := m.segs()
	m.m.flushed(newest, false)
	if st := m.s.Stats(); st.LastError != "" {
		m.fatal("after Flush LastError is %q", st.LastError)
	}
}

// measure adds usage of some spans.
func (m *sim) measure() {
	if len(m.m.spans) == 0 || m.blocked != "" { // what finds no room is dropped
		return
	}
	m.note("usage")
	_, newest := m.segs()
	b := spanstore.UsageBatch{Windows: []spanstore.Window{{Start: time.Now().Add(-10 * time.Second), End: time.Now(), Period: 10 * time.Millisecond}}}
	for range 1 + m.g.IntN(20) {
		x := m.m.spans[len(m.m.spans)-1-m.g.IntN(min(len(m.m.spans), 500))]
		n := 1 + m.g.IntN(9)
		b.Spans = append(b.Spans, spanstore.Usage{TraceID: x.id(), SpanID: x.stub.SpanContext.SpanID(), Samples: n, CPU: 10 * time.Millisecond * time.Duration(n)})
		u := &simUsage{samples: n, first: max(1, newest)}
		m.m.usage[x.stub.SpanContext.SpanID()] = append(m.m.usage[x.stub.SpanContext.SpanID()], u)
		m.m.pending = append(m.m.pending, u)
	}
	if err := m.s.AddUsage(ctx, b); err != nil {
		m.fatal("usage: %v", err)
	}
	if n := m.s.Stats().UsageDropped; n > 0 && m.counts["usage dropped"] == 0 {
		m.counts["usage dropped"]++ // with kept traces it may be, and is counted
	}
}

// sleep lets the background work; with a MaxAge sometimes for hours.
func (m *sim) sleep() {
	d := time.Duration(m.g.Int64N(int64(10 * time.Second)))
	if m.opts.MaxAge > 0 && m.g.IntN(2) == 0 {
		d = time.Duration(m.g.Int64N(int64(5 * time.Hour)))
	}
	m.note("sleep %v", d)
	time.Sleep(d)
	synctest.Wait()
	if m.quiet() && d > 2*time.Second {
		if st := m.s.Stats(); st.Durable != st.Accepted {
			m.fatal("after %v %d of %d spans are durable", d, st.Durable, st.Accepted)
		}
		_, newest := m.segs()
		m.m.flushed(newest, false)
	}
}

// pin pins a trace, or gives one up.
func (m *sim) pin() {
	if len(m.m.pinned) > 1 || len(m.m.ids) == 0 {
		for id := range m.m.pinned {
			m.note("unpin")
			if err := m.s.Unpin(ctx, id); err != nil {
				m.fatal("unpin: %v", err)
			}
			delete(m.m.pinned, id)
			break
		}
		return
	}
	id := m.m.ids[len(m.m.ids)-1-m.g.IntN(min(len(m.m.ids), 50))]
	if len(m.m.traces[id]) > 4 {
		return // more than what may be kept, perhaps
	}
	there, tr := m.compare(m.look(), id)
	err := m.s.Pin(ctx, id)
	if (err != nil) != (len(there) == 0) {
		m.fatal("pin a trace of which %d spans are there: %v", len(there), err)
	}
	if err == nil && len(tr.Problems) == 0 {
		m.note("pin %s", id)
		m.m.pinned[id], m.m.wasPinned[id] = true, true
	}
}

// block puts a directory where the next segment should go: creating that fails,
// as with a full disk or lost rights.
func (m *sim) block() {
	if m.blocked != "" {
		return
	}
	_, newest := m.segs()
	m.blocked = filepath.Join(m.dir, fmt.Sprintf("%08d.seg", newest+1))
	m.note("block %d", newest+1)
	if err := os.MkdirAll(filepath.Join(m.blocked, "x"), 0o700); err != nil {
		m.fatal("%v", err)
	}
}

// unblock gives way. Writing resumes at once with Flush, and by itself.
func (m *sim) unblock() {
	if m.blocked == "" {
		return
	}
	m.note("unblock")
	if err := os.RemoveAll(m.blocked); err != nil {
		m.fatal("%v", err)
	}
	m.blocked = ""
	if m.t.Failed() {
		return
	}
	if m.g.IntN(2) == 0 {
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if st := m.s.Stats(); len(m.m.hurt) == 0 && (st.LastError != "" || st.Durable != st.Accepted) {
			m.fatal("writing does not resume: %d of %d spans are durable, %q", st.Durable, st.Accepted, st.LastError)
		}
	}
	m.flush()
}

// reopen closes the store and opens it again, with damage in between or not.
func (m *sim) reopen(damaged bool) {
	m.unblock()
	m.flush()
	m.count()
	if err := m.s.Close(); err != nil {
		m.fatal("close: %v", err)
	}
	oldest, newest := m.segs()
	m.m.flushed(newest, true)
	m.note("reopen %d..%d", oldest, newest)
	if damaged && newest > 0 {
		m.damage("while closed")
	}
	if newest == 0 {
		m.m.emptied()
	}
	if m.g.IntN(3) == 0 {
		m.read()
	}
	m.open()
	if damaged { // the list of pins may have been lost
		for id := range m.m.wasPinned {
			_ = m.s.Unpin(ctx, id)
		}
		clear(m.m.pinned)
	}
	m.note("reopened %v", segmentNumbers(m.dir))
}

// count notes figures of a store that is about to be closed.
func (m *sim) count() {
	st := m.s.Stats()
	m.counts["segments evicted"] += int(st.EvictedSegments)
	m.counts["segments damaged"] += int(st.DamagedSegments)
}

// damage flips bits in a segment or cuts it off.
func (m *sim) damage(when string) {
	nums := segmentNumbers(m.dir)
	if len(nums) == 0 {
		return
	}
	num := nums[m.g.IntN(len(nums))]
	m.m.damaged(num, nums[0])
	path := filepath.Join(m.dir, fmt.Sprintf("%08d.seg", num))
	b, err := os.ReadFile(path)
	if err != nil {
		m.fatal("%v", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		m.fatal("%v", err)
	}
	defer f.Close()
	switch m.g.IntN(2) {
	case 0:
		at := m.g.IntN(len(b))
		m.note("%s cut off %d to %d", when, num, at)
		err = f.Truncate(int64(at))
	case 1:
		if when == "while open" && num == nums[len(nums)-1] {
			return // bits flip in what is sealed
		}
		for range 1 + m.g.IntN(8) {
			at := m.g.IntN(len(b))
			m.note("%s flip %d at %d", when, num, at)
			_, werr := f.WriteAt([]byte{b[at] ^ 1<<m.g.IntN(8)}, int64(at))
			err = errors.Join(err, werr)
		}
	}
	if err != nil {
		m.fatal("%v", err)
	}
	m.counts["segments broken "+when]++
}

// read opens the directory for reading only, beside the writer or without one.
func (m *sim) read() {
	synctest.Wait()
	r, err := spanstore.Open(m.dir, &spanstore.Options{ReadOnly: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.fatal("open for reading: %v", err)
	}
	defer r.Close()
	oldest, newest := m.segs()
	m.note("read %d..%d", oldest, newest)
	l := look{s: r, from: oldest, to: newest - min(1, newest)}
	for _, id := range m.some(200) {
		m.compare(l, id)
	}
	m.check(r)
	if err := r.ExportSpans(ctx, []sdktrace.ReadOnlySpan{m.g.Wild().Snapshot()}); !errors.Is(err, spanstore.ErrReadOnly) {
		m.fatal("export for reading: %v", err)
	}
}

// kill opens the directory as it would be left by a kill, at some moment while
// spans are written.
func (m *sim) kill() {
	if !m.quiet() {
		return // what is kept waits in memory
	}
	m.flush()
	durable, evicted := len(m.m.spans), m.s.Stats().EvictedSegments
	var more []tracetest.SpanStub
	if m.g.IntN(3) > 0 {
		more = m.spans(1 + m.g.IntN(150))
	}
	_, newest := m.segs()
	done := make(chan error, 1)
	go func() {
		var err error
		for part := range slices.Chunk(more, 20) {
			err = errors.Join(err, m.s.ExportSpans(ctx, tracetest.SpanStubs(part).Snapshots()), m.s.Flush(ctx))
		}
		done <- err
	}()
	left := m.asLeft()
	if err := <-done; err != nil {
		m.fatal("%v", err)
	}
	same := m.s.Stats().EvictedSegments == evicted
	m.m.accept(more, max(1, newest))
	m.note("kill after %d spans, %d more, evicted meanwhile %v", durable, len(more), !same)

	dir := filepath.Join(filepath.Dir(m.dir), "left")
	if err := os.Mkdir(dir, 0o700); err != nil {
		m.fatal("%v", err)
	}
	defer os.RemoveAll(dir)
	for name, b := range left {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			m.fatal("%v", err)
		}
	}
	nums := segmentNumbers(dir)
	s, err := spanstore.Open(dir, &m.opts)
	if err != nil {
		m.fatal("open what a kill left: %v", err)
	}
	defer s.Close()
	m.check(s)
	if n := s.Stats().DamagedSegments; n > 0 {
		m.fatal("a kill damaged %d segments", n)
	}
	if n := dirBytes(m.t, dir); n > m.opts.MaxBytes {
		m.fatal("what a kill left takes %d bytes", n)
	}
	if len(nums) == 0 {
		return
	}
	// Opened, it may have evicted for room.
	l := look{s: s, from: segmentNumbers(dir)[0], to: nums[len(nums)-1] + 1, copies: same, maxAge: m.opts.MaxAge}
	for _, id := range m.some(300) {
		m.compare(l, id)
	}
	m.counts["kills"]++
}

// asLeft reads the directory until it is twice the same: so it was at the moment
// between.
func (m *sim) asLeft() map[string][]byte {
	var before map[string][]byte
	for {
		now := map[string][]byte{}
		entries, err := os.ReadDir(m.dir)
		if err != nil {
			m.fatal("%v", err)
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				if b, err := os.ReadFile(filepath.Join(m.dir, e.Name())); err == nil {
					now[e.Name()] = b
				}
			}
		}
		if before != nil && maps.EqualFunc(before, now, bytes.Equal) {
			return now
		}
		before = now
	}
}

// some returns the ids of some traces, most of them young.
func (m *sim) some(n int) (ids []trace.TraceID) {
	all := m.m.ids
	ids = slices.Clone(all[max(0, len(all)-n/2):])
	for range min(n/2, len(all)) {
		ids = append(ids, all[m.g.IntN(len(all))])
	}
	return ids
}

func (m *sim) look() look {
	synctest.Wait() // for the writer: nothing is evicted while it is compared
	oldest, newest := m.segs()
	return look{s: m.s, from: oldest, to: newest, live: true, copies: true, maxAge: m.opts.MaxAge}
}

func (m *sim) compare(l look, id trace.TraceID) ([]tracetest.SpanStub, *spanstore.Trace) {
	m.t.Helper()
	m.counts["traces compared"]++
	there, tr, err := m.m.check(l, id)
	if err != nil {
		m.fatal("%v", err)
	}
	if l.live && tr.Kept != "" && m.m.traces[id][0].last > 0 && m.m.traces[id][0].last < l.from {
		m.counts["kept traces seen"]++
	}
	return there, tr
}
