package spanstore

import (
	"cmp"
	"context"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

var (
	floorSpans = flag.String("floor.spans", "", "directory of a store whose spans BenchmarkFloor takes; default: random ones")
	floorRing  = flag.Int64("floor.ring", 36<<20, "MaxBytes of the store that BenchmarkFloor compares with")
)

// floorChunk is 25 full blocks, so that a flush writes no unfinished one.
const floorChunk = 25 * blockSpans

// BenchmarkFloor puts the store beside the least that could do its work: the
// same codec, its blocks appended to a file, fdatasync after every eighth; no
// ring, no index, no reader, no second goroutine. One op is one span stored in
// both, by turns so that both see the same machine. It reports
//
//	file-kspans/cpu-s, store-kspans/cpu-s   durable spans per second of CPU time
//	store/file                              the median of the turns' ratios
//	file-B/span, file-mallocs/span, store-mallocs/span
//
// Run with -benchtime=1000000x or more; the store's ring wraps before.
func BenchmarkFloor(b *testing.B) {
	spans := floorInput(b)
	s, err := Open(filepath.Join(b.TempDir(), "store"), &Options{MaxBytes: *floorRing})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	file := newFloor(b)
	for s.Stats().EvictedSegments == 0 {
		floorStore(b, s, spans)
	}
	var store, bare floorCost
	var ratios []float64
	b.ResetTimer()
	for done := 0; done < b.N; done += floorChunk {
		s := floorMeasure(func() { floorStore(b, s, spans) })
		f := floorMeasure(func() { file.write(b, spans) })
		store, bare = store.add(s), bare.add(f)
		ratios = append(ratios, f.cpu.Seconds()/s.cpu.Seconds())
	}
	b.StopTimer()
	if d := s.Stats().Dropped(); d > 0 {
		b.Fatalf("%d spans were dropped", d)
	}
	slices.Sort(ratios)
	n := float64(len(ratios) * floorChunk)
	b.ReportMetric(n/bare.cpu.Seconds()/1e3, "file-kspans/cpu-s")
	b.ReportMetric(n/store.cpu.Seconds()/1e3, "store-kspans/cpu-s")
	b.ReportMetric(ratios[len(ratios)/2], "store/file")
	b.ReportMetric(float64(file.bytes)/float64(file.spans), "file-B/span")
	b.ReportMetric(float64(bare.mallocs)/n, "file-mallocs/span")
	b.ReportMetric(float64(store.mallocs)/n, "store-mallocs/span")
}

func floorStore(b *testing.B, s *Store, spans []sdktrace.ReadOnlySpan) {
	const batch = 512
	for at := 0; at < len(spans); at += batch {
		if err := s.ExportSpans(context.Background(), spans[at:at+batch]); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// floorFile is the append-only file.
type floorFile struct {
	s            *Store // for its codec and limits
	enc          *block.Encoder
	f            *os.File
	buf          []byte
	bytes, spans int64
}

func newFloor(b *testing.B) *floorFile {
	s := &Store{}
	var err error
	if s.layout, err = (&Options{MaxBytes: *floorRing}).layout(); err != nil {
		b.Fatal(err)
	}
	if s.codec, err = block.NewCodec(); err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "spans"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close(); s.codec.Close() })
	return &floorFile{s: s, enc: block.NewEncoder(s.layout.limits), f: f}
}

// write appends spans, a whole number of blocks, and makes them durable.
func (f *floorFile) write(b *testing.B, spans []sdktrace.ReadOnlySpan) {
	for n, blocks := 0, 0; n < len(spans); n += blockSpans {
		f.enc.Reset()
		for _, s := range spans[n : n+blockSpans] {
			f.enc.Add(s)
		}
		e := f.s.packBlock(uint64(n), f.enc, f.buf[:0])
		f.buf = e.data
		for _, part := range [][]byte{e.summary, e.data} {
			if _, err := f.f.Write(part); err != nil {
				b.Fatal(err)
			}
			f.bytes += int64(len(part))
		}
		if blocks++; blocks%commitBlocks == 0 || n+blockSpans == len(spans) {
			if err := unix.Fdatasync(int(f.f.Fd())); err != nil {
				b.Fatal(err)
			}
		}
	}
	f.spans += int64(len(spans))
}

type floorCost struct {
	cpu     time.Duration
	mallocs uint64
}

func (c floorCost) add(o floorCost) floorCost { return floorCost{c.cpu + o.cpu, c.mallocs + o.mallocs} }

func floorMeasure(f func()) floorCost {
	runtime.GC()
	before := floorSpent()
	f()
	after := floorSpent()
	return floorCost{after.cpu - before.cpu, after.mallocs - before.mallocs}
}

func floorSpent() floorCost {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return floorCost{time.Duration(u.Utime.Nano() + u.Stime.Nano()), m.Mallocs}
}

// floorInput returns one chunk of spans.
func floorInput(b *testing.B) (spans []sdktrace.ReadOnlySpan) {
	if *floorSpans != "" {
		spans = storedSpans(b, *floorSpans)
	} else {
		g := spangen.New(1)
		for len(spans) < floorChunk {
			for _, s := range g.Request(time.Unix(1_700_000_000, int64(len(spans))*1e6), 5) {
				spans = append(spans, s.Snapshot())
			}
		}
	}
	if len(spans) < floorChunk {
		b.Fatalf("got %d spans; want %d", len(spans), floorChunk)
	}
	return spans[:floorChunk]
}

// storedSpans returns the spans of a store as an exporter would have got them:
// made by the SDK, trace by trace, each in the order of their ends, the texts that
// a program has once there once.
func storedSpans(b *testing.B, dir string) []sdktrace.ReadOnlySpan {
	s, err := Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var list []Summary
	for q := (Query{Limit: 10_000}); ; {
		p, err := s.Traces(context.Background(), q)
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, p.Traces...)
		if q.Cursor = p.Cursor; q.Cursor == "" {
			break
		}
	}
	slices.Reverse(list) // oldest first
	m := &remaker{texts: map[string]string{}, tracers: map[instrumentation.Scope]trace.Tracer{}}
	for _, summary := range list {
		t, err := s.Trace(context.Background(), summary.TraceID)
		if err != nil {
			b.Fatal(err)
		}
		m.trace(b, t.Spans)
	}
	return m.made
}

