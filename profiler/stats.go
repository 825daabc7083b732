package profiler

import "time"

// Stats are the profiler's own figures. Counts are since Start.
type Stats struct {
	// Running says that a window is being taken, Paused that Pause was called.
	Running, Paused bool

	// State says in words what the profiler does: "running", "paused",
	// "another CPU profile was running", "stopped", or why it gave up. It is
	// "off" for a nil *Profiler.
	State string

	// CoveredUntil is the end of the last window that was stored, and before
	// there is one the start of the first: no samples from before it are still
	// to come. It is zero while none is running.
	CoveredUntil time.Time

	// Windows and Holes count what was stored of either.
	Windows, Holes int64

	// Samples counts all CPU samples; each stands for 10 ms of CPU time, and for
	// more where some were lost.
	// Labeled are those that were put to a span, Late those of a span that was
	// over, Unattributed those of a span that is not known (any more), and Own
	// those of the profiler itself and of the store. The rest ran outside of spans.
	Samples, Labeled, Late, Unattributed, Own int64

	// LiveSpans counts the spans in flight, DroppedSpans those that had to make
	// room for others, because they never ended or there were too many.
	LiveSpans    int
	DroppedSpans int64

	// Lost is the time between windows in which nothing was sampled, holes not
	// included.
	Lost time.Duration

	// Covered is the time that windows were running, Missed that of the holes.
	Covered, Missed time.Duration

	// AgedSpans counts those that had to go because of Options.MaxAge.
	AgedSpans int64

	// Governor says what the background work costs. What a span with a label
	// costs the request that it is in is apart from that: see the package's Cost.
	Governor GovernorStats

	// Exact says what the execution traces of slow requests gave.
	Exact ExactStats

	// Signals names what is in the series of signals on this system (see
	// SignalCPU), and MissingSignals says what is not, and why.
	Signals, MissingSignals []string

	// LabelsReadable says that goroutine labels can be read in this build, not
	// only set; see the package's caveats.
	LabelsReadable bool

	// Errors counts windows that could not be parsed or stored, Panics what was
	// caught in the profiler itself. LastError is the last of either.
	Errors, Panics int64
	LastError      string
}

// Stats returns the profiler's figures.
func (p *Profiler) Stats() Stats {
	if p == nil {
		return Stats{State: "off"}
	}
	live := p.spans.liveSpans()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Running, s.Paused = p.holding, p.paused
	if !s.Running {
		s.CoveredUntil = time.Time{}
	}
	s.LiveSpans, s.DroppedSpans, s.AgedSpans = live, p.spans.dropped.Load(), p.spans.aged.Load()
	s.Governor, s.Exact = p.governorStats(), p.exact.figures()
	s.Signals, s.MissingSignals = p.series.reader.Known(), p.series.reader.Missing()
	s.LabelsReadable = p.readable
	return s
}
