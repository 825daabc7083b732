// Package spantest is for tests that assert what their spans took: how long, in what
// order, how many, on CPU or waiting.
//
//	func TestCheckout(t *testing.T) {
//		rec := spantest.New(t)
//		h := newHandler(rec.Provider())
//		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/checkout", nil))
//
//		rec.Trace("POST /checkout").Expect(
//			spantest.Prefix("SELECT").Count().AtMost(3),
//			spantest.Span("redis.GET").Before(spantest.Prefix("SELECT")),
//			spantest.Span("audit").NotAwaited(),
//			spantest.NoFinding(stall.NPlusOne),
//		)
//	}
//
// New opens a store in a temporary directory and makes a provider; both are closed
// at the end of the test. NewWith has options, such as CPU for CPU time and Exact for
// what each span waited for. On takes the store that a program has opened itself.
//
// # Claims
//
// A claim is about a Selection of spans: Span, Prefix, Root or AnySpan, narrowed by
// Of (a service), Kind, With (attributes), Failed, In (below others) and Where. Some
// are about a Measure of them:
//
//	Duration Self Critical Start CPU TotalCPU InState   a time of each span
//	StallShare                                          from 0 to 1, of each span
//	Together Share                                      of all of them as one
//	Count                                               how many there are
//	Ratio                                               of two measures
//
// with Under, AtMost, Over, AtLeast, Between and Is. Others are Before, Overlaps,
// OnCriticalPath, OffCriticalPath, Awaited, NotAwaited, Status, Fails, Succeeds, Has,
// None, Finding and NoFinding; NewClaim makes one of the test's own. Claims are
// values: And, Or and Not join them, Trace.Expect and Require fail the test, Check
// returns an error.
//
// # What to assert when
//
//   - What does not depend on time, always: counts, nesting, order, attributes,
//     status, what is awaited. Trace.Golden has all of it in a file, the order under
//     fake time.
//   - Times of code that waits (time-outs, back-off, sequence or parallel): under fake
//     time, where they are exact and take no time. Measure.Is is for that.
//   - Times of code that computes or does real I/O: many runs and a percentile. A busy
//     machine only ever adds, so a low percentile (25) under a limit tells what the
//     code can do and holds under load, where the 95th tells about the machine. A limit
//     of a few times what is usual finds what matters.
//   - One real trace against a time: only with a limit that nothing but a defect
//     reaches. Ratios and shares of one trace do better, as load slows all of it.
//   - CPU time: it does not grow with others' load by much, and has its interval. A
//     claim about it fails only when no value in the interval would meet it, and its
//     contrary (Not) only when all would: with the limit in the interval neither does.
//     Spans below 30 ms have hardly a sample.
//
// # Fake time
//
// Inside a bubble of testing/synctest time moves only when all goroutines wait, so
// durations are exact. The whole service may be in it: NewListener has connections in
// memory, on which goroutines wait durably; on real ones they do not.
//
//	synctest.Test(t, func(t *testing.T) {
//		rec := spantest.New(t)
//		client, stop := spantest.NewListener().Serve(newHandler(rec.Provider()))
//		defer stop()
//		client.Get("http://service.example/slow")
//		rec.Trace("GET /slow").Expect(spantest.Root().Duration().Is(30 * time.Second))
//	})
//
// CPU time is refused there: the clock stands still while code computes.
//
// # Statistics
//
// Recorder.Repeat makes a request many times. A claim about a percentile, such as
//
//	runs.Expect(spantest.Percentile(25, spantest.Root().Duration()).Under(20 * time.Millisecond))
//
// fails when the runs refute it: if 25 percent of all runs or more were under the
// limit, how probable would so many over it be? That is a binomial probability,
// whatever the distribution of the times; below 1 in 10,000 the claim fails
// (Distribution.Confidence). The message has the order statistic that the percentile is
// at least. Runs that could not refute a claim even if all were off are refused: a
// median takes 14, percentile 25 takes 33 runs.
//
// # What is promised
//
//  1. A trace is whole when Trace returns it: all its spans that were started on the
//     recorder's providers have ended, and their CPU time is there when it was asked
//     for. Else the test fails and says which spans still run.
//  2. A failed claim names the span and by how much it is off, prints the outline of
//     the trace with such spans marked, and leaves the trace as OTLP/JSON in
//     T.ArtifactDir, with the line "spanclock view FILE" that opens it. go test
//     -artifacts keeps the file.
//  3. What cannot be found out (no such span, no CPU figure, no exact states) is a
//     failure, also of the contrary claim (Not).
//  4. CPU time inside a bubble is refused, never made up.
//  5. Nothing is left when a test is over: no goroutine, no file, no CPU profile.
//  6. Tests may run in parallel: each has its store, and those that ask for CPU time
//     share the process's profiler.
//  7. An outline depends on nothing but the shape: spans that overlap, or happen in one
//     instant of fake time, are in the order of their text. In real time it is chance
//     whether short spans of several goroutines overlap, so that Golden does not compare
//     the order of siblings then.
//
// The package registers the flag -update, for go test; tests with golden files of
// their own ask Updating.
package spantest
