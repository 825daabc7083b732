// Command page measures what the page's views cost the server: with a million
// spans in the store, how long each takes to answer, and how much CPU. It prints
// one table.
//
//	go run ./bench/page -out bench/results/page-server.txt      # two minutes
//
// The spans are those of package workload, an hour of them, 500 each 1.8 s, in a
// store on disk. The handler is asked directly, without a network, for JSON. Each
// question differs from the one before in its times, so that nothing is answered
// from what was computed for another; the row "again" is what a second reader gets.
//
//	p50, p99  time until the answer is complete
//	cpu       of the whole process for an answer, all its threads; what it would take
//	          alone on one CPU, whatever else the machine does
//	bytes     of the answer, gzipped
//
// With -serve it serves the store instead, to look at.
package main
