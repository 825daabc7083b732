package spantest

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flight is a span processor that knows which spans have not ended.
type flight struct {
	mu    sync.Mutex // guards the rest
	spans map[spanKey]sdktrace.ReadOnlySpan
	first map[trace.TraceID]int // in what order traces began
}

type spanKey struct {
	trace trace.TraceID
	span  trace.SpanID
}

func keyOf(s sdktrace.ReadOnlySpan) spanKey {
	return spanKey{s.SpanContext().TraceID(), s.SpanContext().SpanID()}
}

// OnStart is called by the SDK.
func (f *flight) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	k := keyOf(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spans == nil {
		f.spans, f.first = map[spanKey]sdktrace.ReadOnlySpan{}, map[trace.TraceID]int{}
	}
	f.spans[k] = s
	if _, known := f.first[k.trace]; !known {
		f.first[k.trace] = len(f.first) + 1
	}
}

// OnEnd is called by the SDK.
func (f *flight) OnEnd(s sdktrace.ReadOnlySpan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.spans, keyOf(s))
}

// Shutdown and ForceFlush have nothing to do.
func (f *flight) Shutdown(context.Context) error   { return nil }
func (f *flight) ForceFlush(context.Context) error { return nil }

// of names the running spans of a trace.
func (f *flight) of(id trace.TraceID) []string {
	return f.which(func(k spanKey) bool { return k.trace == id })
}

// names names all running spans.
func (f *flight) names() []string { return f.which(func(spanKey) bool { return true }) }

func (f *flight) which(is func(spanKey) bool) (names []string) {
	f.mu.Lock()
	var found []sdktrace.ReadOnlySpan
	for k, s := range f.spans {
		if is(k) {
			found = append(found, s)
		}
	}
	f.mu.Unlock()
	for _, s := range found { // with no lock: their names are behind locks of theirs
		names = append(names, s.Name())
	}
	slices.Sort(names)
	return names
}

// roots counts the running spans without a parent in this process.
func (f *flight) roots() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.spans {
		if p := s.Parent(); !p.SpanID().IsValid() || p.IsRemote() {
			n++
		}
	}
	return n
}

// order returns when a trace began, as a number; 0 for one that was not watched.
func (f *flight) order(id trace.TraceID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first[id]
}

// inBubble reports whether the caller runs inside a testing/synctest bubble, which
// only a goroutine's stack tells.
func inBubble() bool {
	var buf [256]byte
	head, _, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte("\n"))
	return bytes.Contains(head, []byte(", synctest bubble "))
}
