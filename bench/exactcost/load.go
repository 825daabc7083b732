package main

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// spansPerRequest is a root and four children.
const spansPerRequest = 5

// service handles requests the way services do: on a goroutine for each of 64
// connections, with a round trip to a peer, an answer from another goroutine, a lock
// that others want, and work.
type service struct {
	tracer  trace.Tracer
	todo    chan time.Duration
	busy    sync.WaitGroup // requests under way
	peers   chan net.Conn  // idle connections
	jobs    chan chan int
	shared  sync.Mutex
	counter int64 // guarded by shared
}

func newService(t trace.Tracer) (*service, error) {
	s := &service{tracer: t, todo: make(chan time.Duration), peers: make(chan net.Conn, 8), jobs: make(chan chan int)}
	for range 64 {
		go func() {
			for work := range s.todo {
				s.request(work)
				s.busy.Done()
			}
		}()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	for range cap(s.peers) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		peer, err := l.Accept()
		if err != nil {
			return nil, err
		}
		go echo(peer)
		s.peers <- c
	}
	for range 2 {
		go func() {
			for answer := range s.jobs {
				answer <- 1
			}
		}()
	}
	return s, l.Close()
}

func echo(c net.Conn) {
	var b [64]byte
	for {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		if _, err := c.Write(b[:]); err != nil {
			return
		}
	}
}

// request handles one, which uses about work of CPU time beside the rest.
func (s *service) request(work time.Duration) {
	ctx, root := s.tracer.Start(context.Background(), "GET /orders")
	defer root.End()
	s.in(ctx, "redis.GET", s.roundTrip)
	s.in(ctx, "SELECT orders", s.ask)
	s.in(ctx, "authorize", func() {
		s.shared.Lock()
		s.counter++
		s.shared.Unlock()
		spin(work / 2)
	})
	s.in(ctx, "render", func() { spin(work / 2) })
}

func (s *service) in(ctx context.Context, name string, f func()) {
	_, span := s.tracer.Start(ctx, name)
	defer span.End()
	f()
}

func (s *service) roundTrip() {
	c := <-s.peers
	defer func() { s.peers <- c }()
	var b [64]byte
	if _, err := c.Write(b[:]); err == nil {
		_, _ = io.ReadFull(c, b[:])
	}
}

func (s *service) ask() {
	answer := make(chan int)
	s.jobs <- answer
	<-answer
}

// run makes requests at a rate, those that are due every millisecond, and returns
// how many. What a busy machine holds up comes later, at most 64 at a time.
func (s *service) run(rate int, work, length time.Duration) (done int64) {
	begun := time.Now()
	for elapsed := time.Duration(0); elapsed < length; elapsed = time.Since(begun) {
		for due := int64(elapsed.Seconds()*float64(rate)) - done; due > 0 && time.Since(begun) < length; due-- {
			s.busy.Add(1)
			s.todo <- work
			done++
		}
		time.Sleep(time.Millisecond)
	}
	s.busy.Wait()
	return done
}

// spin uses about d of CPU time, by what a turn of the loop takes on a machine that
// is not throttled: the same work in each arm, whatever the clock says.
func spin(d time.Duration) {
	x := uint64(1)
	for range int64(d) * 2 / 3 { // 1.5 ns a turn
		x = x*6364136223846793005 + 1442695040888963407
	}
	runtime.KeepAlive(x)
}

// spans makes requests that do nothing but their spans.
func (s *service) spans(n int) {
	for range n {
		ctx, root := s.tracer.Start(context.Background(), "root")
		for range spansPerRequest - 1 {
			_, child := s.tracer.Start(ctx, "child")
			child.End()
		}
		root.End()
	}
}

// handOver passes something to another goroutine and back at a rate, and returns
// how often. Each time two goroutines are scheduled.
func handOver(rate int, length time.Duration) (done int64) {
	there, back := make(chan int), make(chan int)
	defer close(there)
	go func() {
		for v := range there {
			back <- v
		}
	}()
	begun := time.Now()
	for elapsed := time.Duration(0); elapsed < length; elapsed = time.Since(begun) {
		for due := int64(elapsed.Seconds()*float64(rate)) - done; due > 0; due-- {
			there <- 1
			<-back
			if done++; done%1024 == 0 && time.Since(begun) > length {
				return done
			}
		}
		time.Sleep(time.Millisecond)
	}
	return done
}
