// Package bench reports, for a go benchmark, what each span of it took; and it is
// where this project's own benchmarks are.
//
//	func BenchmarkCheckout(b *testing.B) {
//		rec := bench.New(b)
//		h := newHandler(rec.Provider())
//		for b.Loop() {
//			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/checkout", nil))
//		}
//	}
//
// When the benchmark is over it reports beside ns/op, for each span name:
//
//	wall-ns/op:NAME   wall time, of all spans of the name in an operation
//	self-ns/op:NAME   the part in which no child ran that was awaited; left out
//	                  for spans without children, whose own all of it is
//	cpu-ns/op:NAME    CPU time of the span itself, by samples; 0.001 for no sample
//	stall-share:NAME  the part of the wall time, from 0 to 1, in which no awaited
//	                  child ran and the span did not compute
//	spans/op:NAME     how many
//
// Blanks in names become _, and names that are one then have one figure. Where less
// than 0.15 s of a name's own time ran while CPU was sampled, its cpu-ns/op and
// stall-share are left out, with a line why: no sample would mean nothing. benchstat compares them like any other metric, so
// it says which span a slowdown is in: run each side ten times (-count 10), and
// long enough (a CPU figure rests on 100 samples a second and busy CPU). A span's
// wall-ns/op has that of its children; where a slowdown is its own, self-ns/op
// says.
//
// With go test -artifacts a sample of the traces of the last run is left behind (with
// b.N the benchmark function runs several times), and the line "spanclock view DIR"
// printed that opens it.
//
// # What is promised
//
//  1. The metrics are of the spans that ended between New (or Reset) and the return
//     of the benchmark function, divided by b.N. New, Reset and what happens
//     at the end are not in ns/op.
//  2. It works with b.Loop, b.N, RunParallel, sub-benchmarks (New in each of them),
//     -benchtime, -count and -cpu.
//  3. With -cpuprofile, or any other CPU profile that runs already, the profile is
//     its owner's: spans label its samples, and what needs CPU time is left out,
//     with one line why. So it is when the program starts a profiler of its own.
//  4. Wall time and number are counted for every span. The shares of self time come
//     from a sample of the traces: all of the first, then fewer and fewer, chosen
//     by trace id. Where more than 40,000 spans end in a second of CPU time CPU
//     samples are taken of a part of the traces, which stand for the others; a
//     figure then takes longer runs. Metrics are for the 24 names with the most time.
//  5. Memory is bounded: about 40 MB beside the store's and the profiler's own,
//     however many spans end.
//
// # What it costs
//
// bench/results/recorder.txt has what recording adds to an operation of 20 µs
// with three spans, over the SDK with a processor that throws its spans away (make
// bench-recorder): 3.5 % of CPU time, and 6 to 11 % on a machine that is
// overloaded. Most of it is the CPU profile's own, which any -cpuprofile costs;
// adding up takes 2 %.
//
// # The project's own benchmarks
//
// They say what its figures are worth and what they cost. Their results are kept as
// text in bench/results, each with the machine and the command.
//
// The store's figures come from here and from the module in bench/peers, which
// measures badger and SQLite on the same spans and prints them side by side
// (make bench-store). What the store could reach at best is BenchmarkFloor in
// spanstore: the same codec and a bare file.
//
// What the CPU figures are worth says bench/cputruth (make bench-truth), what a
// label costs a span bench/peers/labels, beside others that label (make
// bench-labels), what is lost between windows and how soon CPU time is seen
// bench/windows (make bench-windows), and whether benchstat finds the span that a
// slowdown is in bench/planted (make bench-benchstat). What exact states are worth says
// bench/exacttruth (make bench-exact-truth), what they cost bench/exactcost (make
// bench-exact-cost). Ratios taken side by side are to be trusted, times on a machine
// that others use are not.
package bench
