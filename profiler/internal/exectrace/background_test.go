package exectrace

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// background computes on a goroutine of its own until it is stopped. It has begun.
func background() (stop func()) {
	var over atomic.Bool
	begun := make(chan struct{})
	go func() {
		close(begun)
		for !over.Load() {
			burn(time.Millisecond)
		}
	}()
	<-begun
	return func() { over.Store(true) }
}

// TestBackground: what a goroutine of the span computes in the background is not what
// the span's own waits for: that is who let it go on, and those before him. It counts as
// the span's CPU time.
func TestBackground(t *testing.T) {
	const d = 60 * time.Millisecond
	jobs := make(chan chan int)
	defer close(jobs)
	go func() { // works for no span
		for c := range jobs {
			c <- 1
		}
	}()
	compute := func(then func()) { go func() { burn(d); then() }() }
	for i, tt := range []struct {
		name string
		want State // CPU or what is waited in
		f    func()
	}{
		{"another span", Chan, func() {
			c := make(chan int)
			go spanOf(100, func() { time.Sleep(d); c <- 1 })
			<-c
		}},
		{"timer", Chan, func() { <-time.After(d) }},
		{"helper asleep", Lock, func() {
			var wg sync.WaitGroup
			wg.Go(func() { time.Sleep(d) })
			wg.Wait()
		}},
		{"helper", CPU, func() {
			c := make(chan int)
			compute(func() { c <- 1 })
			<-c
		}},
		{"who has ended", CPU, func() {
			c, own := make(chan int), make(chan int)
			go func() { c <- 1 + <-own }()
			compute(func() { own <- 1 })
			<-c
		}},
		{"who started it", CPU, func() {
			c := make(chan int)
			compute(func() { go func() { c <- 1 }() })
			<-c
		}},
		{"go-between", CPU, func() {
			c := make(chan int)
			compute(func() { jobs <- c })
			<-c
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := analyze(t, take(t, func() {
				spanOf(i, func() {
					defer background()()
					tt.f()
				})
			}))
			s := got[id(i)]
			is := in(s, tt.want)
			other := in(s, Chan) + in(s, Lock) + in(s, Select) + in(s, CPU) - is
			if tt.want == CPU {
				is += in(s, Runnable)
			}
			if is < other {
				t.Errorf("got %v in state %v and %v in others: %+v", is, tt.want, other, s.Segments)
			}
			if s.Running <= in(s, CPU) && tt.want != CPU {
				t.Errorf("got %v running, %v in state CPU; want what is done in the background, too", s.Running, in(s, CPU))
			}
		})
	}
}