// remaker makes stored spans anew, with the real SDK.
type remaker struct {
	texts   map[string]string
	tracers map[instrumentation.Scope]trace.Tracer
	res     *resource.Resource // of all
	tp      *sdktrace.TracerProvider
	next    *Span // the one that is being started
	made    []sdktrace.ReadOnlySpan
}

// trace makes a trace of this process: parents come before their children.
func (m *remaker) trace(b *testing.B, spans []Span) {
	open := map[trace.SpanID]trace.Span{}
	for i := range spans {
		s := &spans[i]
		if len(s.Events)+len(s.Links) > 0 || m.res != nil && !s.Resource.Equal(m.res) {
			b.Fatal("spans with events, links or different resources are not made anew")
		}
		ctx := context.Background()
		if p, ok := open[s.Parent.SpanID()]; ok {
			ctx = trace.ContextWithSpan(ctx, p)
		}
		kvs := make([]attribute.KeyValue, len(s.Attributes))
		for k, kv := range s.Attributes {
			if kv.Value.Type() == attribute.STRING {
				kv.Value = attribute.StringValue(m.text(kv.Value.AsString()))
			}
			kvs[k] = attribute.KeyValue{Key: attribute.Key(m.text(string(kv.Key))), Value: kv.Value}
		}
		m.next = s
		_, span := m.tracer(s).Start(ctx, m.text(s.Name), trace.WithSpanKind(s.Kind), trace.WithTimestamp(s.Start), trace.WithAttributes(kvs...))
		span.SetStatus(s.Status.Code, m.text(s.Status.Description))
		open[s.SpanID()] = span
	}
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Compare(a.End.UnixNano(), b.End.UnixNano()) })
	for _, s := range spans {
		open[s.SpanID()].End(trace.WithTimestamp(s.End))
	}
}

func (m *remaker) text(s string) string {
	if known, ok := m.texts[s]; ok {
		return known
	}
	m.texts[s] = s
	return s
}

func (m *remaker) tracer(s *Span) trace.Tracer {
	if m.res == nil {
		m.res = s.Resource
		m.tp = sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(m), sdktrace.WithSpanProcessor(m), sdktrace.WithResource(m.res))
	}
	t, ok := m.tracers[s.Scope]
	if !ok {
		t = m.tp.Tracer(s.Scope.Name, trace.WithInstrumentationVersion(s.Scope.Version), trace.WithSchemaURL(s.Scope.SchemaURL))
		m.tracers[s.Scope] = t
	}
	return t
}

func (m *remaker) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return m.next.TraceID(), m.next.SpanID()
}
func (m *remaker) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return m.next.SpanID() }
func (m *remaker) OnStart(context.Context, sdktrace.ReadWriteSpan)       {}
func (m *remaker) OnEnd(s sdktrace.ReadOnlySpan)                         { m.made = append(m.made, s) }
func (m *remaker) Shutdown(context.Context) error                        { return nil }
func (m *remaker) ForceFlush(context.Context) error                      { return nil }
