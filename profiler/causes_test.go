package profiler_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/profiler/stall"
)

// stage is where a test makes a request slow, for one reason.
type stage struct {
	*service
	t *testing.T
}

const slowFor = 200 * time.Millisecond

func (s *stage) child(ctx context.Context, name string, kind trace.SpanKind, f func(context.Context)) {
	ctx, span := s.Start(ctx, name, trace.WithSpanKind(kind))
	defer span.End()
	f(ctx)
}

// compute burns CPU for about d on a machine that has nothing else to do.
//
//go:noinline
func compute(d time.Duration) {
	var x [32]byte
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range 200 {
			x = sha256.Sum256(x[:])
		}
	}
	runtime.KeepAlive(x)
}

// TestStagedCauses stages each cause in real code, and wants the first finding to
// name it, with the span and the place.
func TestStagedCauses(t *testing.T) {
	s := &stage{newService(t, exactly), t}
	s.armed(t)
	for _, tt := range []struct {
		name  string
		run   func(s *stage, ctx context.Context)
		kind  string
		span  string
		words []string
	}{
		{"mutex convoy", convoy, stall.LockWait, "request", []string{"profiler_test.convoy", "let go by"}},
		{"mutex beside a kept connection", convoyAfterCall, stall.LockWait, "request", []string{"profiler_test.convoy", "let go by"}},
		{"peer that does not answer in time", noAnswer, stall.PeerWait, "request", []string{"profiler_test.call", "network"}},
		{"channel back-pressure", backPressure, stall.ChannelWait, "request", []string{"profiler_test.backPressure"}},
		{"connection pool", poolWait, stall.PoolWait, "request", []string{"profiler_test.poolWait", "pool"}},
		{"retry loop", retryLoop, stall.SleepWait, "request", []string{"profiler_test.retryLoop", "retry loop"}},
		{"retry loop that can be cancelled", retryWithTimer, stall.SleepWait, "request", []string{"profiler_test.retryWithTimer", "retry loop"}},
		{"slow peer", slowPeer, stall.PeerWait, "GET peer", []string{"profiler_test.slowPeer", "network"}},
		{"blocking file", blockingFile, stall.BlockingSyscall, "request", []string{"profiler_test.blockingFile", "system call"}},
		{"computing", func(_ *stage, _ context.Context) { compute(slowFor) }, stall.CPUWork, "request", []string{"no child span"}},
		{"run queue", runQueue, stall.CPUWait, "request", []string{"run queue"}},
		{"deferrable tail", deferrableTail, stall.DeferrableTail, "redis.SET", []string{"would save"}},
		{"siblings", siblings, stall.SequentialSiblings, "GET a", []string{"side by side"}},
		{"N+1", nPlusOne, stall.NPlusOne, "SELECT item", []string{"12 times"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			named(t, s.analyzed(t, tt.run), tt.kind, tt.span, tt.words)
		})
	}
}

// named wants the first finding to be of a kind, about a span, with words in it.
func named(t *testing.T, a *stall.Analysis, kind, span string, words []string) {
	t.Helper()
	if len(a.Findings) == 0 {
		t.Fatalf("no finding: %+v", a.Budget)
	}
	f := a.Findings[0]
	if got := a.Nodes[f.Spans[0]].Span.Name; f.Kind != kind || got != span {
		t.Errorf("got %s of %s; want %s of %s: %v", f.Kind, got, kind, span, texts(a))
	}
	for _, w := range words {
		if !strings.Contains(f.Text, w) {
			t.Errorf("got %q; want %q in it", f.Text, w)
		}
	}
	if f.Saves <= 0 || f.Saves > a.Wall {
		t.Errorf("it saves %v of %v", f.Saves, a.Wall)
	}
}

func texts(a *stall.Analysis) (out []string) {
	for _, f := range a.Findings {
		out = append(out, f.Kind+": "+f.Text)
	}
	return out
}

// analyzed runs a request and returns what its exact states say. A machine that
// is busy with something else adds to any request: it is tried again then.
// It waits, before it asks, for what is to be over then.
func (s *stage) analyzed(t *testing.T, run func(*stage, context.Context), wait ...func()) *stall.Analysis {
	t.Helper()
	var a *stall.Analysis
	for try := range 10 {
		ctx, root := s.Start(context.Background(), "request", trace.WithSpanKind(trace.SpanKindServer))
		run(s, ctx)
		root.End()
		for _, f := range wait {
			f()
		}
		ask, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := s.prof.Capture(ask, root.SpanContext().TraceID())
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		a = stall.Analyze(s.trace(t, root))
		starved, stolen := time.Duration(0), time.Duration(0)
		for _, b := range a.Budget {
			switch b.State {
			case stall.StateSteal:
				starved, stolen = starved+b.Time, b.Time
			case stall.StateRunnable:
				starved += b.Time
			}
		}
		if starved < a.Critical/20 || try > 2 && stolen < a.Critical/4 {
			break
		}
		t.Logf("try %d: the kernel kept the process from a CPU for %v of %v", try, stolen, a.Critical)
		time.Sleep(time.Duration(try) * 200 * time.Millisecond)
	}
	return a
}

//go:noinline
func convoy(s *stage, _ context.Context) {
	var mu sync.Mutex
	mu.Lock()
	go func() {
		time.Sleep(slowFor)
		mu.Unlock()
	}()
	mu.Lock()
	defer mu.Unlock()
}

