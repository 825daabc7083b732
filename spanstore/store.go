package spanstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/spanclock/spanclock/spanstore/internal/block"
)

var (
	// ErrNotFound is returned, wrapped, for a trace that the store does not
	// hold. Evicted tells whether it once did.
	ErrNotFound = errors.New("trace not found")

	// ErrBadCursor is returned, wrapped, for a Query.Cursor that is not one that
	// a page returned.
	ErrBadCursor = errors.New("bad cursor")

	// ErrClosed is returned by a store after Close.
	ErrClosed = errors.New("span store is closed")
)

// Store is a bounded ring of finished spans. It is an SpanExporter of the
// OpenTelemetry SDK; Processor attaches it with fewer losses. All methods are
// safe for concurrent use, and a nil *Store is inert: it takes nothing, holds
// nothing and returns no errors but ErrNotFound.
type Store struct {
	opts    Options
	layout  layout
	dir     string // empty in memory
	lock    *os.File
	codec   *block.Codec
	cache   *blockCache
	finders finderPool
	counts  counters
	queue   spanQueue

	maxMemory int64     // Options.MaxMemory or its default
	redactor  *redactor // nil when nothing is redacted

	mu         sync.Mutex      // guards what follows
	open       *pendingBlock   // takes spans
	fit        pageFit         // tells when it is full
	full       []*pendingBlock // wait for the writer, oldest first
	fullBytes  int64           // of full, encoded
	copyBytes  int64           // of copies of kept traces that wait for room
	indexBytes int64           // see memory.go
	buffers    [][]byte        // for encoded blocks, empty
	unreported error           // why a block was lost, for the writer to tell
	usage      []*pendingUsage
	infos      []*blockInfo // committed blocks, in the order of their numbers
	index      traceIndex   // of infos
	listed     *blockLists  // infos by their kind; nil until somebody asks
	seq        uint64       // of the next block
	gone       evictions
	pins       pins
	keptTraces int    // distinct ones, as of the last change
	keptSum    uint64 // of the numbers of the blocks that they are in
	sizes      ringSizes
	closing    bool          // Close has begun: only what is queued still comes in
	closed     bool          // nothing comes in any more
	room       chan struct{} // closed and replaced when the writer took a block
	failed     error         // why the last commit failed; nil when it did not

	refreshMu sync.Mutex // held by Refresh, which has the ring of a store without a writer
	skipped   []string   // damaged segments that a store without a writer left out; guarded by mu

	ring   ring    // the writer's, except for what it says otherwise
	lister *lister // the writer's

	wake    chan struct{}
	flushes chan flushRequest
	calls   chan func() // run by the writer between two commits
	stop    chan struct{}
	stopped sync.WaitGroup
	lastErr error // of the writer's last commit; read once it has stopped

	reportMu sync.Mutex
	reported map[string]bool
}

// flushEvery is the pace of the writer. A span may stay in memory for two
// seconds; the rest is for the commit itself. Committing more often costs more
// than it saves: at 10 spans/s a commit each 200 ms writes 768 bytes for every
// byte kept, each 2 s 78.
const flushEvery = 1800 * time.Millisecond

// Open opens the store in the directory dir, which it creates (0700) when it
// does not exist; the directory above it must. An empty dir keeps the ring in
// memory. Nil options mean the defaults.
//
// A directory belongs to one process at a time. Damaged segments are set aside
// and reported, never fatal. On an error Open returns a nil Store, which is
// inert, so a service may report it and run on. With OTEL_SDK_DISABLED=true in
// the environment Open does nothing and returns a nil Store and no error.
func Open(dir string, o *Options) (*Store, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	s, err := open(dir, o)
	if err != nil {
		name := dir
		if dir == "" {
			name = "in memory"
		}
		return nil, fmt.Errorf("open span store %s: %w", name, err)
	}
	return s, nil
}

