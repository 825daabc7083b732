package httpui

import (
	"fmt"
	"strings"
)

// storeJSON is a line about the store's own health.
type storeJSON struct {
	Open         bool   `json:"open"` // false for a nil store
	InMemory     bool   `json:"in_memory"`
	Spans        int64  `json:"spans"`
	Bytes        int64  `json:"bytes"`
	MaxBytes     int64  `json:"max_bytes"`
	EvictedSpans int64  `json:"evicted_spans"`
	Dropped      int64  `json:"dropped"`
	LastError    string `json:"last_error"`
}

func (h *handler) health() storeJSON {
	if h.store == nil {
		return storeJSON{}
	}
	s := h.store.Stats()
	return storeJSON{
		Open:         true,
		InMemory:     s.Dir == "",
		Spans:        s.Spans,
		Bytes:        s.Bytes,
		MaxBytes:     s.MaxBytes,
		EvictedSpans: s.EvictedSpans,
		Dropped:      s.Dropped(),
		LastError:    s.LastError,
	}
}

// line is the health as text.
func (s storeJSON) line() string {
	if !s.Open {
		return "no store"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "store %s, %s of %s", plural(int(s.Spans), "span", "spans"), mebibytes(s.Bytes), mebibytes(s.MaxBytes))
	if s.InMemory {
		b.WriteString(" in memory")
	}
	if s.Dropped > 0 {
		fmt.Fprintf(&b, ", %d dropped", s.Dropped)
	}
	if s.LastError != "" {
		b.WriteString(", last commit failed: " + escape(s.LastError))
	}
	return b.String()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// nothing says why a list is empty and what to do about it.
func (s storeJSON) nothing(filtered bool) string {
	switch {
	case !s.Open:
		return "There is no span store: spanstore.Open failed, or OTEL_SDK_DISABLED is true. The error that Open returned says why."
	case filtered:
		return "No trace matches."
	}
	return "No traces yet. Spans appear here when they end, if the tracer provider has the store's processor:\n" +
		"sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor()))"
}
