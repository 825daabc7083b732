package httpui

import (
	"strings"

	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

// waits are the functions of the runtime and the standard library in which a
// goroutine stands that waits. A name that ends in a * is the beginning of one.
var waits = []struct {
	name  string
	state stall.State
}{
	{"runtime.netpollblock", stall.StateNet},
	{"internal/poll.runtime_pollWait", stall.StateNet},
	{"runtime.selectgo", stall.StateSelect},
	{"runtime.chanrecv*", stall.StateChan},
	{"runtime.chansend*", stall.StateChan},
	{"runtime.block", stall.StateChan},
	{"time.Sleep", stall.StateSleep},
	{"sync.runtime_Semacquire*", stall.StateLock},
	{"internal/sync.runtime_Semacquire*", stall.StateLock},
	{"sync.runtime_notifyListWait", stall.StateLock},
	{"runtime.gcAssist*", stall.StateGCAssist},
	{"runtime.gcParkAssist", stall.StateGCAssist},
	{"internal/runtime/syscall*", stall.StateSyscall},
	{"syscall.*", stall.StateSyscall},
	{"golang.org/x/sys/unix.*yscall*", stall.StateSyscall},
	{"runtime.cgocall", stall.StateSyscall},
}

// standing concludes from a stack, leaf first, what its goroutine does. One that
// is in none of the places where goroutines wait runs, or is ready to.
func standing(frames []spanstore.Frame) stall.State {
	for _, f := range frames {
		for _, w := range waits {
			if matchesWait(w.name, f.Func) {
				return w.state
			}
		}
		if !plumbing(f.Func) {
			break
		}
	}
	if len(frames) > 0 && frames[0].Func == "runtime.gopark" {
		return stall.StateOther
	}
	return stall.StateCPU
}

// matchesWait reports whether name is pattern, in which each * stands for anything.
func matchesWait(pattern, name string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return name == pattern
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	return strings.Contains(name[len(head):], strings.TrimSuffix(rest, "*"))
}

// plumbing reports whether a function is below what a wait is called by.
func plumbing(name string) bool {
	for _, p := range []string{"runtime.", "internal/", "sync.", "time.", "syscall."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
