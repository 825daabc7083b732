package profiler

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

// spanKey is the one label that a span puts on its goroutine. It holds the
// span id in hex, never a name or an URL: from Go 1.27 on tracebacks print
// goroutine labels. Pyroscope, Grafana and the OpenTelemetry eBPF profiler
// read the same key.
const spanKey = "span_id"

// ownKey labels the profiler's own goroutines, so that what they burn is not
// taken for anybody's span.
const ownKey = "spanclock"

// labelCtx is a set of goroutine labels in the only form in which runtime/pprof
// takes one: a context. It carries nothing else, so it keeps nothing alive.
type labelCtx struct {
	// v is what runtime/pprof keeps in a context, opaque here; nil for no
	// labels. Two sets are the same when their v are equal.
	v any
}

func (c *labelCtx) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *labelCtx) Done() <-chan struct{}       { return nil }
func (c *labelCtx) Err() error                  { return nil }

func (c *labelCtx) Value(key any) any {
	if key == labelKey {
		return c.v
	}
	return nil
}

// labelKey is the key under which runtime/pprof keeps labels in a context. It
// is learned once, before the first frame is made, and only read afterwards.
var labelKey any

// keyProbe is a context that notes the key it is asked for.
type keyProbe struct {
	context.Context
	key any
}

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

// learnLabels finds out how this Go version keeps goroutine labels, and reports
// whether the labels of the running goroutine can be read. It fails when
// runtime/pprof no longer keeps labels in the context's values.
var learnLabels = sync.OnceValues(func() (readable bool, err error) {
	probe := &keyProbe{Context: context.Background()}
	pprof.Label(probe, spanKey)
	sample := pprof.WithLabels(context.Background(), pprof.Labels(ownKey, "probe"))
	if probe.key == nil || sample.Value(probe.key) == nil {
		return false, fmt.Errorf("%w (%s)", errLabels, runtime.Version())
	}
	labelKey = probe.key

	// What the getter returns must be what was set, or it is not used at all.
	// The trial runs on a goroutine of its own, which takes its labels along.
	verdict := make(chan bool)
	go func() {
		pprof.SetGoroutineLabels(sample)
		verdict <- prepareGoroutineLabels(sample.Value(labelKey))
	}()
	return <-verdict, nil
})

var errLabels = errors.New("this Go version keeps goroutine labels in a way that is not understood; a newer spanclock may")

// bareLabels returns a context with the span label and nothing else.
func bareLabels(span spanKey64) context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels(spanKey, span.hex()))
}

// withSpan returns labels and the span label, which replaces one that is there.
func withSpan(labels any, span spanKey64) context.Context {
	return pprof.WithLabels(&labelCtx{labels}, pprof.Labels(spanKey, span.hex()))
}

// withoutSpan returns labels without the span label; nil when none is left.
func withoutSpan(labels any) any {
	var rest []string
	pprof.ForLabels(&labelCtx{labels}, func(key, value string) bool {
		if key != spanKey {
			rest = append(rest, key, value)
		}
		return true
	})
	if len(rest) == 0 {
		return nil
	}
	return pprof.WithLabels(context.Background(), pprof.Labels(rest...)).Value(labelKey)
}

// spanOf returns the span that labels name.
func spanOf(labels any) (spanKey64, bool) {
	if labels == nil {
		return 0, false
	}
	hex, ok := pprof.Label(&labelCtx{labels}, spanKey)
	if !ok {
		return 0, false
	}
	return parseKey(hex)
}
