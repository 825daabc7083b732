package profiler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"

	"github.com/spanclock/spanclock/profiler/stall"
)

// The child process that TestStagedQuota starts knows by this variable that it is
// one, and which group to enter; the neighbours that they are.
const (
	starvedChild   = "SPANCLOCK_TEST_STARVED"
	busyNeighbours = "SPANCLOCK_TEST_NEIGHBOUR"
)

// starved is what the child found out about a request whose process got too little
// CPU time.
type starved struct {
	Kind, Span, Text string
	Wall, CPU, Truth time.Duration // of the span that computed
	Steal            time.Duration // on the critical path
	Findings         []string
}

// TestStagedQuota starves a process of CPU time, by a quota of 0.3 CPUs where a
// control group can be made, else by more busy processes than there are CPUs. The top
// finding names it, with the span that computed; what the spans show as on CPU agrees
// with the thread's own clock, and the rest is shown as taken by the kernel.
func TestStagedQuota(t *testing.T) {
	group, quota := quotaGroup(t)
	if !quota {
		neighbours(t, 3*runtime.NumCPU())
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStarvedChild$", "-test.v")
	cmd.Env = append(os.Environ(), starvedChild+"="+group+"!")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the starved process: %v\n%s", err, out)
	}
	_, after, _ := strings.Cut(string(out), "starved: ")
	line, _, _ := strings.Cut(after, "\n")
	var got starved
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	t.Logf("quota %v: %+v", quota, got)
	if got.Kind != stall.CPUWait || got.Span != "render" || !strings.Contains(got.Text, "kernel's") {
		t.Errorf("got %s of %s: %v; want %s of render, and the kernel's queue", got.Kind, got.Span, got.Findings, stall.CPUWait)
	}
	if got.CPU < got.Truth*7/10 || got.CPU > got.Truth*13/10 {
		t.Errorf("got %v on CPU; the thread's clock says %v", got.CPU, got.Truth)
	}
	if 10*got.Steal < 4*got.Wall {
		t.Errorf("got %v of %v taken by the kernel; want 40 %% at least", got.Steal, got.Wall)
	}
}

// quotaGroup makes a control group of 0.3 CPUs, of version 1 or 2.
func quotaGroup(t *testing.T) (procs string, ok bool) {
	name := fmt.Sprintf("spanclock-test-%d", os.Getpid())
	for _, g := range []struct{ root, quota, value string }{
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "30000"},
		{"/sys/fs/cgroup", "cpu.max", "30000 100000"},
	} {
		dir := filepath.Join(g.root, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		if _, err := os.Stat(filepath.Join(dir, g.quota)); err != nil {
			continue
		}
		if os.WriteFile(filepath.Join(dir, g.quota), []byte(g.value), 0o644) == nil {
			return filepath.Join(dir, "cgroup.procs"), true
		}
	}
	return "", false
}

// neighbours keeps n processes busy until the test ends.
func neighbours(t *testing.T, n int) {
	for range n {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNeighbour$")
		cmd.Env = append(os.Environ(), busyNeighbours+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// TestNeighbour is a busy process that TestStagedQuota starts, not a test.
func TestNeighbour(t *testing.T) {
	if os.Getenv(busyNeighbours) == "" {
		return
	}
	runtime.GOMAXPROCS(1)
	parent := os.Getppid()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end) && os.Getppid() == parent; {
		burnCPU(100 * time.Millisecond)
	}
}

// TestStarvedChild is the process that TestStagedQuota starves, not a test.
func TestStarvedChild(t *testing.T) {
	group, child := strings.CutSuffix(os.Getenv(starvedChild), "!")
	if !child {
		return
	}
	if group != "" {
		if err := os.WriteFile(group, []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			t.Fatal(err)
		}
	}
	s := &stage{newService(t, exactly), t}
	s.armed(t)
	var got starved
	for range 4 { // by chance a request may begin and end between two throttlings
		if got = s.starve(t); 10*got.Steal >= 4*got.Wall {
			break
		}
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("starved: %s\n", b)
}

// starve makes a request that computes, on a thread of its own whose clock is the
// truth.
func (s *stage) starve(t *testing.T) (got starved) {
	ctx, root := s.Start(context.Background(), "request", trace.WithSpanKind(trace.SpanKindServer))
	s.child(ctx, "SELECT x", trace.SpanKindClient, wait(5*time.Millisecond))
	s.child(ctx, "render", trace.SpanKindInternal, func(context.Context) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before := threadClock(t)
		compute(800 * time.Millisecond)
		got.Truth = threadClock(t) - before
	})
	root.End()
	ask, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.prof.Capture(ask, root.SpanContext().TraceID()); err != nil {
		t.Fatal(err)
	}
	a := stall.Analyze(s.trace(t, root))
	got.Wall, got.Findings = a.Wall, texts(a)
	for _, b := range a.Budget {
		if b.State == stall.StateSteal {
			got.Steal = b.Time
		}
	}
	for i := range a.Nodes {
		if n := &a.Nodes[i]; n.Span.Name == "render" {
			got.CPU = n.CPU.Value
		}
	}
	if len(a.Findings) > 0 {
		f := a.Findings[0]
		got.Kind, got.Span, got.Text = f.Kind, a.Nodes[f.Spans[0]].Span.Name, f.Text
	}
	return got
}

func threadClock(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
