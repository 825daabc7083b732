package profiler

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/google/pprof/profile"
)

// recording is one run of the process's CPU profile, at the 100 Hz that
// runtime/pprof fixes. Higher rates would lie: with a kernel at HZ=250, 500 Hz
// yields 0.49 and 1000 Hz 0.26 of the samples it should.
type recording struct {
	start, end time.Time

	// process is the CPU time that the process used between start and end.
	process time.Duration

	// sampled is the part of process that threads used whose CPU time makes
	// samples; 0 when that is not known.
	sampled time.Duration

	// threads are the threads' clocks at start.
	threads threadTimes

	// generation is that of the registry: spans that ended in an earlier one
	// were over when the recording began.
	generation uint32

	// rootsOnly says that only local roots were labelled in a part of it.
	rootsOnly bool

	// over is closed when the profile is written. Until we stop it that means
	// that somebody else did, with a pprof.StopCPUProfile that was not his.
	over chan struct{}

	// foreign says that somebody else ended it; known once stop has returned.
	foreign bool

	mu    sync.Mutex // guards buf and wrote
	buf   bytes.Buffer
	wrote bool
}

// startRecording takes the process's CPU profile. It fails when somebody else
// has it.
func startRecording(generation uint32) (*recording, error) {
	r := &recording{generation: generation, over: make(chan struct{})}
	if err := pprof.StartCPUProfile(r); err != nil {
		return nil, fmt.Errorf("start CPU profile: %w", err)
	}
	r.start, r.process = time.Now(), processCPU() // stop makes it a difference
	r.threads = readThreads()
	return r, nil
}

// Write takes the profile from runtime/pprof, which writes when it is over.
func (r *recording) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.wrote {
		r.wrote = true
		close(r.over)
	}
	return r.buf.Write(b)
}

// stop frees the CPU profile. The clocks are read first: sampling ends at the
// very beginning of StopCPUProfile, the rest is writing.
func (r *recording) stop() {
	unsampled, known := r.threads.unsampled()
	r.end, r.process = time.Now(), processCPU()-r.process
	if known {
		r.sampled = max(0, r.process-unsampled)
	}
	select {
	case <-r.over:
		r.sampled = 0    // of unknown length
		r.foreign = true // the profile that runs now, if any, is not ours to stop
	default:
		pprof.StopCPUProfile()
	}
}

// parse returns the profile of a recording that was stopped.
func (r *recording) parse() (*profile.Profile, error) {
	prof, err := r.decode()
	for try := 0; err != nil && r.foreign && try < 100; try++ {
		time.Sleep(10 * time.Millisecond) // its writing may still be going on
		prof, err = r.decode()
	}
	if err != nil {
		return nil, fmt.Errorf("parse CPU profile: %w", err)
	}
	if len(prof.SampleType) != 2 || prof.SampleType[0].Type != "samples" || prof.Period <= 0 {
		return nil, fmt.Errorf("parse CPU profile: unknown sample types in %d values, period %d", len(prof.SampleType), prof.Period)
	}
	return prof, nil
}

func (r *recording) decode() (*profile.Profile, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return profile.ParseData(r.buf.Bytes())
}
