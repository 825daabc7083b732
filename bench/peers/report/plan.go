package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

// results gathers figures by store, phase and name, a value for each turn.
type results struct {
	mu     sync.Mutex // guards values
	values map[string][]float64
}

func (r *results) add(store, phase string, f figures) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, v := range f {
		key := store + "/" + phase + "/" + name
		r.values[key] = append(r.values[key], v)
	}
}

// median returns a figure, and false when it was not measured.
func (r *results) median(store, phase, name string) (float64, bool) {
	vs := r.values[store+"/"+phase+"/"+name]
	return measure.Quantile(vs, 0.5), len(vs) > 0
}

// measureAll does everything, one process after the other.
func measureAll(c config) (*results, error) {
	r := &results{values: map[string][]float64{}}
	pool, floorTest := filepath.Join(c.dir, "pool"), filepath.Join(c.dir, "floor.test")
	if err := r.run(c, "workload", job{Phase: "workload", Store: "spanclock", Seed: 1}); err != nil {
		return nil, err
	}
	if err := r.run(c, "pool", job{Phase: "pool", Store: "spanclock", Seed: 1, On: pool}); err != nil {
		return nil, err
	}
	if err := buildFloor(c, floorTest); err != nil {
		return nil, err
	}
	log.Printf("letting the ring go round %d times", c.wraps)
	if err := r.run(c, "wrap", job{Phase: "wrap", Store: "spanclock", Seed: 1}); err != nil {
		return nil, err
	}
	for round := range c.rounds {
		log.Printf("writing, %d of %d", round+1, c.rounds)
		for i := range c.stores {
			j := job{Phase: "write", Store: c.stores[(i+round)%len(c.stores)], Seed: uint64(round) + 2, N: c.write}
			var err error
			switch j.Store {
			case "floor":
				err = r.floor(c, floorTest, pool)
			case "spanclock":
				err = r.run(c, "write", j)
			default:
				j.N = (c.kept + c.rounds - 1) / c.rounds
				err = r.run(c, "write", j)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return r, errors.Join(r.read(c), r.trickles(c), r.run(c, "onend", job{Phase: "onend", Store: "spanclock", Seed: 1, N: 15}))
}

// whole are the stores that can be read, too.
func (c config) whole() (out []string) {
	for _, s := range c.stores {
		if s != "floor" {
			out = append(out, s)
		}
	}
	return out
}

func (r *results) read(c config) error {
	const turns = 3
	for turn := range turns {
		log.Printf("reading, %d of %d", turn+1, turns)
		for _, store := range c.whole() {
			if err := errors.Join(
				r.run(c, "cold", job{Phase: "cold", Store: store, Seed: uint64(turn), N: 150}),
				r.run(c, "warm", job{Phase: "warm", Store: store, Seed: uint64(turn), N: 2000}),
			); err != nil {
				return err
			}
		}
	}
	for _, store := range c.whole() {
		if err := errors.Join(
			r.run(c, "disk", job{Phase: "disk", Store: store}),
			r.run(c, "memory", job{Phase: "memory", Store: store, Seed: 100}),
		); err != nil {
			return err
		}
	}
	return nil
}

// Rates below saturation, in spans a second.
var (
	slowRates = []int{10, 100, 500, 1000}
	fastRates = []int{10_000, 50_000}
	peerRates = []int{100, 1000}
)

// trickles runs the slow rates side by side: they count bytes, and use little
// CPU. Each of spanclock's gets a copy of the ring.
func (r *results) trickles(c config) error {
	log.Printf("writing below saturation, %v each", c.window)
	groups := make([][]job, 1+len(peerRates))
	for _, rate := range slowRates {
		groups[0] = append(groups[0], job{Phase: "trickle", Store: "spanclock", Rate: rate})
	}
	for i, rate := range peerRates {
		for _, store := range c.whole() {
			if store != "spanclock" {
				groups[i+1] = append(groups[i+1], job{Phase: "trickle", Store: store, Rate: rate})
			}
		}
	}
	for _, rate := range fastRates {
		groups = append(groups, []job{{Phase: "trickle", Store: "spanclock", Rate: rate}})
	}
	for n, group := range groups {
		errs := make([]error, len(group))
		var wg sync.WaitGroup
		for i, j := range group {
			j.Seed = uint64(200 + 10*n + i)
			if j.Store == "spanclock" {
				j.On = filepath.Join(c.dir, fmt.Sprintf("ring-%d", j.Rate))
				if err := os.CopyFS(j.On, os.DirFS(filepath.Join(c.dir, j.Store))); err != nil {
					return err
				}
			}
			wg.Go(func() { errs[i] = r.run(c, fmt.Sprintf("trickle-%d", j.Rate), j) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// run does one job in a process of its own.
func (r *results) run(c config, as string, j job) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := output(exec.CommandContext(c.ctx, self, j.args(c)...))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", j.Phase, j.Store, err)
	}
	var f figures
	if err := json.Unmarshal(out, &f); err != nil {
		return fmt.Errorf("%s of %s: %w in %q", j.Phase, j.Store, err, out)
	}
	r.add(j.Store, as, f)
	return nil
}

// buildFloor builds the benchmark that lies beside the codec, which nobody but
// the store may import.
func buildFloor(c config, path string) error {
	_, err := output(exec.CommandContext(c.ctx, "go", "test", "-c", "-o", path, "github.com/spanclock/spanclock/spanstore"))
	return err
}

func (r *results) floor(c config, test, pool string) error {
	cmd := exec.CommandContext(c.ctx, test, "-test.run", "^$", "-test.bench", "^BenchmarkFloor$", "-test.benchtime", fmt.Sprintf("%dx", c.write),
		"-floor.spans", pool, "-floor.ring", fmt.Sprint(c.ring))
	// Its temporary files belong on the same disk.
	cmd.Env = append(os.Environ(), "TMPDIR="+c.dir)
	out, err := output(cmd)
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	f := metrics(string(out))
	if len(f) == 0 {
		return fmt.Errorf("floor: no figures in %q", out)
	}
	r.add("floor", "write", f)
	return nil
}

// metrics reads the "value unit" pairs of a benchmark's line.
func metrics(out string) figures {
	f := figures{}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "BenchmarkFloor") {
			continue
		}
		fields := strings.Fields(line)
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				f[fields[i+1]] = v
			}
		}
	}
	return f
}

func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, out, &stderr)
	}
	return out, nil
}
