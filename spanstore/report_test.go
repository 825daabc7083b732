package spanstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// logged opens a store in memory, and returns what counts its reports of a kind.
func logged(t *testing.T, o Options) (*Store, func(kind string) int) {
	t.Helper()
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := Open("", &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, func(kind string) (n int) {
		betweenCommits(t, s, func() error { // the writer reports, too
			n = strings.Count(log.String(), "kind="+kind+"\n")
			return nil
		})
		return n
	}
}

// failingSegment fails as long as it is told to.
type failingSegment struct {
	*memSegment
	fails *atomic.Bool
}

var errTest = errors.New("the disk is on fire")

func (s failingSegment) remove() error {
	if s.fails.Load() {
		return errTest
	}
	return s.memSegment.remove()
}

func (s failingSegment) readInto(seq uint64, buf []byte) ([]byte, error) {
	if s.fails.Load() {
		return nil, errTest
	}
	return s.memSegment.readInto(seq, buf)
}

// A slow disk is told of once, and again when it was quick in between.
func TestSlowDiskIsToldAgain(t *testing.T) {
	s, told := logged(t, Options{})
	g := spangen.New(1)
	for round := range 3 {
		goOn := hang(t, s)
		for range 2 {
			late := make(chan time.Time, 1)
			late <- time.Now()
			if s.waitForRoom(context.Background(), late) {
				t.Fatal("there was room")
			}
		}
		goOn()
		offer(t, s, single(g))
		if err := s.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := told("slow"); n != round+1 {
			t.Errorf("in round %d it was told %d times; want once a round", round, n)
		}
	}
}

// A segment that cannot be evicted is told of once, and another one later.
func TestFailedEvictionIsToldAgain(t *testing.T) {
	s, told := logged(t, Options{MaxAge: time.Hour})
	var fails atomic.Bool
	tidy := func() {
		betweenCommits(t, s, func() error { s.ring.tidy(time.Now()); return nil })
	}
	for round := range 3 {
		betweenCommits(t, s, func() error {
			s.ring.sealed = append(s.ring.sealed, sealedSegment{failingSegment{newMemSegment(s.ring.next), &fails}, time.Time{}})
			s.ring.next++
			return nil
		})
		fails.Store(true)
		tidy()
		tidy()
		if n := told("evict"); n != round+1 {
			t.Errorf("in round %d it was told %d times; want once a round", round, n)
		}
		fails.Store(false)
		tidy()
	}
	if n := s.Stats().Segments; n > 0 {
		t.Errorf("%d segments are left", n)
	}
}

// What cannot be kept is told of once, and again when something could be.
func TestWhatCannotBeKeptIsToldAgain(t *testing.T) {
	s, told := logged(t, Options{})
	var fails atomic.Bool
	g := spangen.New(1)
	turn := func(failing bool) {
		t.Helper()
		betweenCommits(t, s, func() error {
			err := s.ring.rotate()
			s.ring.active = failingSegment{s.ring.active.(*memSegment), &fails}
			return err
		})
		span := single(g)
		span.Status = sdktrace.Status{Code: codes.Error}
		offer(t, s, span)
		s.mu.Lock()
		s.closeOpen()
		s.mu.Unlock()
		if err := s.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		betweenCommits(t, s, func() error {
			if err := s.ring.rotate(); err != nil {
				return err
			}
			fails.Store(failing)
			defer fails.Store(false)
			seg := s.ring.sealed[len(s.ring.sealed)-1]
			s.ring.rescue(seg.segment)
			return nil
		})
	}
	for i, c := range []struct {
		failing bool
		told    int
	}{{true, 1}, {true, 1}, {false, 1}, {true, 2}} {
		turn(c.failing)
		if n := told("keep"); n != c.told {
			t.Errorf("turn %d: it was told %d times; want %d", i, n, c.told)
		}
	}
}
