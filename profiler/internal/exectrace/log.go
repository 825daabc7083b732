package exectrace

import (
	"context"
	"encoding/binary"
	"runtime/trace"
	"time"

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
// ended, whichever goroutine it is that says so; once each. While no trace is being taken
// both return at once; otherwise they take about 0.1 µs.
func LogStart(t oteltrace.TraceID, id oteltrace.SpanID) { logSpan('+', t, id) }
func LogEnd(t oteltrace.TraceID, id oteltrace.SpanID)   { logSpan('-', t, id) }

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
	if len(message) != 25 || message[0] != '+' && message[0] != '-' {
		return 0, t, id, false
	}
	copy(t[:], message[1:])
	copy(id[:], message[17:])
	return message[0], t, id, true
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
