package signals

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// write makes the files of a system below a directory; absent ones are removed.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const mounts2 = "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

const mounts1 = "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
	"33 31 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
	"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"

func stat2(n, us int) string {
	return fmt.Sprintf("usage_usec 5\nnr_periods 9\nnr_throttled %d\nthrottled_usec %d\n", n, us)
}

func stat1(n, ns int) string {
	return fmt.Sprintf("nr_periods 9\nnr_throttled %d\nthrottled_time %d\n", n, ns)
}

func psi(us int) string {
	return fmt.Sprintf("some avg10=1.50 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n", us)
}

// What changes between two readings is told, in nanoseconds, for both versions of
// control groups and all nested ones.
func TestControlGroups(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after map[string]string
		want          map[string]int64
	}{{
		name: "version 2, nested",
		before: map[string]string{
			"proc/self/cgroup": "0::/pod/app\n", "proc/self/mountinfo": mounts2,
			"sys/fs/cgroup/cpu.stat":         "usage_usec 5\n",
			"sys/fs/cgroup/pod/cpu.stat":     stat2(10, 1000),
			"sys/fs/cgroup/pod/app/cpu.stat": stat2(1, 50), "sys/fs/cgroup/pod/app/cpu.pressure": psi(100),
			"sys/fs/cgroup/pod/app/cgroup.events": "populated 1\n",
			"proc/pressure/cpu":                   psi(5),
		},
		after: map[string]string{
			"sys/fs/cgroup/pod/cpu.stat":     stat2(12, 3000),
			"sys/fs/cgroup/pod/app/cpu.stat": stat2(4, 90), "sys/fs/cgroup/pod/app/cpu.pressure": psi(350),
		},
		want: map[string]int64{ThrottledPeriods: 5, Throttled: 2_040_000, Pressure: 250_000},
	}, {
		name: "version 1 in a container, beside an empty version 2",
		before: map[string]string{
			"proc/self/cgroup": "9:memory:/docker/abc\n5:cpu,cpuacct:/docker/abc/x\n0::/\n", "proc/self/mountinfo": mounts1,
			"sys/fs/cgroup/cpu,cpuacct/x/cpu.stat": stat1(3, 700), "sys/fs/cgroup/cpu,cpuacct/cpu.stat": stat1(0, 0),
			"sys/fs/cgroup/unified/cpu.stat": "usage_usec 5\n", "sys/fs/cgroup/unified/cpu.pressure": psi(1),
		},
		after: map[string]string{
			"sys/fs/cgroup/cpu,cpuacct/x/cpu.stat": stat1(5, 1900), "sys/fs/cgroup/cpu,cpuacct/cpu.stat": stat1(1, 10),
			"sys/fs/cgroup/unified/cpu.pressure": psi(9),
		},
		want: map[string]int64{ThrottledPeriods: 3, Throttled: 1210}, // the pressure is the host's
	}, {
		name: "version 1 for CPU, pressure of a group of version 2",
		before: map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n0::/app\n", "proc/self/mountinfo": mounts1,
			"sys/fs/cgroup/unified/app/cgroup.events": "populated 1\n", "sys/fs/cgroup/unified/app/cpu.pressure": psi(1),
		},
		after: map[string]string{"sys/fs/cgroup/unified/app/cpu.pressure": psi(9)},
		want:  map[string]int64{Pressure: 8000},
	}, {
		name: "version 1 alone: the pressure of the host is not the group's",
		before: map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n", "proc/self/mountinfo": mounts1,
			"sys/fs/cgroup/cpu,cpuacct/cpu.stat": stat1(0, 0), "proc/pressure/cpu": psi(1),
		},
		after: map[string]string{"proc/pressure/cpu": psi(9)},
		want:  map[string]int64{ThrottledPeriods: 0, Throttled: 0},
	}, {
		name: "version 1, in the root",
		before: map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/\n", "proc/self/mountinfo": strings.Replace(mounts1, "/docker/abc", "/", 1),
			"sys/fs/cgroup/cpu,cpuacct/release_agent": "", "proc/pressure/cpu": psi(1),
		},
		after: map[string]string{"proc/pressure/cpu": psi(9)},
		want:  map[string]int64{Pressure: 8000},
	}, {
		name: "a path that leads out of the mount",
		before: map[string]string{
			"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": mounts2, "sys/fs/cgroup/cpu.stat": stat2(1, 1),
		},
		after: map[string]string{"sys/fs/cgroup/cpu.stat": stat2(2, 2)},
		want:  map[string]int64{ThrottledPeriods: 1, Throttled: 1000},
	}, {
		name: "steal, and counters that begin anew",
		before: map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mounts2, "sys/fs/cgroup/cpu.stat": stat2(9, 900),
			"proc/stat": "cpu  1 2 3 4 5 6 7 20 0 0\ncpu0 1 2 3 4 5 6 7 20 0 0\n",
		},
		after: map[string]string{
			"sys/fs/cgroup/cpu.stat": stat2(2, 20), "proc/stat": "cpu  1 2 3 4 5 6 7 23 0 0\ncpu0 1 2 3 4 5 6 7 23 0 0\n",
		},
		want: map[string]int64{ThrottledPeriods: 0, Throttled: 0, Steal: 30_000_000},
	}, {
		name:   "no control groups",
		before: map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": "", "proc/stat": "cpu  1 2 3 4 5 6 7 0 0 0\n"},
		want:   map[string]int64{Steal: 0},
	}} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, c.before)
			r := open(root, time.Now())
			defer r.Close()
			write(t, root, c.after)
			_, values := r.Read(time.Now())
			for _, name := range []string{Throttled, ThrottledPeriods, Pressure, Steal, RunDelay} {
				got, known := values[name]
				want, wanted := c.want[name]
				if known != wanted || got != want {
					t.Errorf("%s: got %d, known %v; want %d, %v", name, got, known, want, wanted)
				}
			}
			if len(r.Missing()) == 0 {
				t.Error("got nothing missing; want what this system lacks to be named")
			}
		})
	}
}

