package exectrace

import (
	"strings"

	"golang.org/x/exp/trace"

	"github.com/spanclock/spanclock/spanstore"
)

// State is what a span's goroutine did.
type State uint8

const (
	None     State = iota // nothing that belongs to the span
	CPU                   // it ran; see Segment.Stolen
	Runnable              // it waited for a processor in Go's run queue
	Lock                  // mutex, condition, wait group
	Chan                  // channel
	Select                // several channels
	Net                   // network poller
	Syscall               // it was in the kernel
	GCAssist              // it marked memory for the collector, or waited to
	STW                   // the world was stopped
	Sleep                 // time.Sleep
	Other                 // a reason that the trace does not name, or a new one
	NumStates
)

var stateNames = [NumStates]string{"none", "cpu", "runnable", "lock", "chan", "select", "net", "syscall", "gc_assist", "stw", "sleep", "other"}

// String returns the state's name in the JSON that programs rely on.
func (s State) String() string {
	if s < NumStates {
		return stateNames[s]
	}
	return stateNames[Other]
}

// blocked reports whether a goroutine in the state waits for something that
// another of the span's goroutines may be doing.
func (s State) blocked() bool { return s == Lock || s == Chan || s == Select || s == Other }

// waitStates maps the runtime's reasons (runtime/traceruntime.go) to states.
var waitStates = map[string]State{
	"network":                      Net,
	"select":                       Select,
	"sync.(*Cond).Wait":            Lock,
	"sync":                         Lock,
	"chan send":                    Chan,
	"chan receive":                 Chan,
	"forever":                      Chan, // a nil channel, or select {}
	"sleep":                        Sleep,
	"GC mark assist wait for work": GCAssist,
	"wait until GC ends":           GCAssist,
	"GC weak to strong wait":       GCAssist,
	"GC background sweeper wait":   GCAssist,
	"preempted":                    Runnable,
	"runtime.Gosched":              Runnable,
	"wait for debug call":          Other,
	"synctest":                     Other,
	"unspecified":                  Other,
	"system goroutine wait":        Other,
}

// stateOf is the state of a goroutine after a transition.
func stateOf(to trace.GoState, reason string) State {
	switch to {
	case trace.GoRunning:
		return CPU
	case trace.GoRunnable:
		return Runnable
	case trace.GoSyscall:
		return Syscall
	case trace.GoWaiting:
		if s, ok := waitStates[reason]; ok {
			return s
		}
		return Other
	}
	return None
}

// waitFuncs are the functions in which goroutines wait.
var waitFuncs = map[string]State{
	"internal/poll.runtime_pollWait":        Net,
	"runtime.netpollblock":                  Net,
	"runtime.selectgo":                      Select,
	"runtime.chanrecv":                      Chan,
	"runtime.chanrecv1":                     Chan,
	"runtime.chanrecv2":                     Chan,
	"runtime.chansend":                      Chan,
	"runtime.chansend1":                     Chan,
	"runtime.semacquire1":                   Lock,
	"sync.runtime_Semacquire":               Lock,
	"sync.runtime_SemacquireMutex":          Lock,
	"internal/sync.runtime_SemacquireMutex": Lock,
	"sync.runtime_notifyListWait":           Lock,
	"time.Sleep":                            Sleep,
}

// stateAt is the state of a goroutine that waits in a stack.
func stateAt(stack []spanstore.Frame) State {
	for _, f := range stack[:min(6, len(stack))] {
		if s, ok := waitFuncs[f.Func]; ok {
			return s
		}
	}
	return Other
}

// inMutex reports whether a stack waits for a mutex: what the holder does is what is
// waited for then, whatever other goroutines of the span do.
func inMutex(stack []spanstore.Frame) bool {
	for _, f := range stack[:min(6, len(stack))] {
		if strings.HasPrefix(f.Func, "sync.(*Mutex).") || strings.HasPrefix(f.Func, "sync.(*RWMutex).") {
			return true
		}
	}
	return false
}

// helping is the order in which the states of a span's other goroutines count
// while its own is blocked. One that is asleep, or blocked itself, does nothing
// that could be waited for.
var helping = [...]State{CPU, GCAssist, STW, Runnable, Syscall, Net}
