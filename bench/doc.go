// Package bench holds the project's own benchmarks: what its figures are worth
// and what they cost. Their results are kept as text in bench/results, each with
// the machine and the command.
//
// The store's figures come from here and from the module in bench/peers, which
// measures badger and SQLite on the same spans and prints them side by side
// (make bench-store). What the store could reach at best is BenchmarkFloor in
// spanstore: the same codec and a bare file.
//
// What the CPU figures are worth says bench/cputruth (make bench-truth), what a
// label costs a span bench/peers/labels, beside others that label (make
// bench-labels), what is lost between windows and how soon CPU time is seen
// bench/windows (make bench-windows). Ratios taken side by side are to be trusted,
// times on a machine that others use are not.
package bench
