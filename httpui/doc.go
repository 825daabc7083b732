// Package httpui serves the traces of a [spanstore.Store] over HTTP: as pages
// for a browser, as JSON for programs and as text for curl.
//
//	mux.Handle("/debug/traces/", httpui.Handler(store, &httpui.Options{Profiler: prof}))
//
// # Views
//
// Relative to where the handler is mounted:
//
//	.                      traces, newest first: q=, service=, name=, min=, errors=1, on=, order=, last=, from=,
//	                       to=, limit=, cursor=
//	trace/<32 hex>         one trace: waterfall, budget of the critical path, findings
//	trace/<32 hex>/operations
//	                       its operations beside what the store has of them: counts, times, percentiles
//	trace/<32 hex>/download?as=
//	                       a trace as a file: otlp, jaeger, perfetto, pprof (see package export) or
//	                       html, a page that opens without a network
//	span/<32 hex>/<16 hex> one span whole: attributes, events, links, resource, stacks
//	overview               services and operations: requests, errors, latency, CPU per request, over time,
//	                       the slowest: service=, last= (1h), from=, to=
//	graph                  which service called which: the same
//	live                   what is in flight, with the stacks in which its goroutines stand: limit=, and
//	                       stream=1 for view after view, a line of JSON or a table each
//	live/<32 hex>          POST, with the header Spanclock-Capture: the exact states of a request in flight,
//	                       when=end (the default) or now: 409 where the flight recorder does not reach back
//	                       to the start of any of its spans
//	flame                  where the time of all spans went, by state and by stack: service=, name=, from=, to=,
//	                       last=, by=name (the default), route (requests whole, by entry span) or build
//	health                 the store's and the profiler's own figures, and the build's
//	shares?trace=<id>,...  the states of the critical paths of up to 200 traces, for the bars of a list
//	suggest                what a query may be completed with
//	pprof/profile          a CPU profile for go tool pprof, ?seconds=, when Options.Profiler is set;
//	                       samples are labelled with span, route and service
//	static/<file>          the page's own files
//
// In the list q is a query as [spanstore.ParseQuery] reads it; a fault in it is
// answered with its column. It may say order=longest. All parameters hold at
// once; last=15m is from= a quarter of an hour ago, on=root or on=entry has the conditions
// hold for such a span, order= is newest or longest. Who may not see attribute values may not compare them. Min is a Go duration (50ms), from and to bound the start (RFC
// 3339, from <= start < to), limit is 1 to 1000 and cursor comes from the page
// before.
//
// A browser gets a page, "Accept: application/json" JSON, anything else text;
// ?format=html, json or text overrides the header. Errors and refusals come in
// the same form. Text takes ?width=, the number of columns.
//
// CPU samples reach the store with a delay of up to one profile window. Who asks
// for a trace that a running window may still add to makes the profiler end
// that window early: text waits for it, at most 3 s; JSON says "pending":true
// at once, or waits as long as ?wait= says, at most 10 s.
//
// # JSON
//
// Durations and offsets are integers of nanoseconds under names that end in _ns;
// start_ns counts from the trace's start. Ids are lower-case hex, times RFC 3339
// in UTC. Keys may be added, none is renamed. An attribute is
// {"key","type","value"}: value is a string, number, bool or array as its type
// says; integers beyond 2^53, NaN and infinities are strings.
//
// A span of which an execution trace was read has exact, the part of the trace's time
// [from, to] that it covers, and timeline, what the span did in its self time stretch by
// stretch: from_ns, to_ns, state, stolen_ns (the part in which the kernel ran something
// else; where is not known) and wait, a position in the waits of the span's own view,
// -1 for none. Waits are places where it was blocked: state, total_ns, count, frames
// (leaf first), waker and waker_span, the stack and the span of who ended the last.
//
// A trace with ?columns is what its page reads: columns of numbers, packed. That form is
// the page's own and changes with it.
//
// A trace's signals are what the process went through in its time, in stretches of
// about a second, longer where there would be more than 600: start_ns, end_ns and
// values by name, as the package profiler documents them (SignalRunDelay and so
// on). A list's profiler has the time that was not sampled between windows (lost_ns),
// the share of the time since its start that windows cover (covered), the governor's
// figures, and those of the execution traces of slow requests.
//
// Flame has groups, whose times are means of one span (of one request by route), and
// stacks, whose times are sums, each of the group at a position in groups and with its
// frames as positions in frames. A group's states are of the exact_spans, of which an
// execution trace was read, and p99_states of those of them at or beyond p99_wall_ns,
// which 99 % of all spans do not exceed; they add up to the mean wall time of these spans,
// but by route spans that ran side by side all count. A route without any has its CPU
// time and the rest, as samples tell (state_evidence).
//
// An overview counts all spans of its time; CPU, states and the codes of errors are of
// the newest 200 traces, and of as many that failed. When there is nothing in the
// time that last= says, or nobody says, it is about all that the store has, and
// "widened" is true. A live stack's state is concluded from its functions: cpu is
// a goroutine that runs or is ready to.
//
// # Mounting
//
// Any prefix and any router, with http.StripPrefix or without: a view is
// recognised by the end of the path, and all references are relative. The mount
// without its trailing slash redirects to the one with it, relative too, so
// that proxies may rewrite the path. Where neither the request's Pattern nor a
// stripped prefix tells the mount, an unknown path below it may be taken for the
// mount itself, unless the mount ends in "traces".
//
// # Files
//
// A download has what its reader may see: values are hidden in it as they are on the
// page. The HTML file has the page's own script and data in it, may load and send nothing
// by its own policy, and needs no server; [WritePage] makes one. OTLP JSON read back (package
// otlp, or the command spanclock view) shows the same page.
//
// # Who may look
//
// Without Options.Authorize only this machine may: the peer's address is a
// loopback address, the Host is localhost or a loopback address (which keeps out
// other sites whose names resolve to 127.0.0.1), and no header says that the
// request was forwarded. [Local] is that rule. A reverse proxy on the same
// machine that forwards without saying so, under a loopback Host, cannot be told
// from a local user: set Authorize behind such a one.
//
// What comes from spans is never markup: pages are static files that read JSON,
// under a content security policy that runs no other script; text escapes
// control characters.
//
// # Caveats
//
// The package imports no template package: html/template and text/template
// switch off the linker's dead-code elimination of methods for the whole
// program that imports this one. Importing it registers nothing.
//
// # Cost
//
// Answers are built in memory: about 750 bytes of JSON a span, 80 of what the page
// reads, compressed on the wire where the client takes gzip. A page of a trace reads
// the trace twice, once to know whether there is one. A trace of 50,000 spans takes
// about 0.4 s of CPU time to be read, analysed and answered to its page.
//
// What reads the whole store (overview, graph, flame, suggest, the
// operations of a trace) is computed once for all who
// ask, and holds for 20 times what it took, 1 to 30 s: however many look, that is at most
// a twentieth of the time. It ends when nobody waits for it any more. With a million
// spans an overview takes 0.14 s of CPU; bench/results/page-server.txt has the
// figures. At most 32 live streams are open, each for ten minutes; all share a view,
// and one that cannot send for 10 s ends.
//
// Nobody who reads slowly holds anything of the store: it is read before the first
// byte is sent.
package httpui
