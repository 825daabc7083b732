// Command exactcost measures what the exact level (profiler.ExactAuto) costs: processes
// with and without it take turns, so that what else the machine does falls on both. What
// is compared is CPU time, user and system, of the whole process.
//
//	go run ./bench/exactcost -out bench/results/exactcost.txt      # a quarter of an hour
//
// Armed means that the flight recorder runs and no snapshot is taken; not armed is the
// profiler without the exact level. A request has five spans, a round trip over a
// connection, an answer from another goroutine, a lock, and work.
//
//	more         CPU time of the same requests over that of the turn beside it
//	of one core  the same in CPU time, at the rate of requests that was reached
//
// A snapshot is read while nothing else runs: its CPU time is that of the process, with
// writing it out and collecting garbage. Live is what collections in a row found
// reachable meanwhile, over what was before.
package main
