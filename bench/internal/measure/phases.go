package measure

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Batch is how many spans one Export gets: what the SDK's batch processor
// hands over at most.
const Batch = 512

// Chunk is how many spans are made at a time, so that making them is not
// measured: 25 blocks of 2,048, a hundred batches.
const Chunk = 100 * Batch

// Writing is the result of Write.
type Writing struct {
	Spans   int64
	Cost    Cost
	Payload int64
	Wall    time.Duration
	Exports []time.Duration // what each Export of a whole batch took its caller
}

// Write stores n spans as fast as they are taken, from ReadOnlySpan to durable,
// a whole number of chunks. next makes the spans; that is not measured, and what
// the store does in its background is waited for before.
func Write(s Store, n int, next func() []sdktrace.ReadOnlySpan) (w Writing, err error) {
	for w.Spans < int64(n) {
		spans := next()
		if err := s.Sync(); err != nil {
			return w, err
		}
		runtime.GC() // what making them left behind
		payload, cost, begun := s.Payload(), Spent(), time.Now()
		for at := 0; at < len(spans); at += Batch {
			t := time.Now()
			if err := s.Export(spans[at:min(at+Batch, len(spans))]); err != nil {
				return w, err
			}
			w.Exports = append(w.Exports, time.Since(t))
		}
		if err := s.Sync(); err != nil {
			return w, err
		}
		w.Wall += time.Since(begun)
		w.Cost = w.Cost.Add(Spent().Since(cost))
		w.Payload += s.Payload() - payload
		w.Spans += int64(len(spans))
	}
	return w, nil
}

// Lookup reads n of the traces, drawn at random, and returns what each took.
// Each must have the given number of spans.
func Lookup(s Store, r *rand.Rand, ids []trace.TraceID, n, spans int) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		id := ids[r.IntN(len(ids))]
		t := time.Now()
		got, err := s.Lookup(id)
		took[i] = time.Since(t)
		if err != nil {
			return nil, err
		}
		if got != spans {
			return nil, fmt.Errorf("trace %s: got %d spans; want %d", id, got, spans)
		}
	}
	return took, nil
}

// LookupApart reads n traces that lie far apart, each once, so that none finds
// what another has brought into memory.
func LookupApart(s Store, r *rand.Rand, ids []trace.TraceID, n int) ([]time.Duration, error) {
	stride := len(ids) / n
	took := make([]time.Duration, n)
	for i, at := range r.Perm(n) {
		t := time.Now()
		if _, err := s.Lookup(ids[at*stride]); err != nil {
			return nil, err
		}
		took[i] = time.Since(t)
	}
	return took, nil
}

// Trickle stores spans at a steady rate below what the store can take, those
// that are due at each tick of pace in batches, and returns the cost of it and of
// what made it durable. It takes the spans again and again when they are too few.
func Trickle(s Store, perSecond int, pace, window time.Duration, spans []sdktrace.ReadOnlySpan) (w Writing, err error) {
	payload, cost, begun := s.Payload(), Spent(), time.Now()
	t := time.NewTicker(pace)
	defer t.Stop()
	for elapsed := time.Duration(0); elapsed < window; elapsed = time.Since(begun) {
		for due := int64(elapsed.Seconds()*float64(perSecond)) - w.Spans; due > 0; {
			at := int(w.Spans) % len(spans)
			batch := spans[at:min(at+int(min(due, Batch)), len(spans))]
			t := time.Now()
			if err := s.Export(batch); err != nil {
				return w, err
			}
			if len(batch) == Batch {
				w.Exports = append(w.Exports, time.Since(t))
			}
			w.Spans += int64(len(batch))
			due -= int64(len(batch))
		}
		<-t.C
	}
	w.Wall = time.Since(begun)
	err = s.Sync()
	w.Cost, w.Payload = Spent().Since(cost), s.Payload()-payload
	return w, err
}
