package e2e

import (
	"encoding/json"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// mainThread is what the main thread of a page did, from the browser's own
// tracing: a clock of CPU time, which other processes on the machine do not move.
type mainThread struct {
	tasks []task             // in order
	marks map[string]float64 // performance.mark: when, µs
}

// task is one task of the main thread, µs.
type task struct{ at, length, cpu float64 }

// traceEvent is what is read of an event of the browser's tracing.
type traceEvent struct {
	Name string  `json:"name"`
	Cat  string  `json:"cat"`
	Ph   string  `json:"ph"`
	Pid  int64   `json:"pid"`
	Tid  int64   `json:"tid"`
	TS   float64 `json:"ts"`
	Dur  float64 `json:"dur"`
	TDur float64 `json:"tdur"`
}

// traceMain records what the main thread does during act, which must make at
// least one mark.
func traceMain(p *tab, act func()) mainThread {
	p.t.Helper()
	var mu sync.Mutex
	var events []traceEvent
	done := make(chan struct{})
	listening := true
	err := chromedp.Listen(p.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		if !listening {
			return
		}
		switch e := event.(type) {
		case *tracing.EventDataCollected:
			for _, raw := range e.Value {
				var t traceEvent
				if json.Unmarshal(raw, &t) == nil {
					events = append(events, t)
				}
			}
		case *tracing.EventTracingComplete:
			listening = false
			close(done)
		}
	})
	if err != nil {
		p.t.Fatal(err)
	}
	send(p, tracing.Start, tracing.StartParams{TraceConfig: &tracing.TraceConfig{IncludedCategories: []string{"toplevel", "blink.user_timing"}, ExcludedCategories: []string{"*"}}})
	act()
	send(p, tracing.End, cdp.Empty{})
	<-done
	mu.Lock()
	defer mu.Unlock()
	return mainOf(events)
}

// mainOf picks the thread that made the marks.
func mainOf(events []traceEvent) mainThread {
	m := mainThread{marks: map[string]float64{}}
	var pid, tid int64
	for _, e := range events {
		if len(e.Name) > 3 && e.Name[:3] == "at:" {
			m.marks[e.Name[3:]] = e.TS
			pid, tid = e.Pid, e.Tid
		}
	}
	for _, e := range events {
		if e.Pid == pid && e.Tid == tid && e.Ph == "X" && e.Name == "ThreadControllerImpl::RunTask" {
			m.tasks = append(m.tasks, task{e.TS, e.Dur, e.TDur})
		}
	}
	return m
}

// cpu is the CPU time of the tasks between two marks, ms; a task that a mark is in
// counts in proportion.
func (m mainThread) cpu(from, to float64) (sum float64) {
	for _, t := range m.tasks {
		a, b := max(t.at, from), min(t.at+t.length, to)
		if b > a && t.length > 0 {
			sum += t.cpu * (b - a) / t.length
		}
	}
	return sum / 1000
}

// blocked is how long the tasks before a moment kept the page from answering, if
// all of them took factor times as long: what each has beyond 50 ms.
func (m mainThread) blocked(to, factor float64) (sum float64) {
	for _, t := range m.tasks {
		if t.at < to {
			sum += max(0, t.cpu/1000*factor-50)
		}
	}
	return sum
}
