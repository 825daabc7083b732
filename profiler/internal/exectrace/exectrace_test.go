package exectrace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// take runs f while a trace is taken, with the threads' clocks in it.
func take(t testing.TB, f func()) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := trace.Start(&buf); err != nil {
		t.Skipf("another trace is being taken: %v", err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var c ThreadClock
		defer c.Close()
		tick := time.NewTicker(ReadEvery)
		defer tick.Stop()
		for {
			c.Log()
			select {
			case <-tick.C:
			case <-stop:
				c.Log()
				return
			}
		}
	}()
	f()
	close(stop)
	<-done
	trace.Stop()
	return buf.Bytes()
}

var tid = oteltrace.TraceID{7}

func id(n int) oteltrace.SpanID { return oteltrace.SpanID{byte(n >> 8), byte(n), 1} }

// spanOf runs f as a span.
func spanOf(n int, f func()) {
	LogStart(tid, id(n))
	defer LogEnd(tid, id(n), time.Second)
	f()
}

func analyze(t testing.TB, b []byte) (map[oteltrace.SpanID]*Span, Coverage) {
	t.Helper()
	got := map[oteltrace.SpanID]*Span{}
	c, err := Analyze(bytes.NewReader(b), nil, func(s *Span) error {
		if got[s.ID] != nil {
			t.Errorf("span %s came twice", s.ID)
		}
		got[s.ID] = s
		check(t, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, c
}

// check asserts what is true of every span.
func check(t testing.TB, s *Span) {
	t.Helper()
	at, wall := time.Duration(0), s.End.Sub(s.Start)
	waits := make([]time.Duration, len(s.Waits))
	for i, g := range s.Segments {
		if g.From < at || g.To <= g.From || g.To > wall || g.State == None || g.Stolen < 0 || g.Stolen > g.To-g.From || g.State != CPU && g.Stolen != 0 {
			t.Errorf("span %s: segment %d of %v is %+v, after %v", s.ID, i, wall, g, at)
		}
		if at = g.To; g.Wait >= 0 {
			waits[g.Wait] += g.To - g.From
		}
	}
	for i, w := range s.Waits {
		if w.Total != waits[i] || i > 0 && w.Total > s.Waits[i-1].Total {
			t.Errorf("span %s: wait %d is %v; its segments %v", s.ID, i, w.Total, waits[i])
		}
	}
	if s.Stolen > s.Running || s.StolenLow < 0 || s.StolenLow > s.Stolen || s.StolenHigh < s.Stolen || s.StolenHigh > s.Running {
		t.Errorf("span %s: %v stolen of %v", s.ID, s.Stolen, s.Running)
	}
}

func in(s *Span, st State) (sum time.Duration) {
	for _, g := range s.Segments {
		if g.State == st {
			sum += g.To - g.From
		}
	}
	return sum
}

func has(s *Span, st State, fn string) *Wait {
	for i := range s.Waits {
		w := &s.Waits[i]
		for _, f := range w.Stack {
			if w.State == st && strings.Contains(f.Func, fn) {
				return w
			}
		}
	}
	return nil
}

//go:noinline
func burn(d time.Duration) {
	var x [32]byte
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range 100 {
			x = sha256.Sum256(x[:])
		}
	}
}

// TestStates stages each state: it has the greater part of its span, and its
// stack names the place.
func TestStates(t *testing.T) {
	const d = 30 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	later := func(f func()) { go func() { time.Sleep(d); f() }() }
	tests := []struct {
		state State
		stack string
		run   func()
	}{
		{CPU, "", func() { burn(d) }},
		{Sleep, "time.Sleep", func() { time.Sleep(d) }},
		{Lock, "sync.(*Mutex).Lock", func() { mu.Lock(); later(mu.Unlock); mu.Lock(); defer mu.Unlock() }},
		{Lock, "sync.(*WaitGroup).Wait", func() { var wg sync.WaitGroup; wg.Add(1); later(wg.Done); wg.Wait() }},
		{Chan, "chanrecv", func() { c := make(chan int); later(func() { close(c) }); <-c }},
		{Chan, "chansend", func() { c := make(chan int); later(func() { <-c }); c <- 1 }},
		{Select, "selectgo", func() {
			c := make(chan int)
			later(func() { close(c) })
			select {
			case <-c:
			case <-context.Background().Done():
			case <-time.After(time.Hour):
			}
		}},
		{Net, "net.(*conn).Read", func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			s, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			later(func() { s.Close() })
			c.Read(make([]byte, 1))
		}},
		{Syscall, "os.(*File).Read", func() {
			r, w, err := blockingPipe()
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			later(func() { w.Close() })
			r.Read(make([]byte, 1))
		}},
	}
	got, c := analyze(t, take(t, func() {
		for i, tt := range tests {
			spanOf(i, tt.run)
		}
	}))
	if c.Spans != len(tests) || c.Unknown != 0 || c.Events == 0 {
		t.Errorf("got %+v; want %d spans", c, len(tests))
	}
	for i, tt := range tests {
		s := got[id(i)]
		if s == nil {
			t.Fatalf("no span for %v %s", tt.state, tt.stack)
		}
		if s.Clipped || s.Open {
			t.Errorf("%v %s: clipped %v, open %v", tt.state, tt.stack, s.Clipped, s.Open)
		}
		wall := s.End.Sub(s.Start)
		if in(s, tt.state) < wall/2 {
			t.Errorf("%v %s: got %v of %v: %+v", tt.state, tt.stack, in(s, tt.state), wall, s.Segments)
		}
		if tt.stack == "" {
			continue
		}
		w := has(s, tt.state, tt.stack)
		if w == nil {
			t.Errorf("%v: no wait in %s: %+v", tt.state, tt.stack, s.Waits)
		} else if w.Total < wall/2 {
			t.Errorf("%v in %s: got %v of %v", tt.state, tt.stack, w.Total, wall)
		}
	}
}

// TestSumsToWall: own time and what children on the goroutine cover fill a span.
func TestSumsToWall(t *testing.T) {
	got, _ := analyze(t, take(t, func() {
		spanOf(1, func() {
			burn(5 * time.Millisecond)
			spanOf(2, func() { time.Sleep(10 * time.Millisecond) })
			spanOf(3, func() { burn(10 * time.Millisecond) })
			time.Sleep(5 * time.Millisecond)
		})
	}))
	all := func(s *Span) (sum time.Duration) {
		for _, g := range s.Segments {
			sum += g.To - g.From
		}
		return sum
	}
	root, a, b := got[id(1)], got[id(2)], got[id(3)]
	if root == nil || a == nil || b == nil {
		t.Fatal("spans are missing")
	}
	for _, s := range []*Span{a, b} {
		if w := s.End.Sub(s.Start); all(s) != w {
			t.Errorf("span %s: got %v of %v", s.ID, all(s), w)
		}
	}
	if got, want := all(root), root.End.Sub(root.Start)-all(a)-all(b); got != want {
		t.Errorf("the root's own: got %v; want %v", got, want)
	}
	if in(root, Sleep) > 2*root.End.Sub(root.Start)/3 || in(b, Sleep) != 0 {
		t.Error("a child's sleep is the root's")
	}
}

// TestHelpers: goroutines started inside a span work for it until they start a
// span of their own; while the span waits for them it is in their state.
func TestHelpers(t *testing.T) {
	got, _ := analyze(t, take(t, func() {
		spanOf(1, func() {
			var wg sync.WaitGroup
			wg.Go(func() { burn(40 * time.Millisecond) })
			wg.Go(func() { spanOf(2, func() { time.Sleep(20 * time.Millisecond) }) })
			wg.Wait()
		})
	}))
	s := got[id(1)]
	wall := s.End.Sub(s.Start)
	if in(s, CPU)+in(s, Runnable) < wall/2 {
		t.Errorf("got %v on CPU of %v: %+v", in(s, CPU), wall, s.Segments)
	}
	if s.Running < 20*time.Millisecond || s.Goroutines != 3 {
		t.Errorf("got %v running in %d goroutines; want 40 ms in 3", s.Running, s.Goroutines)
	}
	if o := got[id(2)]; in(o, Sleep) < 15*time.Millisecond || o.Running > 15*time.Millisecond {
		t.Errorf("the other span: got %+v", o)
	}
}

// TestIdleHelpers: a goroutine that waits for the network and goes on doing so when the
// span's own goroutine does not wait any more was not what that waited for; one that
// was answered meanwhile was. A mutex is waited for whatever others do.
func TestIdleHelpers(t *testing.T) {
	idle := func() (stop func()) { // as the reader of a connection that is kept
		a, b := pipe(t)
		ready := make(chan struct{})
		go func() {
			close(ready)
			_, _ = a.Read(make([]byte, 1))
			a.Close()
		}()
		<-ready
		return func() { b.Close() }
	}
	later := func(f func()) {
		go func() {
			time.Sleep(40 * time.Millisecond)
			f()
		}()
	}
	for _, tt := range []struct {
		name string
		want State
		f    func()
	}{
		{"mutex", Lock, func() {
			var mu sync.Mutex
			mu.Lock()
			later(mu.Unlock)
			mu.Lock()
			defer mu.Unlock()
		}},
		{"mutex beside work", Lock, func() {
			var mu sync.Mutex
			mu.Lock()
			go burn(40 * time.Millisecond)
			later(mu.Unlock)
			mu.Lock()
			defer mu.Unlock()
		}},
		{"channel", Chan, func() {
			c := make(chan int)
			later(func() { c <- 1 })
			<-c
		}},
		{"wait group", Lock, func() {
			var wg sync.WaitGroup
			wg.Go(func() { time.Sleep(40 * time.Millisecond) })
			wg.Wait()
		}},
		{"timer", Select, func() {
			select {
			case <-time.After(40 * time.Millisecond):
			case <-make(chan int):
			}
		}},
		{"answer", Net, func() {
			a, b := pipe(t)
			defer a.Close()
			c := make(chan int)
			go func() {
				_, _ = a.Read(make([]byte, 1))
				c <- 1
			}()
			later(func() { b.Close() })
			<-c
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := analyze(t, take(t, func() {
				spanOf(1, func() {
					defer idle()()
					tt.f()
				})
			}))
			s := got[id(1)]
			// Waiting for a processor depends on the machine.
			waits := slices.DeleteFunc(slices.Clone(s.Waits), func(w Wait) bool { return w.State == Runnable || w.State == Syscall })
			if w := waits[0]; w.State != tt.want || w.Count < 1 {
				t.Errorf("got %s, %d times, as the longest wait; want %s", w.State, w.Count, tt.want)
			} else if tt.want == Lock && len(w.Waker) == 0 {
				t.Error("nobody knows who let it go on")
			}
		})
	}
}

// pipe returns both ends of a connection.
func pipe(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestEnds: spans end on other goroutines, never, out of order, or after the
// goroutine that they began on.
func TestEnds(t *testing.T) {
	got, c := analyze(t, take(t, func() {
		LogStart(tid, id(1))
		LogStart(tid, id(2))
		LogEnd(tid, id(1), time.Second) // the parent first
		time.Sleep(5 * time.Millisecond)
		LogEnd(tid, id(2), time.Second)
		LogStart(tid, id(3))
		LogStart(tid, id(3))
		done := make(chan struct{})
		go func() { LogEnd(tid, id(3), time.Second); close(done) }()
		<-done
		gone := make(chan struct{})
		go func() { LogStart(tid, id(4)); close(gone) }()
		<-gone
		time.Sleep(5 * time.Millisecond)
		LogEnd(tid, id(4), time.Second)
		LogStart(tid, id(5))
	}))
	for n := 1; n <= 5; n++ {
		if s := got[id(n)]; s == nil {
			t.Errorf("span %d is missing", n)
		} else if s.Open != (n == 5) {
			t.Errorf("span %d: open %v", n, s.Open)
		}
	}
	if in(got[id(2)], Sleep) < 4*time.Millisecond {
		t.Errorf("the child goes on when its parent has ended: %+v", got[id(2)].Segments)
	}
	if c.Spans != 5 {
		t.Errorf("got %d spans; want 5", c.Spans)
	}
}

// TestBeforeTheTrace: of a span that began before, the rest is there.
func TestBeforeTheTrace(t *testing.T) {
	begun, taking, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		close(begun)
		<-taking
		time.Sleep(20 * time.Millisecond)
		LogEnd(tid, id(7), time.Second) // began before
	}()
	<-begun
	time.Sleep(time.Millisecond)
	got, _ := analyze(t, take(t, func() { close(taking); <-ended }))
	s := got[id(7)]
	if s == nil || !s.Clipped {
		t.Fatalf("got %+v; want a clipped span", s)
	}
	if in(s, Sleep) < 15*time.Millisecond {
		t.Errorf("got %+v; want it asleep", s.Segments)
	}
}

// TestWaitingSinceBefore: a trace does not give the reason of a wait that was under
// way when it began; where the goroutine stands does. That is in the trace once a
// second.
func TestWaitingSinceBefore(t *testing.T) {
	var mu sync.Mutex
	mu.Lock()
	c := make(chan int)
	r, w := net.Pipe() // its reads are selects
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	waits := []struct {
		state State
		wait  func()
		end   func()
	}{
		{Lock, mu.Lock, mu.Unlock},
		{Chan, func() { <-c }, func() { c <- 1 }},
		{Select, func() { _, _ = r.Read(make([]byte, 1)) }, func() { _ = w.Close() }},
		{Net, func() { _, _ = l.Accept() }, func() { _ = l.Close() }},
		{Sleep, func() { time.Sleep(3 * time.Second) }, func() {}},
	}
	var ended sync.WaitGroup
	for i, x := range waits {
		ended.Go(func() {
			x.wait()
			LogEnd(tid, id(20+i), time.Second)
		})
	}
	time.Sleep(100 * time.Millisecond)
	got, _ := analyze(t, take(t, func() {
		time.Sleep(2500 * time.Millisecond)
		for _, x := range waits {
			x.end()
		}
		ended.Wait()
	}))
	for i, x := range waits {
		if s := got[id(20+i)]; s == nil || !s.Clipped || in(s, x.state) < 2400*time.Millisecond || in(s, Other) > 0 {
			t.Errorf("got %+v; want it in %v since the trace began", s, x.state)
		}
	}
}

// TestWaitingWhenTheTraceBegan: a wait that ends soon after the trace began is known from
// there on, too, if not for what.
func TestWaitingWhenTheTraceBegan(t *testing.T) {
	c, ended := make(chan int), make(chan int)
	go func() {
		<-c
		LogEnd(tid, id(30), time.Second)
		close(ended)
	}()
	time.Sleep(20 * time.Millisecond)
	got, _ := analyze(t, take(t, func() {
		time.Sleep(100 * time.Millisecond)
		close(c)
		<-ended
	}))
	s := got[id(30)]
	if s == nil {
		t.Fatal("the span is not there")
	}
	if d := in(s, Other) + in(s, Chan); d < 100*time.Millisecond {
		t.Errorf("got %v; want 100 ms blocked: %+v", d, s)
	}
}

func TestGCAssist(t *testing.T) {
	var keep [][]*[64]byte
	b := take(t, func() {
		spanOf(1, func() {
			for range 40 {
				list := make([]*[64]byte, 20_000)
				for i := range list {
					list[i] = new([64]byte)
				}
				keep = append(keep, list)
			}
		})
	})
	runtime.KeepAlive(keep)
	got, _ := analyze(t, b)
	s := got[id(1)]
	if in(s, GCAssist)+in(s, STW)+in(s, CPU)+in(s, Runnable) == 0 {
		t.Errorf("got %+v", s.Segments)
	}
	t.Logf("%v of %v marking, %v stopped", in(s, GCAssist), s.End.Sub(s.Start), in(s, STW))
}

// TestDamaged: a trace that is cut off or damaged is an error or an end, never a
// panic, and what came before is handed out.
func TestDamaged(t *testing.T) {
	b := take(t, func() {
		for i := range 50 {
			spanOf(i, func() { time.Sleep(100 * time.Microsecond) })
		}
	})
	try := func(what string, b []byte) {
		n := 0
		_, err := Analyze(bytes.NewReader(b), nil, func(s *Span) error { n++; check(t, s); return nil })
		if err != nil && !strings.Contains(err.Error(), "execution trace") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for n := 0; n < len(b); n += 1 + len(b)/97 {
		try(fmt.Sprintf("cut off at %d", n), b[:n])
		bad := bytes.Clone(b)
		bad[n] ^= 0x55
		try(fmt.Sprintf("byte %d changed", n), bad)
	}
	newer := append([]byte("go 1.99 trace\x00\x00\x00"), b[16:]...)
	var newerErr *NewerError
	if _, err := Analyze(bytes.NewReader(newer), nil, func(*Span) error { return nil }); !errors.As(err, &newerErr) {
		t.Errorf("a trace of a version to come: got %v; want a NewerError", err)
	}
	if _, err := Analyze(bytes.NewReader(b), nil, func(*Span) error { return io.ErrClosedPipe }); err == nil {
		t.Error("an error of the caller's is lost")
	}
}

// blockingPipe returns a pipe that is read with a blocking system call.
func blockingPipe() (r, w *os.File, err error) {
	r, w, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	r.Fd() // out of the poller
	return r, w, nil
}

// TestTasksEndSpans: short spans of the SDK end with their tasks, which cost an
// event less, long ones as well and once.
func TestTasksEndSpans(t *testing.T) {
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(logger{}))
	tracer := tp.Tracer("")
	var short, long, elsewhere, open oteltrace.Span
	b := take(t, func() {
		Learn()
		if !tasked.Load() {
			t.Error("this SDK starts tasks; got that it does not")
		}
		defer tasked.Store(false)
		ctx, root := tracer.Start(context.Background(), "root")
		defer root.End()
		_, short = tracer.Start(ctx, "short")
		short.End()
		_, own := trace.NewTask(ctx, "the program's own")
		_, long = tracer.Start(ctx, "long")
		time.Sleep(3 * time.Millisecond)
		long.End()
		own.End()
		_, elsewhere = tracer.Start(ctx, "elsewhere")
		done := make(chan struct{})
		go func() { elsewhere.End(); close(done) }()
		<-done
		_, open = tracer.Start(ctx, "open")
	})
	got, c := analyze(t, b)
	for _, span := range []oteltrace.Span{short, long, elsewhere, open} {
		s := got[span.SpanContext().SpanID()]
		if s == nil || s.Open != (span == open) || s.Clipped {
			t.Errorf("%v: got %+v; want it whole", span, s)
		}
	}
	if c.Spans != 5 || c.Unknown != 0 {
		t.Errorf("got %d spans and %d of which only the end was seen; want 5 and none", c.Spans, c.Unknown)
	}
	if s := got[long.SpanContext().SpanID()]; s != nil && in(s, Sleep) < 2*time.Millisecond {
		t.Errorf("the long one: got %+v; want it asleep", s)
	}
	if n := bytes.Count(b, []byte("-"+string(idBytes(short)))); n != 0 {
		t.Error("the end of the short span was logged; its task says it")
	}
}

func idBytes(s oteltrace.Span) []byte {
	t, id := s.SpanContext().TraceID(), s.SpanContext().SpanID()
	return append(t[:], id[:]...)
}

// logger logs spans as the profiler does.
type logger struct{}

func (logger) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	LogStart(s.SpanContext().TraceID(), s.SpanContext().SpanID())
}

