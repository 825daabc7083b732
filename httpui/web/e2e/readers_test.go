package e2e

import (
	"os"
	"os/exec"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestCollectorReadsOTLP gives a file to the decoder of OpenTelemetry's collector, and what
// that writes back to the command.
func TestCollectorReadsOTLP(t *testing.T) {
	spanclock, file := buildCommand(t), writeTrace(t)
	exported := file + ".exported"
	if out, err := exec.Command(spanclock, "export", file, "-o", exported).CombinedOutput(); err != nil {
		t.Fatalf("spanclock export: %v\n%s", err, out)
	}
	b, err := os.ReadFile(exported)
	if err != nil {
		t.Fatal(err)
	}
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(b)
	if err != nil || traces.SpanCount() != len(nasty)+1 {
		t.Fatalf("the collector reads %d spans, %v; want %d", traces.SpanCount(), err, len(nasty)+1)
	}
	span := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	if span.Name() != "POST /login" || span.Kind() != ptrace.SpanKindClient || span.Status().Code() != ptrace.StatusCodeError || span.Events().Len() != 1 || span.Links().Len() != 1 {
		t.Errorf("got %s, %v, %v", span.Name(), span.Kind(), span.Status().Code())
	}
	back, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, back, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := exec.Command(spanclock, "ls", file, "-json").Output()
	if err != nil {
		t.Fatalf("spanclock ls: %v", err)
	}
	if want, err := exec.Command(spanclock, "ls", exported, "-json").Output(); err != nil || string(again) != string(want) {
		t.Errorf("got %s, %v; want %s", again, err, want)
	}
}
