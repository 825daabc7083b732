package main

import (
	"os"
	"testing"
	"time"

	"github.com/spanclock/spanclock/bench"
)

// BenchmarkStages has three spans, one after the other, that wait for 25 ms each.
// With SPANCLOCK_PLANTED=1 the second takes 20 % longer. They wait and do not
// compute, so that a machine that others use does not decide the outcome.
func BenchmarkStages(b *testing.B) {
	stages := []struct {
		name  string
		takes time.Duration
	}{{"parse", 25 * time.Millisecond}, {"query", 25 * time.Millisecond}, {"render", 25 * time.Millisecond}}
	if os.Getenv("SPANCLOCK_PLANTED") != "" {
		stages[1].takes += stages[1].takes / 5
	}
	tracer := bench.New(b).Provider().Tracer("planted")
	for b.Loop() {
		for _, s := range stages {
			_, span := tracer.Start(b.Context(), s.name)
			time.Sleep(s.takes)
			span.End()
		}
	}
}