// Threads come and go; those that stay keep their count.
func TestThreads(t *testing.T) {
	dir := t.TempDir()
	task := func(id string, delay int) map[string]string {
		return map[string]string{id + "/schedstat": fmt.Sprintf("12345 %d 7\n", delay)}
	}
	write(t, dir, task("100", 1000))
	write(t, dir, task("101", 50))
	th := newThreads(dir)
	defer th.close()
	read := func() int64 {
		t.Helper()
		into := map[string]int64{}
		th.read(into)
		v, ok := into[RunDelay]
		if !ok {
			t.Fatal("got no run delay")
		}
		return v
	}
	if got := read(); got != 0 {
		t.Errorf("the first reading: got %d; want 0", got)
	}
	write(t, dir, task("100", 1007))
	write(t, dir, task("102", 30)) // new: all of it is since the last reading
	if got := read(); got != 37 {
		t.Errorf("got %d; want 7 of the old thread and 30 of the new", got)
	}
	if err := os.RemoveAll(filepath.Join(dir, "101")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, task("102", 31))
	if got := read(); got != 1 || len(th.known) != 2 {
		t.Errorf("got %d of %d threads after one ended; want 1 of 2", got, len(th.known))
	}

	// Open files are bounded, what is read is not.
	for i := range 3 * maxHandles {
		write(t, dir, task(fmt.Sprint(1000+i), 0))
	}
	read()
	for i := range 3 * maxHandles {
		write(t, dir, task(fmt.Sprint(1000+i), 2))
	}
	if got := read(); got != 6*maxHandles {
		t.Errorf("got %d of %d threads; want 2 of each", got, 3*maxHandles)
	}
}

// Reading leaves no descriptor behind.
func TestNoHandleIsLost(t *testing.T) {
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(d)
	}
	before := count()
	r := Open()
	for range 20 {
		r.Read(time.Now())
	}
	r.Close()
	if after := count(); after > before+1 { // the poller may have been made meanwhile
		t.Errorf("got %d descriptors; want the %d from before", after, before)
	}
}

// The real kernel: a process that burns CPU with a quota is stopped, and one with
// more threads than CPUs waits.
func TestRealThrottling(t *testing.T) {
	if os.Getenv("SPANCLOCK_BURN") != "" {
		burnAndTell()
		return
	}
	dir, limit := cpuGroup(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestRealThrottling$")
	cmd.Env = append(os.Environ(), "SPANCLOCK_BURN=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
		t.Errorf("the child cannot be put into its group: %v", err)
	}
	stdin.Close() // go
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	var got map[string]int64
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if got[Throttled] <= 0 || got[ThrottledPeriods] <= 0 {
		t.Errorf("got %v with a quota of %s; want it throttled", got, limit)
	}
	if _, ok := got[RunDelay]; !ok {
		t.Errorf("got %v; want the run delay too", got)
	}
	t.Log(got)
}

// burnAndTell burns 400 ms on several threads and prints the figures.
func burnAndTell() {
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent has put us into the group
	r := Open()
	done := make(chan bool)
	for range 2 * runtime.NumCPU() {
		go func() {
			for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); {
			}
			done <- true
		}()
	}
	for range 2 * runtime.NumCPU() {
		<-done
	}
	_, values := r.Read(time.Now())
	b, _ := json.Marshal(values)
	fmt.Println(string(b))
}

// cpuGroup makes a control group with a quota of a fifth of a CPU, if that may be
// done here.
func cpuGroup(t *testing.T) (dir, limit string) {
	t.Helper()
	g, err := findGroups("/")
	if err != nil {
		t.Skip(err)
	}
	name := fmt.Sprintf("spanclock-test-%d", os.Getpid())
	for _, at := range g.cpu {
		dir := filepath.Join(at, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		for file, text := range map[string]string{"cpu.cfs_quota_us": "20000", "cpu.max": "20000 100000"} {
			path := filepath.Join(dir, file)
			if _, err := os.Stat(path); err == nil && os.WriteFile(path, []byte(text), 0) == nil {
				return dir, file + " " + text
			}
		}
	}
	t.Skip("control groups with a CPU quota cannot be made here (needs root)")
	return "", ""
}

// On this system the figures that it has must be found.
func TestThisSystem(t *testing.T) {
	r := Open()
	defer r.Close()
	want := []string{CPU, Steal}
	if _, err := os.Stat("/proc/thread-self/schedstat"); err == nil {
		want = append(want, RunDelay)
	}
	for _, name := range want {
		if !slices.Contains(r.Known(), name) {
			t.Errorf("got %v; want %s too; missing: %q", r.Known(), name, r.Missing())
		}
	}
	t.Logf("known %v, missing %q", r.Known(), r.Missing())
}
