// Package shared lets several stores have the process's one profiler: those of
// tests that run in parallel, and of benchmarks.
//
//	m, err := shared.Join(store, nil)
//	tp := m.Profiler().TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
//	...
//	m.Leave()
//
// The first who joins starts the profiler, the last who leaves stops it. What it
// measures goes to the store of every member: usage is kept under the id of its
// span, so what belongs to others is never seen there. A service has no use for
// this; it calls profiler.Start.
package shared

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/spanclock/spanclock/profiler"
	"github.com/spanclock/spanclock/spanstore"
)

// Options say what a member wants. Nil means none of it.
type Options struct {
	// Exact asks for exact states (profiler.ExactAuto). Members share a profiler,
	// so the first one decides; a later one that wants more than runs gets an error.
	Exact bool

	// OnUsage is given all that is measured while one is a member, of others too;
	// see profiler.Options.OnUsage.
	OnUsage func(spanstore.UsageBatch)
}

// Member is one who shares the profiler. A nil *Member has none.
type Member struct {
	store   *spanstore.Store
	onUsage func(spanstore.UsageBatch)
	prof    *profiler.Profiler
	left    sync.Once
	err     error
}

// hub is the profiler that members share, while there are any.
type hub struct {
	life  sync.Mutex // held while the profiler starts or stops; guards what follows
	prof  *profiler.Profiler
	store *spanstore.Store // where the profiler thinks that it puts what it measures
	exact bool

	mu      sync.Mutex // guards members; the profiler's goroutine takes it
	members map[*Member]bool
}

var process = hub{members: map[*Member]bool{}}

// Join makes store's owner a member. Store may be nil for who only wants OnUsage.
// It fails when somebody else's profiler runs in the process, as when the program
// that is tested starts its own.
func Join(store *spanstore.Store, o *Options) (*Member, error) {
	if o == nil {
		o = &Options{}
	}
	m, err := process.join(store, *o)
	if err != nil {
		return nil, fmt.Errorf("share the profiler: %w", err)
	}
	return m, nil
}

func (h *hub) join(store *spanstore.Store, o Options) (*Member, error) {
	h.life.Lock()
	defer h.life.Unlock()
	if h.prof == nil {
		if err := h.start(o.Exact); err != nil {
			return nil, err
		}
	}
	if o.Exact && !h.exact {
		return nil, errors.New("exact states were asked for, and the profiler that runs already was started without: do not run such tests in parallel with others")
	}
	m := &Member{store: store, onUsage: o.OnUsage, prof: h.prof}
	h.mu.Lock()
	h.members[m] = true
	h.mu.Unlock()
	return m, nil
}

// start starts the profiler. Windows may be short, as tests are; it never does less
// because of what it costs; and a benchmark may end twice as many spans in a window
// as fit by default, but no more: their memory is in the way of what is measured.
func (h *hub) start(exact bool) error {
	store, err := spanstore.Open("", &spanstore.Options{MaxBytes: spanstore.MinMaxBytes, MaxMemory: spanstore.MinMaxMemory})
	if err != nil {
		return err
	}
	if store == nil {
		return errors.New("OTEL_SDK_DISABLED=true is set")
	}
	o := &profiler.Options{
		MinWindow: 100 * time.Millisecond, Budget: 1, MaxEnded: 1 << 18, OnUsage: h.deliver,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), // members ask Stats
	}
	if exact {
		o.Exact = profiler.ExactAuto
	}
	prof, err := profiler.Start(store, o)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	h.prof, h.store, h.exact = prof, store, exact
	return nil
}

// deliver gives what was measured to all members.
func (h *hub) deliver(b spanstore.UsageBatch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for m := range h.members {
		_ = m.store.AddUsage(context.Background(), b) // fails when it is closed: then nobody reads it
		if m.onUsage != nil {
			m.onUsage(b)
		}
	}
}

// Profiler returns the profiler that is shared.
func (m *Member) Profiler() *profiler.Profiler {
	if m == nil {
		return nil
	}
	return m.prof
}

// Leave ends the membership. The last one gets what is still being measured;
// others call Refresh of the profiler first if they want it. Leaving twice is
// harmless.
func (m *Member) Leave() error {
	if m == nil {
		return nil
	}
	m.left.Do(func() { m.err = process.leave(m) })
	return m.err
}

func (h *hub) leave(m *Member) (err error) {
	h.life.Lock()
	defer h.life.Unlock()
	h.mu.Lock()
	last := len(h.members) == 1
	h.mu.Unlock()
	if last {
		err = errors.Join(h.prof.Stop(), h.store.Close())
		h.prof, h.store = nil, nil
	}
	h.mu.Lock()
	delete(h.members, m)
	h.mu.Unlock()
	return err
}
