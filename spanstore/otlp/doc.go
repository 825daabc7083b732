// Package otlp writes traces as OTLP/JSON, the format of OpenTelemetry's collector
// and of its file exporter, and reads them back, with all that was measured.
//
//	err := otlp.Write(file, trace)
//
//	traces, err := otlp.Read(file, nil)
//	store, err := spanstore.Open("", nil)
//	err = otlp.Add(ctx, store, traces...)
//
// # The file
//
// Spans are under "resourceSpans" as the OTLP/JSON encoding has them: ids in hex,
// enums and counts as numbers, 64-bit integers as strings, bytes in base64, NaN
// and infinities as strings. What spanclock measured beside them (CPU samples,
// stacks, exact states, profile windows, signals of the process) is under one
// more key at the top, "spanclock", which receivers of OTLP pass over:
//
//	{"resourceSpans":[...],
//	 "spanclock":{"version":1,
//	  "frames":[{"func","file","line"}],
//	  "traces":[{"traceId","kept","problems",
//	    "windows":[{"start","end","period","samples","labeled","process","rootsOnly","hole"}],
//	    "signals":[{"start","end","values":{name: n}}],
//	    "spans":[{"spanId","children","samples","cpu","late",
//	      "stacks":[{"frames":[i],"samples"}],
//	      "exact":{"start","end","running","stolen","stolenLow","stolenHigh","goroutines",
//	        "segments":[{"from","to","state","stolen","wait"}],
//	        "waits":[{"state","total","count","stack":[i],"waker":[i],"wakerSpan"}]}}]}]}}
//
// Points in time are strings of nanoseconds since 1970, as in OTLP; durations are
// nanoseconds; frames are positions in the list of all frames, leaf first. What
// is zero is left out. A file may hold several such objects one after the other,
// one on a line as a rule; that is how the collector's file exporter writes and how
// traces are written one by one (see Write).
//
// # What is promised
//
//  1. Read(Write(t)) is t, but for what OTLP has no place for: of the parent's
//     span context only its span id and whether it is remote; times before 1970,
//     which become none; whether a list of equal types was a list of that type (it is
//     then), and the type of an empty list.
//  2. What is written is valid JSON in UTF-8: a byte that is no UTF-8 becomes
//     U+FFFD, and <, > and & as well as U+2028 and U+2029 are escaped.
//  3. Read takes what any OTLP exporter writes: also names of enums, integers that are
//     numbers, unknown keys. Other input gets an error that says where it is wrong.
//     It never panics, and reads no more than Options.MaxBytes.
//  4. The unknown "spanclock" part of a later version is left out, and the problems of
//     each trace say so.
//
// A parent is remote where the flags say so. Exporters that set no such flag leave it
// open; then it is remote when it is a span of another resource, or is not
// in the file and the span is a server's or a consumer's.
package otlp