func (logger) OnEnd(s sdktrace.ReadOnlySpan) {
	lasted := time.Duration(0) // however busy the machine is
	if s.Name() == "long" {
		lasted = longSpan
	}
	LogEnd(s.SpanContext().TraceID(), s.SpanContext().SpanID(), lasted)
}

func (logger) Shutdown(context.Context) error   { return nil }
func (logger) ForceFlush(context.Context) error { return nil }

// busyTrace is what requests of five spans write, with a channel and a sleep in each.
func busyTrace(b testing.TB, requests int) []byte {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(logger{})).Tracer("")
	return take(b, func() {
		Learn()
		defer tasked.Store(false)
		jobs := make(chan chan int)
		defer close(jobs)
		go func() {
			for answer := range jobs {
				answer <- 1
			}
		}()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range requests / 8 {
					ctx, root := tracer.Start(context.Background(), "root")
					for range 4 {
						_, child := tracer.Start(ctx, "child")
						answer := make(chan int)
						jobs <- answer
						<-answer
						child.End()
					}
					root.End()
				}
			})
		}
		wg.Wait()
	})
}

// BenchmarkAnalyze reads what a busy service writes; one trace in a hundred is wanted.
func BenchmarkAnalyze(b *testing.B) {
	in := busyTrace(b, 12_000)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		c, err := Analyze(bytes.NewReader(in), func(t oteltrace.TraceID) bool { return t[15]%100 == 0 }, func(*Span) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		events = c.Events
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(events), "ns/event")
	b.ReportMetric(float64(len(in))/float64(events), "B/event")
}
