// Command exacttruth compares what the exact level (profiler.ExactAuto) shows of spans
// with the truth: spans that hash, sort and compress for 1 to 100 ms of CPU time, on one
// goroutine and on two, locked to their threads, whose clocks are the truth; some
// that wait for another goroutine in between; and 16 that share threads, in bursts of
// 200 µs. On the machine as it is, beside as many busy processes as there are CPUs, and
// in a control group with a quota of 0.6 CPUs, where one can be made. It runs on Linux.
//
//	go run ./bench/exacttruth -out bench/results/exacttruth.txt      # ten minutes
//
// The columns:
//
//	exact           share of the spans that the snapshot has from their start: where they
//	                take ten times as long as they should, the recorder forgets the first
//	on CPU          sum of the CPU time shown over that of the threads' clocks; 1 is perfect
//	running         the same of the time for which Go says that they ran: what is shown by
//	                tools that do not read the clocks
//	median error    of the CPU time of a span, without its sign; 95 % are below the next
//	in bounds       share of the spans whose true CPU time lies between the bounds shown
//	sum within 1 %  share of the spans whose states add up to their wall time; worst is
//	                the greatest part of a wall time that no state explains
//	off CPU, true   of spans that never wait, the share of their wall time in which they
//	                were not on CPU, and how that is shown: as stolen by the kernel, as
//	                waiting in Go's run queue, as being in a system call (these spans make
//	                one each 50 µs to 5 ms, to read the clock)
//
// The last table is a service of which one request in a hundred waits: how many of
// these got exact states, and how many of their spans are known to 99 % or more.
package main
