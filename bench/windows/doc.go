// Command windows measures what windows cost who looks: how long after some work
// its CPU time is in the store, with somebody who looks on, and how much of the
// time is not sampled because one window ends and the next begins. It prints one
// table.
//
//	go run ./bench/windows -out bench/results/windows.txt      # four minutes
//
// The work is a span that burns 100 ms. Who looks asks every 250 ms, as the page
// does for what is pending. The profiler has its default options.
//
//	windows      that ended in the time
//	lost         share of the time in which nothing was sampled, between windows
//	median, max  time from the end of a span to its CPU time in the store
package main
