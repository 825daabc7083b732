package export

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// spanArgs are what Perfetto shows of a span that is selected.
func spanArgs(n *stall.Node) map[string]any {
	s := n.Span
	args := attributeArgs(s.Attributes)
	args["span_id"], args["trace_id"], args["kind"] = s.SpanID().String(), s.TraceID().String(), s.Kind.String()
	args["self_ms"] = ms(n.Self)
	if s.Status.Code != codes.Unset {
		args["status"] = strings.TrimSpace(s.Status.Code.String() + " " + s.Status.Description)
	}
	if n.CPU.Evidence != stall.None {
		args["cpu_ms"], args["cpu_evidence"] = ms(n.CPU.Value), string(n.CPU.Evidence)
		for _, st := range n.States {
			args["state."+string(st.State)+"_ms"] = ms(st.Time)
		}
	}
	return args
}

// stateArgs say of a state what was waited for, and where.
func stateArgs(n *stall.Node, s stall.Stretch) map[string]any {
	args := map[string]any{}
	if s.Stolen > 0 {
		args["stolen_ms"] = ms(s.Stolen)
	}
	if s.Wait < 0 || s.Wait >= len(n.Usage.Exact.Waits) {
		return args
	}
	w := &n.Usage.Exact.Waits[s.Wait]
	if len(w.Stack) > 0 {
		args["stack"] = functions(w.Stack)
	}
	if len(w.Waker) > 0 {
		args["woken_by"] = functions(w.Waker)
	}
	if w.WakerSpan.IsValid() {
		args["woken_by_span"] = w.WakerSpan.String()
	}
	return args
}

// functions are at most sixteen, leaf first.
func functions(frames []spanstore.Frame) string {
	const most = 16
	var list []string
	for _, f := range frames[:min(len(frames), most)] {
		list = append(list, f.Func)
	}
	return strings.Join(list, " ← ")
}

// attributeArgs prefixes attributes, so that they cannot hide what is ours.
func attributeArgs(kvs []attribute.KeyValue) map[string]any {
	args := make(map[string]any, len(kvs)+8)
	for _, kv := range kvs {
		args["attributes."+string(kv.Key)] = tagOf(kv).Value
	}
	return args
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
