// Command cputruth compares the CPU time that is shown for spans with what they
// really used, by the clock of their thread, and prints one table: spans of 1 to 500
// ms, on one goroutine and on one for each CPU, locked to their threads; spans that
// share threads, 16 at a time, in bursts of 200 µs; on the machine as it is, beside
// as many busy processes as there are CPUs, and with all threads on a single CPU
// while GOMAXPROCS is more. It runs on Linux.
//
//	go run ./bench/cputruth -out bench/results/cputruth.txt      # a quarter of an hour
//
// The columns, over all spans of a row:
//
//	shown/true     sum of what is shown over the sum of what was used; 1 is perfect
//	shown/sampled  the same over the CPU time, user and system, of all threads that are
//	               sampled: what is missing was used outside of spans, by the runtime and
//	               by this command
//	unsampled      the share of the process's CPU time that threads used which are not
//	               sampled and that no span is shown: the runtime's sysmon
//	mean error     of the CPU time of a span
//	rmse           root of the mean squared error
//	in interval    share of the spans whose true CPU time lies in the interval shown
//	interval       mean half width of the intervals
//	calibration    by how much the samples were given more worth, for the clocks said
//	               that some were lost
package main
