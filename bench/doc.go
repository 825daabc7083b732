// Package bench holds the project's own benchmarks: what its figures are worth
// and what they cost. Their results are kept as text in bench/results, each with
// the machine and the command.
package bench
