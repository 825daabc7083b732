// Package exectrace reads a Go execution trace, as the flight recorder hands it
// out, and says of each span in it what its goroutines did at each instant: ran,
// waited for a processor, or were blocked, where, and who let them go on.
//
// # What must be in the trace
//
// [LogStart] and [LogEnd], called on a span's goroutine when it starts and ends,
// write its ids into the trace: the SDK's own task has no more than the name. It tells
// the end of short spans, though, so that these cost one event instead of two.
// [ThreadClock] writes what CPU time each thread of the process has used, every
// [ReadEvery] while spans start and end. Both cost next to nothing while nobody traces.
//
// # What comes out
//
// A span's time here is its own: while another span is active on its goroutine,
// that one has the time, as it has the CPU samples. A goroutine that is started
// inside a span works for it until it starts a span itself. While a span's own goroutine
// is blocked the span is in the state of the one that let it go on in the end, if that
// worked for the span, and before that of those for whom this one waited, or who started
// or sent it. Where all of these waited, or others than the span's goroutines were at
// work, such as those of another span or a timer, it is the goroutine's own wait. So what
// is computed in the background, and the reader of a connection that is kept, do not hide
// what was waited for; what they ran counts in Running all the same, which is the CPU time
// of all of a span's goroutines and may exceed its time in state CPU. Two exceptions: who
// waits for a mutex waits for its holder, whoever that works for; and in a wait that has
// not ended with the trace any of the span's goroutines that does something is taken for
// what it waits for. So a span's segments follow one another without overlap, and with
// what its child spans on the same goroutine cover they
// fill the time from its start to its end.
//
// # Running is not CPU time
//
// A goroutine that has a thread which the kernel has put aside (other processes,
// a quota) is running as far as the trace can tell. The threads' own clocks know
// better: between two readings a thread's running time is scaled to the CPU time
// that it had. The rest is called stolen. It is an estimate, as nothing says where between
// the readings it lay. Readings that come late, because the reader starves as
// well, count when they were made; what exceeds the running time of one
// interval goes to its neighbours.
//
// # Cost
//
// The trace is read as a stream: what is kept is one record for each goroutine
// and for each span that has not been handed out, which happens two readings
// after its end, five at most. An event takes about 0.3 µs, most of it in the parser, which
// itself holds a generation of the trace (about one second) at a time.
package exectrace
