// Package profiler puts the CPU time of a process to its OpenTelemetry spans:
// it takes the process's CPU profile in windows, all the time, and stores with
// each span how much CPU it used, and in which call stacks.
//
//	store, err := spanstore.Open("traces", nil)
//	prof, err := profiler.Start(store, nil)
//	tp := prof.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(store.Processor())))
//	otel.SetTracerProvider(tp)
//	...
//	prof.Stop()
//
// One Profiler serves the whole process; several providers share it. When Start
// fails, or OTEL_SDK_DISABLED=true, the *Profiler is nil and inert: a program
// runs on without CPU figures. Importing the package does nothing.
//
// # How it works
//
// A span that starts labels its goroutine with its id (span_id, in hex) and
// gives back at its end what the goroutine had before. The runtime notes the
// labels with each of the 100 CPU samples a second and busy thread. A window,
// 10 s as a rule, is turned into counts and stacks per span, handed to the store
// and forgotten. Only the public runtime/pprof takes the profile.
//
// The CPU time of a span is its own: that of the innermost span on a goroutine,
// without its child spans. A goroutine that was created in a span works for it,
// until it starts a span itself. What the garbage collector makes a goroutine
// do counts as that goroutine's work, the collector's own threads do not.
//
// A sample stands for 10 ms, and for more where samples were lost: each window is
// calibrated by the clocks of the threads that it sampled. How far off a figure
// may be says package stall with it; no sample means less than 30 ms, not nothing.
// Samples have no time: they tell how much of a span was CPU time, not when.
//
// Short spans have hardly a sample each. What all spans of a name did together is
// in spanstore.Store.Profiles, by name, by build of the program or by route: on CPU,
// and where exact states are known by state and by the stack that waited.
//
// # Promises
//
// These hold for spans of providers that the profiler is registered on; each P
// has a test of that name.
//
//	P1  A span may end on another goroutine: that one keeps its own labels. The
//	    one that started it is put right by the next span that starts or ends on it.
//	P2  Labels that a goroutine has and its context lacks are there in the span
//	    and after it.
//	P3  CPU time on a goroutine that outlives the span in which it was created is
//	    never the span's, from the next window on: it is counted as late.
//	P4  It does not matter through which reference a span is ended.
//	P5  A parent may end before its child; neither's label comes back.
//	P6  A second End does nothing to the span that is active then.
//	P7  Tracers return the provider's own spans.
//	P8  A span may end in a pprof.Do with its context; its label does not come
//	    back when Do returns, nor by any later use of that context.
//	P9  Spans of libraries that take the provider from a span, as otelhttp's
//	    Transport does, are labelled like all others.
//
// Further: no panic leaves the package; no span waits for the store; memory is
// bounded (Options.MaxLive, Options.MaxEnded), and what does not fit is counted
// in Stats; Stop leaves no goroutine behind. Labels of the program's own stay,
// whether they are in the context or on the goroutine.
//
// # The process has one CPU profile
//
// While the profiler holds it, /debug/pprof/profile, go test -cpuprofile and
// every other pprof.StartCPUProfile fail with "cpu profiling already in use".
// Use Profiler.ProfileHandler in place of /debug/pprof/profile: it serves the
// running windows, and needs nobody to pause; its samples also say trace, span
// name, route and service. For anything else call Pause
// before and Resume after. Who comes first wins: while somebody else's profile
// runs the profiler waits, tries again every few seconds, and stores a hole, so
// that missing figures do not look like idleness. It cannot know that somebody
// wants the profile while it has it.
//
// Heap, block and mutex profiles are not concerned, nor are execution traces unless
// Options.Exact asks for them. Importing the package starts nothing.
//
// # What is in flight
//
// Live lists the spans that have started and not ended, with their route, and
// with the stacks in which the goroutines stand that work for them. A view is
// taken when somebody asks, for all who ask, and holds for a second, with 10,000
// goroutines for ten: however many look, that is 1 % of one CPU at most.
// Spans that never end leave the list after Options.MaxAge, and Stats counts them.
//
// # Signals
//
// Once a second, while spans are in flight, the profiler reads what the kernel and
// the Go runtime did to the process, and stores it beside the windows: how long
// threads waited for a CPU (run delay of each thread), how long a CPU quota stopped
// the process (cgroup v2 and v1, all nested groups), CPU pressure of its group
// (v2, or the root), stolen time of the machine; pauses and CPU time of the garbage
// collector, waiting in Go's run queue and for mutexes, goroutines. See SignalCPU
// and the following.
// They are of the whole process, and belong to a trace by their time. What the
// kernel tells is there on Linux alone; Stats.MissingSignals says what is not.
//
// # Exact states
//
// With Options.Exact the runtime's flight recorder runs, as long as the process
// does not do too much for it: at most 200,000 scheduling events a second and
// 20,000 goroutines. Of a request that is slow for its route (one in a hundred of
// its requests, one in ten while the process is starved of CPU, see Options.Slow),
// that failed, or that Capture asks for, it then gives what each span did at each moment: ran, waited for a processor, for a lock,
// a channel, the network, a system call, the garbage collector; where, and who let
// it go on. That goes into the store as spanstore.Exact, and package stall says
// what follows. It reaches back some eight seconds. A span is known by its start or its
// end in that time: one that has begun before and is in flight has no exact states, and
// Capture of such a trace returns ErrNotRecorded. CaptureAtEnd takes what was before the
// end, when that has come.
//
// What Go takes for running is no CPU time where the kernel runs something else.
// Every 20 ms in which a span starts or ends, once a second while any is in flight,
// and before each snapshot, the threads' own clocks are read and logged (Linux, 64
// threads), and what they lack is told apart, as an estimate with bounds.
//
// Slow requests share snapshots, at least two seconds apart, and so far that
// reading them stays within a budget of its own, as large as Options.Budget.
// What else its goroutines use is judged every half a minute: above the budget the
// exact level goes off, for half a minute at first, longer each time. It is off as
// well while the governor rests, and for good when the runtime writes traces in a
// format that this build cannot read. When no span has been in flight for ten seconds
// it rests, and goes on with the next: of that the first millisecond is not recorded.
// Stats.Exact counts those that were slow and those that were captured, and says
// why nothing is recorded. There is one flight recorder in a process: while the
// program's own runs ours waits, and Pause frees ours. Its memory is the runtime's
// and follows from what the process does, 7 bytes an event; its own bound is a hint.
//
// # What the profiler allows itself
//
// The background work has a budget, Options.Budget: 1 % of the CPU time that the
// process may use (GOMAXPROCS, which follows a CPU quota). What counts is the CPU
// time of the profiler's and the store's goroutines, by the samples on them. When
// it is above the budget for two stretches of ten seconds in a row, the profiler
// does less, one Level after the other: longer windows (but see MaxEnded), labels
// on local roots only, off. Below half of it for a minute it steps up again; each step down
// doubles that minute, up to an hour, so that it does not go up and down all day.
// Off, it tries again after the same time. A store that uses the budget alone is
// no reason to step down: that would lower nothing. Stats.Governor has level,
// reason and cost; what was not measured is a hole, or marked Window.RootsOnly.
//
// The samples do not see the kernel's part of the sampling, 100 signals a second
// and busy thread. What a labelled span costs the request is no background work
// either, and stands below.
//
// # Caveats
//
//   - Within the window in which a span ended, work after its end on goroutines
//     that it created (P3), or on the goroutine that started it if it ended on
//     another (P1), cannot be told from the span's.
//   - A goroutine keeps the label of a span that is over when no further span
//     starts or ends there. Its samples are late; after Options.MaxEnded other
//     spans they are unattributed. After Stop, too, labels stay on goroutines
//     until their spans end.
//   - Spans that are made without the wrapper (P9) are labelled on the goroutine
//     but not in their context: a pprof.Do with that context hides them.
//   - A span that is one of more than MaxLive in flight, or is in flight for
//     longer than MaxAge, loses its label in contexts, and its samples are
//     unattributed.
//   - The registry keeps the spans in flight, with their attributes, from being
//     freed: also those that the program drops without ending them, until
//     MaxLive or MaxAge is reached.
//   - Where more spans end within MinWindow than MaxEnded holds, the samples of the
//     oldest are unattributed: their spans' figures, and the bounds of those without
//     a sample, are too low, and nothing beside the span says so.
//     Stats.Unattributed does.
//   - Work in cgo counts where Go called it; threads of C's own have no labels.
//     Programs built as c-archive or c-shared are not sampled unless they handle
//     SIGPROF as runtime/pprof says.
//   - P1 and P2 need to read goroutine labels, for which there is no public API.
//     It is done by linkname, checked once at Start, and left out with the build
//     tag spanclock_nolinkname; P1 and P2 may fail then, the others do not.
//     Stats.LabelsReadable tells.
//   - On Linux up to 70 files of /proc and of the control group stay open, one for
//     each of the first 64 threads.
//   - The CPU time of the whole process in a window is known on Linux, macOS and
//     the BSDs. A window is calibrated on Linux alone, with /proc, a kernel that
//     lists timers (CONFIG_CHECKPOINT_RESTORE, as distributions have it), and at
//     most 512 threads; elsewhere CPU figures are too low by what was lost, 5 to
//     15 % beside busy neighbours.
//
// # Cost
//
// Sampling is that of any CPU profile at 100 Hz. Turning a window into usage
// costs a few milliseconds of CPU each 10 s; Stats.Own counts the samples that
// fell on the profiler. Between two windows nothing is sampled for 1 to 24 ms,
// the more the busier the process is; Stats.Lost adds that up. A second of signals
// takes about 40 µs of CPU, 1 µs more for each thread, and 50 bytes on disk.
//
// A span that records costs two small allocations, one of them shared by eight
// spans, and about an eighth of the CPU time that the SDK itself spends on a span
// that is exported; with LabelRoots only local roots cost that, other spans some
// ten nanoseconds. The SDK makes a snapshot of each span for its processors, which
// is half as much again, and which a program that exports its spans pays anyway:
// over an SDK that throws its spans away a span takes 1.77 times as much, 1.60 with
// LabelRoots, and 1.51 with a processor that does nothing. A
// span that does not record costs about 10 ns and no allocation.
// bench/results/labels.txt has the figures, beside those of others.
//
// The exact level is extra. While the flight recorder runs a span takes half as long
// again, as the SDK starts a task for each (a fifth), and its id is logged. On
// a busy machine requests of five spans and 0.1 ms took 12 % more CPU time, of which 8
// are a flight recorder's beside the SDK alone, and requests of 1.7 ms 5 %, of which it
// takes 3. A process that does nothing pays 0.2 % of a core for ten seconds, 1 % with
// 10,000 goroutines, and nothing then. A snapshot of 8 MB takes 0.3 to 0.5 s of CPU
// time in the background. bench/results/exactcost.txt has the figures,
// bench/results/exacttruth.txt what they are for.
//
// Memory grows with the spans in flight to about 8 MB and with those that ended
// lately to 5 MB, at the default options. A goroutine that keeps a label (P3) keeps
// 640 bytes; a context keeps its span's frame, 128 bytes, and what it keeps anyway.
package profiler
