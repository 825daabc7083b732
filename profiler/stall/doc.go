// Package stall works out where the wall time of a trace went.
//
// It is pure: a [spanstore.Trace] goes in, with whatever was measured during
// its spans, and an [Analysis] comes out. Nothing is read, started or kept, so
// the page, the text for curl, the tests and the benchmarks all say the same
// about the same trace.
//
//	t, err := store.Trace(ctx, id)
//	a := stall.Analyze(t)
//	fmt.Println(a.Headline)
//
// # What it answers
//
//   - The tree, in display order, with whatever is broken about it named in
//     [Analysis.Problems]: missing parents, cycles, ids given twice, clocks that
//     disagree. A broken trace still gets every one of its spans shown.
//   - Self time: what is left of a span when the union of its awaited children
//     is taken away. Self and covered time add up to the wall time, to the
//     nanosecond.
//   - The critical path: which span, at each instant, the end of the root hung
//     on. It covers the root's wall time without gap or overlap.
//   - The CPU time of each span with its interval and its evidence, its states,
//     and the budget of the critical path by state.
//   - A headline that says the most important of this in one or two sentences,
//     and findings that say what could be gained.
//
// # Awaited
//
// Spans do not record who waited for whom. A child counts as awaited when it
// ends inside its parent; one that ends after its parent cannot have been. An
// exception is a call: the server span below a client span is awaited for as
// long as the client span lasts, even when it ends later, because a client span
// is the wait for the server's answer and a server closes its span only after
// it has given that answer. Child intervals are clipped to the parent.
//
// So work in the background that happens to end before its parent counts as
// awaited. The spans alone cannot tell.
//
// # Critical path
//
// The walk goes backward from the end of the root: the awaited child that ends
// last is on the path, then, before its start, the one that ends last before
// that, and so on down the tree. What no child covers is the span's own. Where
// several children run at the instant the walk has reached, it takes the one
// that ends soonest after it, and only the part before the instant: children in
// sequence often overlap a little (a response body closed late, two clocks), and
// this keeps them in sequence. A span is therefore on the path only during its
// self time, and its covered time belongs to its children.
//
// # CPU figures
//
// CPU samples are systematic: the timer of a thread ticks each P, 10 ms, of the CPU
// time that the thread uses, and n samples stand for n·P. For work that has a
// thread to itself the error is less than P + T in each profile window that it
// touches: P because nobody knows where between two samples the work began and
// ended, and T, 4 ms, because the kernel delivers a sample at its next tick. Over k
// windows the errors are independent, and the half width of the interval is
// E = (P+T)·√k.
//
// Work in short bursts, between which others run on the thread, gets the ticks that
// happen to fall on it: its samples are nearly Poisson, and scatter by √n. Whether
// that was so nobody recorded, but a span whose CPU time, v, is a part of its wall
// time, w, gave others the chance: n samples scatter by √((n+1)·(1 - v/w)), of which
// twice is added; the 1 is for those who got fewer than their due. A span that was
// on CPU all the time keeps E. Where v is more than w by more than the interval,
// several goroutines were on CPU at once, and for how much of their time is not
// known: it counts as 1 - v/w = 1.
//
// Samples get lost beside busy neighbours. The profiler knows how many, by the
// clocks of the threads, and gives a sample of the window more worth, c·P instead
// of P: the value is n·c·P. Which spans lost them it does not know. With the share
// q = 1 - 1/c lost, n samples scatter by √(n·q), so that the half width is
//
//	√(E² + (3·c·P)²·n·q + (2·c·P)²·(n+1)·(1 - v/w))
//
// below as above, but never below 0. Time that no window covers widens the upper
// end by as much. No sample in a span that was watched is a bound: between 0 and
// 3·P or E, whichever is more, and not more than the span's wall time; more than
// 3·P of CPU time in bursts would have had a sample in 95 of 100 cases. The edges and
// bounds assume that at most one goroutine of the span was on CPU at a time; the
// parallelism of a span cannot be known from samples alone. A span that nobody
// watched has no figure but a reason. What share of the spans lies in its interval
// is measured: bench/results/cputruth.txt.
//
// A span's CPU is its own. The figure of a whole trace has its interval from
// the same rule, where the spans of one service, which mostly follow one another
// on one goroutine, are one systematic sample: k is the larger of the services with
// work and the windows. The number of services with work is not known; it is at most the number of
// services and the number of samples.
//
// In windows in which only local roots were labelled a local root has the samples
// of the spans below it, and says so; those have no figure of their own.
//
// Samples carry no time: sampled CPU is a proportion of a span's self time,
// never a position in it.
//
// # Exact states
//
// A span of which an execution trace was read (spanstore.Exact) has a
// [Node.Timeline]: what it did at each moment of its self time. Its states, its CPU
// time and its part of the critical path's budget then follow from events. The states
// divide wall time: while it waits, a span has the state of those of its goroutines that
// it waits for. What others of them compute in the background is in its CPU time alone,
// which is that of all its goroutines. What the kernel took away (StateSteal) is an
// estimate, marked inferred, and so the CPU time has bounds. Time that awaited children
// cover is theirs, whatever the goroutine of the parent did.
//
// # Findings
//
// [Analysis.Findings] names what would make the main root faster, with how much,
// the greatest gain first: a write at the tail that the request may not need; calls
// of the same kind of peer that follow one another, or many of one name; what a span's own
// time on the critical path was. What no request should do (waiting for a lock, a
// channel, a pool, a processor, the collector, sleeping) is named from a tenth of the
// wall time on, what every request does (computing, asking others) from half of it;
// nothing below a millisecond. What is gained is worked out by [Analysis.WallWithout]:
// what ran one after the other still does. A healthy trace has no finding.
//
// # Cost
//
// O(n log n) for n spans, whatever is broken about them, about 600 bytes a span;
// 100,000 spans take a few tenths of a second. Results share the trace's spans: read only.
package stall