func open(dir string, o *Options) (_ *Store, err error) {
	s := &Store{
		dir: dir, cache: newBlockCache(cacheBytes), lister: newLister(),
		room: make(chan struct{}), wake: make(chan struct{}, 1),
		flushes: make(chan flushRequest), calls: make(chan func()), stop: make(chan struct{}),
		reported: map[string]bool{},
	}
	if o != nil {
		s.opts = *o
	}
	if s.layout, err = s.opts.layout(); err != nil {
		return nil, err
	}
	if s.maxMemory, err = s.opts.maxMemory(); err != nil {
		return nil, err
	}
	if s.codec, err = block.NewCodec(); err != nil {
		return nil, err
	}
	s.gone.max = int(min(s.layout.segmentMax/64, s.maxMemory/64))
	s.queue.init()
	if s.opts.Redact != nil {
		s.redactor = &redactor{s: s, resources: map[*resource.Resource]*resource.Resource{}}
	}
	s.ring = ring{s: s, run: newRun()}
	if s.opts.ReadOnly {
		return s, s.openReadOnly()
	}
	if dir != "" {
		if err := makeDir(dir); err != nil {
			return nil, err
		}
		if s.lock, err = lockDir(dir); err != nil {
			return nil, err
		}
		if err := s.ring.load(); err != nil {
			s.lock.Close()
			return nil, err
		}
	}
	s.open = s.newPending(block.NewEncoder(s.layout.limits))
	s.stopped.Go(func() { s.labeled(s.write) })
	s.stopped.Go(func() { s.labeled(s.drain) })
	return s, nil
}

// labeled runs one of the store's goroutines with a label, so that a CPU profile
// tells what the store costs; without it they would have that of whoever opened it.
func (s *Store) labeled(run func()) {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("spanclock", "store")))
	run()
}

// elsewhere is what to do about a directory that cannot be used.
const elsewhere = "make the directory and what is in it readable and writable for this process, name another, or use \"\" to keep spans in memory"

// makeDir makes sure that dir is a directory in which files can be made.
func makeDir(dir string) error {
	switch fi, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("%w: create the directory above it, or make it writable for this process", err)
		}
	case err != nil:
		return fmt.Errorf("%w: %s", err, elsewhere)
	case !fi.IsDir():
		return errors.New("this is a file, not the directory of a store: name a directory, which is created when it does not exist")
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("%w: %s", err, elsewhere)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Dir returns the store's directory as given to Open; "" for one in memory.
func (s *Store) Dir() string {
	if s == nil {
		return ""
	}
	return s.dir
}

// Close makes what was accepted durable, stops the store and frees its
// directory. Spans that come once it has begun are refused, and counted as
// dropped. It waits for the disk, however long that takes. Closing twice is
// harmless.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	s.queue.close()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for !s.takeQueued() {
		// As long as the disk works, what is queued is still to come.
		if err := s.flushOnce(context.Background()); err != nil {
			break
		}
	}
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil // whoever was first reports
	}
	close(s.stop)
	s.stopped.Wait()
	s.takeQueued() // what the disk did not take is counted as dropped
	err := errors.Join(s.lastErr, s.ring.close())
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	s.cache.clear()
	return err
}

// report tells about trouble of one kind once, until it has passed.
func (s *Store) report(kind string, err error) {
	s.reportMu.Lock()
	again := s.reported[kind]
	s.reported[kind] = true
	s.reportMu.Unlock()
	if again {
		return
	}
	err = fmt.Errorf("span store %s: %w", s.name(), err)
	if s.opts.Logger != nil {
		s.opts.Logger.Error(err.Error(), "kind", kind)
		return
	}
	otel.Handle(err)
}

// passed says that trouble of a kind is over, so that it is reported again when
// it comes back.
func (s *Store) passed(kind string) {
	s.reportMu.Lock()
	delete(s.reported, kind)
	s.reportMu.Unlock()
}

// tell reports err, or with none that trouble of this kind has passed.
func (s *Store) tell(kind string, err error) {
	if err != nil {
		s.report(kind, err)
	} else {
		s.passed(kind)
	}
}

func (s *Store) name() string {
	if s.dir == "" {
		return "in memory"
	}
	if abs, err := filepath.Abs(s.dir); err == nil {
		return abs
	}
	return s.dir
}

// counters are the store's running totals.
type counters struct {
	accepted, durable, droppedQueue, droppedDisk, droppedBroken, droppedClosed atomic.Int64
	usageDropped, clipped, redactFailed, evictedSpans, evictedSegments         atomic.Int64
	damaged, lost, commits, written                                            atomic.Int64
}
