package profiler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/google/pprof/profile"
)

const (
	// maxProfile bounds what a request may collect: with span labels nearly
	// every sample is an entry of its own, 100 a second and busy CPU.
	maxProfile = 5 * time.Minute

	// maxTaps is how many requests may collect at the same time.
	maxTaps = 8
)

// tap collects the windows that begin while a request wants them.
type tap struct {
	from time.Time
	prof *profile.Profile // nil until the first window
	err  error
}

// ProfileHandler serves CPU profiles in place of /debug/pprof/profile, which
// fails while the profiler holds the process's one CPU profile. It answers
// ?seconds=N (default 30, at most 300) with the windows that run in that time,
// for go tool pprof; a sample in a span has the labels span_id, trace_id,
// span_name, service and route (the name of its local root), as far as these are
// known: go tool pprof -tagfocus and -tagroot take them.
// The running window ends when the request comes and when its time is over, so
// that nothing else is in the profile.
//
// Where no window runs (paused, stopped, a nil *Profiler) it takes a profile of
// its own. The error that another CPU profile is running comes as a 503. Who
// may look is for the caller to decide: the handler asks nobody.
func (p *Profiler) ProfileHandler() http.Handler {
	return http.HandlerFunc(p.serveProfile)
}

func (p *Profiler) serveProfile(w http.ResponseWriter, r *http.Request) {
	d, err := duration(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var body bytes.Buffer
	if p.sampling() {
		err = p.collect(r.Context(), d, &body)
	} else {
		err = p.takeProfile(r.Context(), d, &body)
	}
	switch {
	case r.Context().Err() != nil: // nobody is there to read an answer
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err)
	default:
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="profile"`)
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body.Bytes())
	}
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("X-Go-Pprof", "1") // makes go tool pprof print the text
	http.Error(w, err.Error(), status)
}

// duration returns for how long r wants a profile.
func duration(r *http.Request) (time.Duration, error) {
	seconds := 30.0
	if v := r.URL.Query().Get("seconds"); v != "" {
		s, err := strconv.ParseFloat(v, 64)
		if err != nil || !(s > 0 && s <= maxProfile.Seconds()) {
			return 0, fmt.Errorf("seconds=%q: want a number above 0 and up to %v", v, maxProfile.Seconds())
		}
		seconds = s
	}
	d := time.Duration(seconds * float64(time.Second))
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.WriteTimeout > 0 && d >= srv.WriteTimeout {
		return 0, fmt.Errorf("a profile of %v cannot be answered within the server's WriteTimeout of %v; ask for fewer seconds", d, srv.WriteTimeout)
	}
	return d, nil
}

// sampling says that the process's CPU profile is the profiler's.
func (p *Profiler) sampling() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holding
}

var errNoWindow = errors.New("no CPU profile ran in that time: the profiler was paused or stopped, or another CPU profile was running")

// collect writes the merged profile of the windows that run for d from now on.
func (p *Profiler) collect(ctx context.Context, d time.Duration, w *bytes.Buffer) error {
	p.names.open()
	defer p.names.close()
	t := &tap{from: time.Now()}
	p.mu.Lock()
	if len(p.taps) >= maxTaps {
		p.mu.Unlock()
		return fmt.Errorf("%d CPU profiles are being collected already; try again later", maxTaps)
	}
	p.taps[t] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.taps, t)
		p.mu.Unlock()
	}()

	if err := p.cutNow(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.cutNow(ctx); err != nil {
		return err
	}

	p.mu.Lock()
	prof, err := t.prof, t.err
	delete(p.taps, t)
	p.mu.Unlock()
	switch {
	case err != nil:
		return fmt.Errorf("merge CPU profile windows: %w", err)
	case prof == nil:
		return errNoWindow
	}
	return prof.Write(w)
}

// cutNow ends the running window and waits until it is delivered.
func (p *Profiler) cutNow(ctx context.Context) error {
	p.mu.Lock()
	t := time.Now()
	p.cut = t
	p.mu.Unlock()
	p.wake()
	return p.await(ctx, func() bool { return p.idle || !p.settled.Before(t) })
}

// deliver hands the profile of a window to the requests that were there when it
// began. It is called on the sampler's goroutine.
func (p *Profiler) deliver(start time.Time, prof *profile.Profile, spans map[spanKey64]identity) {
	var want []*tap
	p.mu.Lock()
	for t := range p.taps {
		if t.err == nil && !start.Before(t.from) {
			want = append(want, t)
		}
	}
	p.mu.Unlock()
	if len(want) == 0 {
		return
	}

	p.putLabels(prof, spans)
	p.names.turn()
	for _, t := range want {
		parts := []*profile.Profile{prof}
		if t.prof != nil {
			parts = []*profile.Profile{t.prof, prof}
		}
		merged, err := profile.Merge(parts)
		p.mu.Lock()
		t.prof, t.err = merged, err
		p.mu.Unlock()
	}
}

// takeProfile takes a CPU profile as /debug/pprof/profile does. Spans are
// labelled in a pause too, so it gets their labels like any other.
func (p *Profiler) takeProfile(ctx context.Context, d time.Duration, w *bytes.Buffer) error {
	generation := uint32(0)
	if p != nil {
		p.names.open()
		defer p.names.close()
		generation = p.spans.generation.Load()
	}
	if err := recordProfile(ctx, d, w); err != nil || p == nil {
		return err
	}
	prof, err := profile.ParseData(w.Bytes())
	if err != nil {
		return nil // it is handed out as it is
	}
	spans := map[spanKey64]identity{}
	for _, s := range prof.Sample {
		if k, ok := parseKey(label(s, spanKey)); ok {
			spans[k] = identity{}
		}
	}
	p.spans.identify(spans, generation)
	p.putLabels(prof, spans)
	p.names.turn()
	w.Reset()
	return prof.Write(w)
}

func recordProfile(ctx context.Context, d time.Duration, w *bytes.Buffer) error {
	if err := pprof.StartCPUProfile(w); err != nil {
		return fmt.Errorf("take CPU profile: %w; the process has only one", err)
	}
	defer pprof.StopCPUProfile()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
