package block

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// ended returns spans as a processor gets them from the SDK.
func ended(t *testing.T) []sdktrace.ReadOnlySpan {
	t.Helper()
	r := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r))
	tr := tp.Tracer("scope", trace.WithInstrumentationVersion("1.2"))
	ctx, root := tr.Start(context.Background(), "root", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("k", "v"), attribute.Int("n", 7)),
		trace.WithLinks(trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})}))
	for range 2 * warmSpans {
		_, s := tr.Start(ctx, "child", trace.WithTimestamp(time.Unix(5, 0)))
		s.RecordError(errors.New("no"), trace.WithTimestamp(time.Unix(6, 0)))
		s.SetStatus(codes.Error, "it failed")
		s.End(trace.WithTimestamp(time.Unix(7, 0)))
	}
	root.End()
	if err := tp.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r.Ended()
}

// asked hides the type of a span.
type asked struct{ sdktrace.ReadOnlySpan }

// TestFieldsOfSDK: the SDK's own spans are read in place. When this fails with a
// new SDK all is still stored right, but fields should follow its snapshot.
func TestFieldsOfSDK(t *testing.T) {
	for _, s := range ended(t) {
		if !isMirror(reflect.TypeOf(s)) {
			t.Fatalf("%T is not laid out as fields is", s)
		}
	}
}

// TestFieldsBothWays: read in place or asked for, the block is the same.
func TestFieldsBothWays(t *testing.T) {
	spans := ended(t)
	direct, through := NewEncoder(Limits{1 << 10, 1 << 16}), NewEncoder(Limits{1 << 10, 1 << 16})
	direct.Warm(spans)
	for _, s := range spans {
		if !direct.Add(s) || !through.Add(asked{s}) {
			t.Fatal("a span was refused")
		}
	}
	if through.fields.mirror != nil || direct.fields.other != nil {
		t.Error("both went the same way")
	}
	if !bytes.Equal(direct.Encode(nil, nil), through.Encode(nil, nil)) {
		t.Error("the blocks differ")
	}
}

// TestFieldsNil: nothing, and pointers to nothing, are no spans, and no harm.
func TestFieldsNil(t *testing.T) {
	real := ended(t)[0]
	null, _ := reflect.Zero(reflect.TypeOf(real)).Interface().(sdktrace.ReadOnlySpan)
	e := NewEncoder(Limits{1 << 10, 1 << 16})
	for _, s := range []sdktrace.ReadOnlySpan{nil, null, real, null, asked{}, nil} {
		e.Warm([]sdktrace.ReadOnlySpan{s, real, s})
		if got, want := e.Add(s), s == real; got != want {
			t.Errorf("Add(%T %v) = %v; want %v", s, s == nil, got, want)
		}
	}
	if e.Len() != 1 {
		t.Errorf("got %d spans; want 1", e.Len())
	}
}

// TestMirrorOfOthers: a type that only looks alike is not read in place.
func TestMirrorOfOthers(t *testing.T) {
	for _, v := range []any{fields{}, &fields{}, 1, asked{}, &asked{}, tracetest.SpanStub{}.Snapshot()} {
		if isMirror(reflect.TypeOf(v)) {
			t.Errorf("%T is taken for the SDK's snapshot", v)
		}
	}
}
