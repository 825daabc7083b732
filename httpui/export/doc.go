// Package export writes traces in the formats of other tools, with what was
// measured of them as far as a format has a place for it.
//
//	otlp      OTLP/JSON, whole: read back it shows the same page (see package otlp)
//	jaeger    JSON for the upload of Jaeger's page; CPU time and states as tags
//	perfetto  trace events for ui.perfetto.dev and chrome://tracing; exact states as slices
//	pprof     a profile for go tool pprof: samples, CPU time and waiting by span
//
// A self-contained page of a trace is made by httpui.WritePage.
//
//	w, err := export.NewWriter(file, export.Perfetto)
//	for _, trace := range traces {
//		err = w.Add(trace)
//	}
//	err = w.Close()
//
// # What each has
//
// Jaeger: the span kind, status, scope and trace state become the tags that
// OpenTelemetry's mapping to Jaeger names; events become logs, links references.
// spanclock.cpu_ms is a span's own CPU time, spanclock.cpu_evidence how it is known,
// spanclock.state.<state>_ms its states. Integers beyond 2^53 and lists are strings. ReadJaeger
// reads such files, whoever wrote them.
//
// Perfetto: a process for each service, a track for spans that follow one another or
// lie in one another; spans that run side by side get tracks of their own, with an arrow from
// their parent. Where an execution trace was taken the states of a span are slices in it.
// Events are instants, signals are counters. Time 0 is the start of the first
// trace.
//
// Pprof: sample types are samples, cpu and wait; wait is there for spans with exact
// states only. Stacks carry the labels span_name, service, route (the local root's name), span_id,
// trace_id, and for waits state. CPU time whose stacks were not kept is at the function
// "(no stack)".
//
// # What is promised
//
//  1. Text from spans is written as text: JSON is UTF-8 with <, >, & and line separators escaped,
//     bytes that are no UTF-8 become U+FFFD.
//  2. Writers hold no more than the trace that is being added, but for pprof, which adds up stacks.
//  3. What the caller has hidden stays so: Hide replaces the values of attributes before anything is written.
package export