// call asks a server, without a span of its own, and keeps the connection, which a
// goroutine of the span's then reads.
//
//go:noinline
func call(ctx context.Context, t *testing.T, answer http.HandlerFunc) {
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := c.Do(r)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func convoyAfterCall(s *stage, ctx context.Context) {
	call(ctx, s.t, func(http.ResponseWriter, *http.Request) {})
	convoy(s, ctx)
}

func noAnswer(s *stage, ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, slowFor)
	defer cancel()
	call(ctx, s.t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

//go:noinline
func backPressure(s *stage, _ context.Context) {
	c := make(chan int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(slowFor)
		<-c
	}()
	c <- 1
	<-done
}

//go:noinline
func poolWait(s *stage, ctx context.Context) {
	db := sql.OpenDB(connector{})
	defer db.Close()
	db.SetMaxOpenConns(1)
	held, err := db.Conn(ctx)
	if err != nil {
		s.t.Error(err)
		return
	}
	go func() {
		time.Sleep(slowFor)
		held.Close()
	}()
	c, err := db.Conn(ctx)
	if err != nil {
		s.t.Error(err)
		return
	}
	c.Close()
}

// connector makes connections to nothing: only the pool around them matters.
type connector struct{}

func (connector) Connect(context.Context) (driver.Conn, error) { return conn{}, nil }
func (connector) Driver() driver.Driver                        { return nil }

type conn struct{}

func (conn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (conn) Close() error                        { return nil }
func (conn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }

//go:noinline
func retryLoop(s *stage, ctx context.Context) {
	for try := range 3 {
		_, span := s.Start(ctx, "POST bank", trace.WithSpanKind(trace.SpanKindClient))
		if try < 2 {
			span.SetStatus(codes.Error, "refused")
		}
		span.End()
		time.Sleep(slowFor / 3)
	}
}

//go:noinline
func retryWithTimer(s *stage, ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for try := range 3 {
		_, span := s.Start(ctx, "POST bank", trace.WithSpanKind(trace.SpanKindClient))
		if try < 2 {
			span.SetStatus(codes.Error, "refused")
		}
		span.End()
		select {
		case <-time.After(slowFor / 3):
		case <-ctx.Done():
		}
	}
}

//go:noinline
func slowPeer(s *stage, ctx context.Context) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Error(err)
		return
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		time.Sleep(slowFor)
		c.Close()
	}()
	s.child(ctx, "GET peer", trace.SpanKindClient, func(context.Context) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			s.t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
	})
}

//go:noinline
func blockingFile(s *stage, _ context.Context) {
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Error(err)
		return
	}
	defer r.Close()
	r.Fd() // reads block in the kernel from now on
	go func() {
		time.Sleep(slowFor)
		w.Close()
	}()
	_, _ = r.Read(make([]byte, 1))
}

// runQueue has more goroutines that compute than there are processors.
func runQueue(s *stage, _ context.Context) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	ctx := context.Background() // no span: the rest of the program
	for range 6 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			_, span := s.Start(ctx, "others")
			defer span.End()
			for {
				select {
				case <-stop:
					return
				default:
					compute(time.Millisecond)
				}
			}
		})
	}
	compute(4 * slowFor)
	close(stop)
	wg.Wait()
}

func deferrableTail(s *stage, ctx context.Context) {
	s.child(ctx, "SELECT x", trace.SpanKindClient, func(context.Context) { <-time.After(slowFor / 4) })
	s.child(ctx, "redis.SET", trace.SpanKindClient, func(context.Context) { <-time.After(slowFor) })
}

func siblings(s *stage, ctx context.Context) {
	for _, name := range []string{"GET a", "GET b", "GET c"} {
		s.child(ctx, name, trace.SpanKindClient, func(context.Context) { <-time.After(slowFor / 2) })
	}
}

func nPlusOne(s *stage, ctx context.Context) {
	for range 12 {
		s.child(ctx, "SELECT item", trace.SpanKindClient, func(context.Context) { <-time.After(slowFor / 12) })
	}
}

// TestStagedGarbage allocates beside much that is alive and may hardly grow: each
// megabyte has to pay for marking twenty.
func TestStagedGarbage(t *testing.T) {
	s := &stage{newService(t, exactly), t}
	s.armed(t)
	type node struct {
		next *node
		_    [56]byte
	}
	var alive *node
	for range 1 << 20 {
		alive = &node{next: alive}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	runtime.GC()
	a := s.analyzed(t, func(s *stage, ctx context.Context) {
		s.child(ctx, "SELECT x", trace.SpanKindClient, wait(5*time.Millisecond))
		s.child(ctx, "allocate", trace.SpanKindInternal, func(context.Context) {
			for end := time.Now().Add(slowFor); time.Now().Before(end); {
				keep := make([][]byte, 64)
				for i := range keep {
					keep[i] = make([]byte, 16<<10)
				}
				runtime.KeepAlive(keep)
			}
		})
	})
	runtime.KeepAlive(alive)
	named(t, a, stall.GCAssistWork, "allocate", []string{"garbage collector"})
}

// TestStagedWorkAfterEnd: a span that goes on when its request, in which nothing else
// is wrong, has ended.
func TestStagedWorkAfterEnd(t *testing.T) {
	s := &stage{newService(t, exactly), t}
	s.armed(t)
	for try := range 5 {
		var over chan struct{} // of the last request
		a := s.analyzed(t, func(s *stage, ctx context.Context) {
			ended := make(chan struct{})
			over = ended
			_, late := s.Start(ctx, "audit")
			go func() {
				time.Sleep(slowFor)
				late.End()
				close(ended)
			}()
			healthy(s, ctx)
		}, func() { <-over })
		f := a.Findings
		if len(f) > 0 && f[0].Kind == stall.WorkAfterEnd && a.Nodes[f[0].Spans[0]].Span.Name == "audit" && strings.Contains(f[0].Text, "audit") {
			return
		}
		if try == 4 {
			t.Errorf("got %v; want %s, of audit", texts(a), stall.WorkAfterEnd)
		}
	}
}
