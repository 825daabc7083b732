package block_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/spanstore/internal/block"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random spans")

var limits = block.Limits{StringBytes: 64 << 10, SpanBytes: 256 << 10}

func newCodec(tb testing.TB) *block.Codec {
	c, err := block.NewCodec()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func encode(stubs []tracetest.SpanStub) *block.Encoder {
	e := block.NewEncoder(limits)
	for _, s := range stubs {
		e.Add(s.Snapshot())
	}
	return e
}

// read returns span i as a stub, to be compared with what went in.
func read(r *block.Reader, b *block.Spans, i int) tracetest.SpanStub {
	r.Seek(i)
	s := tracetest.SpanStub{
		Name: b.Name(i), SpanContext: r.SpanContext(), Parent: r.Parent(), SpanKind: r.Kind(), StartTime: r.Start(), EndTime: r.End(),
		Attributes: r.Attributes(), Events: r.Events(), Links: r.Links(), Status: r.Status(), ChildSpanCount: r.Children(),
		Resource: r.Resource(), InstrumentationScope: r.Scope(),
	}
	s.DroppedAttributes, s.DroppedEvents, s.DroppedLinks = r.Dropped()
	return s
}

func wild(g *spangen.Gen, n int) (stubs []tracetest.SpanStub) {
	for range n {
		s := g.Wild()
		if g.IntN(2) == 0 && len(stubs) > 0 { // a child of an earlier span, or its parent
			o := &stubs[g.IntN(len(stubs))]
			s.SpanContext = s.SpanContext.WithTraceID(o.SpanContext.TraceID())
			if g.IntN(2) == 0 {
				s.Parent = o.SpanContext
			} else {
				o.Parent = s.SpanContext
			}
		}
		stubs = append(stubs, s)
	}
	return stubs
}

func TestSpansComeBackEqual(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	c := newCodec(t)
	for _, n := range []int{0, 1, 7, 600} {
		stubs := wild(g, n)
		e := encode(stubs)
		for name, data := range map[string][]byte{
			"compressed": e.Encode(nil, c), "raw": e.Encode(nil, nil), "snapshot": e.Snapshot().Encode(nil, c),
		} {
			b, err := block.OpenSpans(data, c)
			if err != nil {
				t.Fatalf("%s of %d: %v", name, n, err)
			}
			if b.Len() != n {
				t.Fatalf("%s: got %d spans; want %d", name, b.Len(), n)
			}
			r, err := b.Reader()
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range stubs {
				if diff := spangen.Diff(read(r, b, i), want); diff != "" {
					t.Fatalf("%s: span %d of %d: %s", name, i, n, diff)
				}
			}
		}
	}
}

// A reader that takes only some spans must meet the same attributes as one that
// takes all: what lies between is skipped by shape.
func TestReaderSkips(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	stubs := wild(g, 300)
	b, err := block.OpenSpans(encode(stubs).Encode(nil, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r, err := b.Reader()
		if err != nil {
			t.Fatal(err)
		}
		for i := g.IntN(40); i < len(stubs); i += 1 + g.IntN(40) {
			if diff := spangen.Diff(read(r, b, i), stubs[i]); diff != "" {
				t.Fatalf("span %d: %s", i, diff)
			}
		}
	}
}

func TestEncoderIsReusable(t *testing.T) {
	g := spangen.New(7)
	e := encode(wild(g, 100))
	stubs := wild(g, 50)
	e.Reset()
	for _, s := range stubs {
		e.Add(s.Snapshot())
	}
	if got, want := e.Encode(nil, nil), encode(stubs).Encode(nil, nil); string(got) != string(want) {
		t.Error("an encoder that was reset makes another block than a new one")
	}
}

func TestSizeBoundsTheBlock(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := spangen.New(*seed)
	e := block.NewEncoder(limits)
	for _, s := range wild(g, 500) {
		e.Add(s.Snapshot())
		if e.Len()%50 == 0 {
			if got := len(e.Encode(nil, nil)); got > e.Size() {
				t.Fatalf("%d spans take %d bytes; Size says at most %d", e.Len(), got, e.Size())
			}
		}
	}
}

func TestLimits(t *testing.T) {
	long := make([]byte, 10_000)
	for i := range long {
		long[i] = "äöü"[i%6]
	}
	s := tracetest.SpanStub{Name: string(long), Attributes: []attribute.KeyValue{
		attribute.String("long", string(long)), attribute.Int64Slice("list", make([]int64, 2000)),
	}}
	for range 500 {
		s.Attributes = append(s.Attributes, attribute.String("k", "0123456789"))
	}
	e := block.NewEncoder(block.Limits{StringBytes: 1001, SpanBytes: 8000})
	e.Add(s.Snapshot())
	b, err := block.OpenSpans(e.Encode(nil, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Reader()
	if err != nil {
		t.Fatal(err)
	}
	got := read(r, b, 0)
	if got.Name != string(long[:1000]) {
		t.Errorf("the name has %d bytes; want 1000, cut between runes", len(got.Name))
	}
	if v := got.Attributes[1].Value.AsString(); v != "(INT64SLICE too long to keep)" {
		t.Errorf("got %q for a list that is too long", v)
	}
	if n := len(got.Attributes) + got.DroppedAttributes; n != len(s.Attributes) || got.DroppedAttributes == 0 {
		t.Errorf("%d attributes kept, %d dropped; want %d together", len(got.Attributes), got.DroppedAttributes, len(s.Attributes))
	}
	if e.Clipped() == 0 {
		t.Error("nothing was counted as clipped")
	}
}

func TestUsageComesBackEqual(t *testing.T) {
	g := spangen.New(3)
	want := &block.Usage{
		Windows: []block.Window{{Start: 100, Length: 50, Period: 10, Samples: 5, Labeled: 4, Process: 45, RootsOnly: true}, {Start: 150, Length: 9, Hole: "paused"}},
		Signals: []block.Signals{
			{Start: 90, Length: 10, Values: map[string]int64{"run_delay_ns": 5, "gcs": 0}},
			{Start: 100, Length: 10, Values: map[string]int64{}},
			{Start: 110, Length: 11, Values: map[string]int64{"run_delay_ns": math.MaxInt64, "runnable": -3}},
		},
		Frames: []block.Frame{{Func: "main.a", File: "a.go", Line: 3}, {Func: "main.b", File: "b.go", Line: 9}},
		Stacks: [][]uint32{{0, 1}, {1}, {}},
	}
	for range 20 {
		want.Records = append(want.Records, block.UsageRecord{TraceID: g.TraceID(), SpanID: g.SpanID(), Samples: 3, CPU: 30, LateSamples: 1,
			Stacks: []block.StackRef{{Stack: 2, Samples: 1}, {Stack: 0, Samples: 2}}})
	}
	c := newCodec(t)
	got, err := block.DecodeUsage(block.EncodeUsage(nil, c, want), c, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := spangen.Diff(got, want); diff != "" {
		t.Error(diff)
	}
	if least, greatest := got.Bounds(); least != 90 || greatest != 159 {
		t.Errorf("got bounds %d to %d; want 90 to 159: windows and signals", least, greatest)
	}
	some, err := block.DecodeUsage(block.EncodeUsage(nil, c, want), c, false)
	if err != nil || some.Signals != nil || some.Records[0].Stacks != nil || len(some.Windows) != 2 {
		t.Errorf("got %+v, %v; want records and windows alone", some, err)
	}
}

// What is more than a block takes is left out, and nothing else with it.
func TestSignalsAreBounded(t *testing.T) {
	u := &block.Usage{}
	for i := range block.MaxStretches + 5 {
		values := map[string]int64{"": 1, "nul\x00": 2}
		for n := range block.MaxSignals + 3 {
			values[fmt.Sprintf("signal %03d", n)] = int64(i * n)
		}
		u.Signals = append(u.Signals, block.Signals{Start: int64(i), Length: 1, Values: values})
	}
	got, err := block.DecodeUsage(block.EncodeUsage(nil, nil, u), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Signals) != block.MaxStretches || len(got.Signals[7].Values) != block.MaxSignals || got.Signals[7].Values["signal 003"] != 21 {
		t.Errorf("got %d stretches, %d values, %d; want %d, %d, 21", len(got.Signals), len(got.Signals[7].Values), got.Signals[7].Values["signal 003"], block.MaxStretches, block.MaxSignals)
	}
}

// Every single changed byte must be noticed.
func TestChecksumCoversEveryByte(t *testing.T) {
	c := newCodec(t)
	data := encode(wild(spangen.New(5), 20)).Encode(nil, c)
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 0x10
		if _, err := block.OpenSpans(bad, c); err == nil {
			t.Fatalf("byte %d of %d was changed unnoticed", i, len(data))
		} else if i > 4 && i < 32 && i != 5 && !errors.Is(err, block.ErrCorrupt) {
			t.Fatalf("byte %d: got %v; want ErrCorrupt", i, err)
		}
	}
}

// FuzzSpans gives the decoder blocks whose checksum holds but whose content may
// be anything: it must fail or read zeros, never panic or take all memory.
func FuzzSpans(f *testing.F) {
	for n := range 4 {
		f.Add(encode(wild(spangen.New(uint64(n)), 5*n)).Encode(nil, nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := block.OpenSpans(block.Reseal(data), nil)
		if err != nil {
			return
		}
		b.FindTrace(trace.TraceID{1})
		r, err := b.Reader()
		if err != nil {
			return
		}
		for i := range b.Len() {
			read(r, b, i)
		}
	})
}

func FuzzUsage(f *testing.F) {
	f.Add(block.EncodeUsage(nil, nil, &block.Usage{
		Windows: []block.Window{{Start: 1, Length: 2, Hole: "x"}}, Signals: []block.Signals{{Start: 1, Length: 1, Values: map[string]int64{"a": 1, "b": -1}}}, Frames: []block.Frame{{Func: "f"}}, Stacks: [][]uint32{{0}},
		Records: []block.UsageRecord{{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Stacks: []block.StackRef{{Stack: 0, Samples: 1}},
			Exact: &block.Exact{To: 9, Segments: []block.ExactSegment{{From: 1, To: 2, State: "cpu", Wait: 0}}, Waits: []block.ExactWait{{State: "cpu", Stack: 0, Waker: -1}}}}},
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = block.DecodeUsage(block.Reseal(data), nil, true)
	})
}
