package httpui

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Who asks while an answer is computed, or shortly after, gets that one.
func TestSharedComputesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		var computed atomic.Int64
		compute := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			return int(computed.Add(1)), nil
		}
		var readers sync.WaitGroup
		for range 100 {
			readers.Go(func() {
				if n, err := s.get(t.Context(), "a", compute); n != 1 || err != nil {
					t.Errorf("got %d, %v; want the first answer", n, err)
				}
			})
		}
		readers.Wait()
		time.Sleep(restEach*time.Second - time.Millisecond)
		if n, _ := s.get(t.Context(), "a", compute); n != 1 {
			t.Errorf("while it holds: got answer %d; want the first", n)
		}
		time.Sleep(2 * time.Millisecond)
		if n, _ := s.get(t.Context(), "a", compute); n != 2 {
			t.Errorf("after that: got answer %d; want another", n)
		}
	})
}

// A computation ends when the last who waited for it has left, and the next who
// asks begins another. No goroutine stays: the bubble would not end.
func TestSharedEndsWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		ended := make(chan struct{})
		compute := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			close(ended)
			return 0, ctx.Err()
		}
		stay, leave := context.WithCancel(t.Context())
		go s.get(stay, "a", compute)
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.get(gone, "a", compute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		select {
		case <-ended:
			t.Error("it ended though somebody waits")
		default:
		}
		leave()
		<-ended
		if n, err := s.get(t.Context(), "a", func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
			t.Errorf("got %d, %v; want a new answer", n, err)
		}
	})
}

// What fails is not kept, and a panic is that of who asked: the handler answers it.
func TestSharedKeepsNoFailures(t *testing.T) {
	var s shared[int]
	if _, err := s.get(t.Context(), "a", func(context.Context) (int, error) { return 0, errors.New("no") }); err == nil {
		t.Error("got no error")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("got no panic")
			}
		}()
		s.get(t.Context(), "a", func(context.Context) (int, error) { panic("oh") })
	}()
	if n, err := s.get(t.Context(), "a", func(context.Context) (int, error) { return 1, nil }); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	for i := range 5 * maxAnswers {
		s.get(t.Context(), strconv.Itoa(i), func(context.Context) (int, error) { return i, nil })
	}
	if len(s.answers) > maxAnswers {
		t.Errorf("got %d answers; want %d at most", len(s.answers), maxAnswers)
	}
}

// stuck is a connection whose reader reads no more: a write waits for its deadline.
type stuck struct {
	http.ResponseWriter
	deadline time.Time
	writes   int
}

func (s *stuck) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }
func (s *stuck) FlushError() error                  { return nil }

func (s *stuck) Write(b []byte) (int, error) {
	if s.writes++; s.writes > 1 {
		time.Sleep(time.Until(s.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	return len(b), nil
}

// A stream ends when its reader leaves, when it reads no more, and after a time.
// More than maxStreams are refused.
func TestStreamEnds(t *testing.T) {
	open := func(h http.Handler, ctx context.Context, w http.ResponseWriter) {
		r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost/t/live?stream=1&format=json", nil)
		r.RemoteAddr = "127.0.0.1:1"
		h.ServeHTTP(w, r)
	}
	synctest.Test(t, func(t *testing.T) {
		h := Handler(nil, nil)
		begun := time.Now()
		open(h, t.Context(), &stuck{ResponseWriter: httptest.NewRecorder()})
		if took := time.Since(begun); took > 2*sendTime {
			t.Errorf("a reader that reads no more held its stream for %v", took)
		}
		begun = time.Now()
		open(h, t.Context(), httptest.NewRecorder())
		if took := time.Since(begun); took < streamFor/2 || took > 2*streamFor {
			t.Errorf("a stream lasted %v; want %v", took, streamFor)
		}
		ctx, leave := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		var refused atomic.Int64
		for range 3 * maxStreams {
			readers.Go(func() {
				w := httptest.NewRecorder()
				if open(h, ctx, w); w.Code == http.StatusTooManyRequests {
					refused.Add(1)
				}
			})
		}
		time.Sleep(5 * time.Second)
		if n := refused.Load(); n != 2*maxStreams {
			t.Errorf("of %d readers %d were refused; want %d", 3*maxStreams, n, 2*maxStreams)
		}
		leave()
		readers.Wait() // all have ended, or the bubble does not
		if n := h.(*handler).streams.Load(); n != 0 {
			t.Errorf("%d streams are still counted", n)
		}
	})
}
