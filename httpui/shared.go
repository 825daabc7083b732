package httpui

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// An answer that reads the whole store is computed once for all who ask for it,
// and holds for restEach times what it took, so that however many look it takes
// a small share of the machine. It is made anew before that for nobody.
const (
	restEach  = 20
	restLeast = time.Second
	restMost  = 30 * time.Second

	// answerTime bounds a computation, and maxAnswers how many are kept.
	answerTime = 30 * time.Second
	maxAnswers = 16
)

// shared are answers by what was asked.
type shared[T any] struct {
	mu      sync.Mutex
	answers map[string]*answer[T]
}

type answer[T any] struct {
	done   chan struct{}
	value  T
	err    error
	fault  any       // what the computation panicked with; so do those who asked
	until  time.Time // it holds; zero while it is computed
	asking int       // those who wait for it
	cancel context.CancelFunc
}

// get returns the answer to key, which compute gives. The computation ends when
// nobody waits for it any more.
func (s *shared[T]) get(ctx context.Context, key string, compute func(context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	a := s.answers[key]
	if a == nil || !a.until.IsZero() && time.Now().After(a.until) {
		a = s.begin(key, compute)
	}
	a.asking++
	s.mu.Unlock()
	defer s.leave(key, a)
	select {
	case <-a.done:
		if a.fault != nil {
			panic(a.fault) // the handler's rescue answers it
		}
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// begin starts a computation. The lock is held.
func (s *shared[T]) begin(key string, compute func(context.Context) (T, error)) *answer[T] {
	if s.answers == nil {
		s.answers = map[string]*answer[T]{}
	}
	s.forget()
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	a := &answer[T]{done: make(chan struct{}), cancel: cancel}
	s.answers[key] = a
	go s.compute(ctx, key, a, compute)
	return a
}

func (s *shared[T]) compute(ctx context.Context, key string, a *answer[T], compute func(context.Context) (T, error)) {
	begun := time.Now()
	defer func() {
		if r := recover(); r != nil {
			a.fault = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
		a.cancel()
		s.mu.Lock()
		a.until = time.Now().Add(min(restMost, max(restLeast, restEach*time.Since(begun))))
		if (a.err != nil || a.fault != nil) && s.answers[key] == a {
			delete(s.answers, key)
		}
		s.mu.Unlock()
		close(a.done)
	}()
	a.value, a.err = compute(ctx)
}

// leave ends a computation that nobody waits for.
func (s *shared[T]) leave(key string, a *answer[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.asking--; a.asking > 0 || !a.until.IsZero() {
		return
	}
	a.cancel()
	if s.answers[key] == a {
		delete(s.answers, key)
	}
}

// forget makes room for one more answer: what does not hold any more goes, and
// else the one that would go first. The lock is held.
func (s *shared[T]) forget() {
	now := time.Now()
	first := ""
	for key, a := range s.answers {
		switch {
		case a.until.IsZero(): // somebody waits for it
		case now.After(a.until):
			delete(s.answers, key)
		case first == "" || a.until.Before(s.answers[first].until):
			first = key
		}
	}
	if len(s.answers) >= maxAnswers && first != "" {
		delete(s.answers, first)
	}
}
