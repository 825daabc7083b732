package exectrace

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/trace"
	"strings"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// ReadEvery is how often the threads' clocks should be read while a trace is
// being taken: twice per time slice that Linux gives a busy thread beside others.
const ReadEvery = 20 * time.Millisecond

// The categories of what is logged. They are short, as each event repeats none
// of it but the message.
const (
	categorySpan  = "spanclock.span"
	categoryClock = "spanclock.clock"
)

// LogStart notes that a span has started on this goroutine, LogEnd that one has
// ended after so long, whichever goroutine it is that says so; once each. While no
// trace is being taken both return at once; otherwise each takes about 0.2 µs.
//
// Of a short span LogEnd writes nothing where the SDK does: see Learn.
func LogStart(t oteltrace.TraceID, id oteltrace.SpanID) {
	what := byte(spanStart)
	if tasked.Load() {
		what = spanStartTask
	}
	logSpan(what, t, id)
}

func LogEnd(t oteltrace.TraceID, id oteltrace.SpanID, lasted time.Duration) {
	if lasted >= longSpan || !tasked.Load() {
		logSpan(spanEnd, t, id)
	}
}

// What is logged of spans. After spanStartTask the span's task follows on the goroutine.
const (
	spanStart     = '+'
	spanStartTask = '*'
	spanEnd       = '-'
)

// longSpan is from when on the end of a span is logged in any case: it costs a
// thousandth of such a span at most. A longer one may have begun before the trace,
// where its id is; of shorter ones that is one in a thousand, as a trace
// reaches back for a second.
const longSpan = time.Millisecond

// tasked says that the SDK starts a task after LogStart and ends it before LogEnd.
var tasked atomic.Bool

// Learn finds out, while a trace is being taken, whether the SDK starts a task for
// each span, as those of version 1 do: the context that it returns then says so.
// Until that is known the end of each span is logged.
func Learn() {
	if tasked.Load() {
		return
	}
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample())).Tracer("").Start(context.Background(), "spanclock")
	defer span.End()
	tasked.Store(strings.Contains(fmt.Sprint(ctx), "trace.traceContextKey"))
}

func logSpan(what byte, t oteltrace.TraceID, id oteltrace.SpanID) {
	if !trace.IsEnabled() {
		return
	}
	var b [25]byte
	b[0] = what
	copy(b[1:], t[:])
	copy(b[17:], id[:])
	trace.Log(context.Background(), categorySpan, string(b[:]))
}

// parseSpan is the inverse of logSpan.
func parseSpan(message string) (what byte, t oteltrace.TraceID, id oteltrace.SpanID, ok bool) {
	if len(message) != 25 {
		return 0, t, id, false
	}
	copy(t[:], message[1:])
	copy(id[:], message[17:])
	what = message[0]
	return what, t, id, what == spanStart || what == spanStartTask || what == spanEnd
}

// reading is one thread's clock.
type reading struct {
	thread int64 // the kernel's id
	cpu    int64 // nanoseconds on CPU since it was started
}

// logClocks notes the threads' clocks, read since logClocksBefore was called.
func logClocks(rs []reading) {
	b := make([]byte, 0, 12*len(rs))
	for _, r := range rs {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.thread)), uint64(r.cpu))
	}
	trace.Log(context.Background(), categoryClock, "="+string(b))
}

// logClocksBefore stamps the moment before the clocks are read.
func logClocksBefore() { trace.Log(context.Background(), categoryClock, "<") }

// parseClocks is the inverse of logClocks; it returns what it understands.
func parseClocks(message string) (rs []reading) {
	if message == "" || message[0] != '=' {
		return nil
	}
	for b := []byte(message[1:]); len(b) > 0; {
		thread, n := binary.Uvarint(b)
		if n <= 0 {
			break
		}
		cpu, k := binary.Uvarint(b[n:])
		if k <= 0 {
			break
		}
		rs, b = append(rs, reading{int64(thread), int64(cpu)}), b[n+k:]
	}
	return rs
}
