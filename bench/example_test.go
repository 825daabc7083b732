package bench_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spanclock/spanclock/bench"
)

func ExampleNew() {
	benchmark := func(b *testing.B) { // func BenchmarkOrder(b *testing.B)
		rec := bench.New(b)
		tracer := rec.Provider().Tracer("example")
		for b.Loop() {
			ctx, root := tracer.Start(context.Background(), "GET /order")
			for range 3 {
				_, query := tracer.Start(ctx, "SELECT")
				query.End()
			}
			root.End()
		}
	}
	flag.Set("test.benchtime", "100x")
	defer flag.Set("test.benchtime", "1s")
	var units []string
	result := testing.Benchmark(benchmark)
	for unit := range result.Extra {
		if !strings.HasPrefix(unit, "cpu-") && !strings.HasPrefix(unit, "stall-") { // of so short a run
			units = append(units, unit)
		}
	}
	slices.Sort(units)
	for _, unit := range units {
		if strings.HasPrefix(unit, "spans/") {
			fmt.Println(unit, result.Extra[unit])
		} else {
			fmt.Println(unit)
		}
	}
	// Output:
	// self-ns/op:GET_/order
	// spans/op:GET_/order 1
	// spans/op:SELECT 3
	// wall-ns/op:GET_/order
	// wall-ns/op:SELECT
}
