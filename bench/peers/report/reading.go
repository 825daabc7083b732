package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanclock/spanclock/bench/internal/measure"
	"github.com/spanclock/spanclock/bench/internal/workload"
)

// ids returns the traces that a store with that many spans still has whole.
func (j *job) ids(c config, spans int64) ([]trace.TraceID, error) {
	b, err := os.ReadFile(j.dir(c) + ".ids")
	if err != nil {
		return nil, err
	}
	var ids []trace.TraceID
	for ; len(b) >= 16; b = b[16:] {
		ids = append(ids, trace.TraceID(b))
	}
	// With some room for where the oldest traces were cut.
	n := min(len(ids), int(float64(spans)*0.97)/workload.SpansPerTrace)
	return ids[len(ids)-n:], nil
}

// reading is a store that was opened to read what an earlier job wrote.
type reading struct {
	measure.Store
	ids  []trace.TraceID // of the traces that it has whole
	open time.Duration   // what it took to open it
	rand *rand.Rand
}

func (j *job) read(c config) (*reading, error) {
	begun := time.Now()
	s, err := j.open(c)
	if err != nil {
		return nil, err
	}
	r := &reading{Store: s, open: time.Since(begun), rand: rand.New(rand.NewPCG(j.Seed, 1))}
	if r.ids, err = j.ids(c, s.Spans()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return r, nil
}

// figures are those of opening and of looking traces up.
func (r *reading) figures(took []time.Duration) figures {
	return figures{
		"open": r.open.Seconds(), "p50": measure.Quantile(took, 0.5).Seconds(), "p99": measure.Quantile(took, 0.99).Seconds(),
	}
}

// warm measures reading with everything in the page cache.
func (j *job) warm(c config) (figures, error) {
	r, err := j.read(c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := measure.Lookup(r, r.rand, r.ids, j.N/4, workload.SpansPerTrace); err != nil {
		return nil, err
	}
	took, err := measure.Lookup(r, r.rand, r.ids, j.N, workload.SpansPerTrace)
	if err != nil {
		return nil, err
	}
	f := r.figures(took)
	f["spans"] = float64(r.Spans())
	return f, scans(r, f)
}

// scans asks for what no span has, by a text and by a number, some times each.
func scans(s measure.Store, f figures) error {
	for name, scan := range map[string]func() (int, error){
		"scan-text":   func() (int, error) { return s.Scan(workload.SearchText, "GET session:none") },
		"scan-number": func() (int, error) { return s.ScanAbove(workload.SearchNumber, 20_000) },
	} {
		var took []time.Duration
		for range 5 {
			begun := time.Now()
			n, err := scan()
			if errors.Is(err, errors.ErrUnsupported) {
				break
			}
			if n != 0 || err != nil {
				return fmt.Errorf("%s: got %d traces, %w; want none", name, n, err)
			}
			took = append(took, time.Since(begun))
		}
		if len(took) > 0 {
			f[name] = measure.Quantile(took, 0.5).Seconds()
		}
	}
	return nil
}

// cold measures what must come from the disk: the files are dropped from the
// page cache before the store is opened, and each trace read lies far from the
// others.
func (j *job) cold(c config) (figures, error) {
	if !measure.Chill(j.dir(c)) {
		return figures{}, nil
	}
	r, err := j.read(c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	measure.Chill(j.dir(c)) // what opening and counting brought in, as far as it is not mapped
	took, err := measure.LookupApart(r, r.rand, r.ids, j.N)
	return r.figures(took), err
}

// memory measures what an open store holds when all its parts have been used.
func (j *job) memory(c config) (figures, error) {
	before := measure.Held()
	r, err := j.read(c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := measure.Lookup(r, r.rand, r.ids, 500, workload.SpansPerTrace); err != nil {
		return nil, err
	}
	if _, err := r.Scan(workload.SearchText, "none"); err != nil {
		return nil, err
	}
	r.ids = nil
	if _, err := measure.Write(r, 1, func() []sdktrace.ReadOnlySpan { return j.spans(c)(16 * measure.Batch) }); err != nil {
		return nil, err
	}
	after := measure.Held()
	return figures{"heap": float64(after.Heap - before.Heap), "anonymous": float64(after.Anonymous - before.Anonymous)}, nil
}
