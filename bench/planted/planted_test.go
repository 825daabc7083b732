package main

import (
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spanclock/spanclock/bench"
)

// planted returns what the three stages take of something that is n as a rule: with
// SPANCLOCK_PLANTED=1 the second takes 20 % more.
func planted[T int | time.Duration](n T) (stages [3]T) {
	stages = [3]T{n, n, n}
	if os.Getenv("SPANCLOCK_PLANTED") != "" {
		stages[1] += n / 5
	}
	return stages
}

var names = [3]string{"parse", "query", "render"}

// BenchmarkStages has three spans, one after the other, that wait for 25 ms each.
// They do not compute, so that a machine that others use does not decide the outcome.
func BenchmarkStages(b *testing.B) {
	tracer := bench.New(b).Provider().Tracer("planted")
	for b.Loop() {
		for i, takes := range planted(25 * time.Millisecond) {
			_, span := tracer.Start(b.Context(), names[i])
			time.Sleep(takes)
			span.End()
		}
	}
}

// BenchmarkComputing has three spans that compute, some 25 ms each. What counts of
// them on a machine that others use is the CPU time.
func BenchmarkComputing(b *testing.B) {
	tracer := bench.New(b).Provider().Tracer("planted")
	for b.Loop() {
		for i, rounds := range planted(12_000_000) {
			_, span := tracer.Start(b.Context(), names[i])
			compute(rounds)
			span.End()
		}
	}
}

// TestJudge takes what benchstat says of both benchmarks.
func TestJudge(t *testing.T) {
	const report = `
            │ before │ planted │
            │ sec/op │ sec/op     vs base │
Stages-2      85m ± 1%   90m ± 1%   +5.88% (p=0.000 n=12)
Computing-2   60m ± 1%   64m ± 1%   +6.67% (p=0.000 n=12)

            │ before           │ planted          │
            │ cpu-sec/op:parse │ cpu-sec/op:parse vs base │
Stages-2      0.001n ± 0%   0.001n ± 0%   ~ (p=1.000 n=12)
Computing-2   20.0m ± 1%    20.1m ± 1%    PARSE

            │ before           │ planted          │
            │ cpu-sec/op:query │ cpu-sec/op:query vs base │
Stages-2      0.001n ± 0%   0.001n ± 0%   ~ (p=1.000 n=12)
Computing-2   20.0m ± 1%    24.0m ± 1%    CPU

            │ before            │ planted           │
            │ wall-sec/op:query │ wall-sec/op:query vs base │
Stages-2      27m ± 1%    33m ± 1%    WALL
Computing-2   21m ± 1%    25m ± 1%    +19.05% (p=0.000 n=12)
`
	const same, more = "~ (p=0.5 n=12)", "+20.00% (p=0.000 n=12)"
	for _, c := range []struct{ parse, cpu, wall, want string }{
		{same, more, more, ""},
		{more, more, more, "Computing: cpu-sec/op:parse differs"},
		{same, same, more, "Computing: the cpu time of query does not differ"},
		{same, more, same, "Stages: the wall time of query does not differ"},
	} {
		err := judge(strings.NewReplacer("PARSE", c.parse, "CPU", c.cpu, "WALL", c.wall).Replace(report))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v; want %q", c, err, c.want)
		}
	}
}

var sink atomic.Uint64

// compute depends on nothing but the CPU's clock: it touches no memory.
//
//go:noinline
func compute(rounds int) {
	x := uint64(rounds) | 1
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink.Store(x)
}
