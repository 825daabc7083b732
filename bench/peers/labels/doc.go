// Command labels measures what it costs a request to have its spans labelled
// for the CPU profile: by spanclock, by github.com/grafana/otel-profiling-go,
// and by dd-trace-go's bridge, which takes the SDK's place and runs without an
// agent here. It prints one table.
//
//	go run ./bench/peers/labels -out bench/results/labels.txt
//
// A request is a root with four children, without attributes. All contenders
// take turns in one process, each turn in another order, and a figure is CPU
// time (user and system, the garbage collector's too) over the spans made. A
// ratio is the median over the turns of the ratio to the SDK in the same turn,
// so that a machine that others use tells on both.
//
// There are two SDKs to compare with. The bare one has no span processor: it
// makes spans and throws them away. The exporting one has a processor that does
// nothing, as every program has one that does something; the SDK then makes a
// snapshot of each span at its end, which costs about half a span. Who is a
// span processor himself, as spanclock is, pays for the snapshot on the bare
// SDK; in a program that exports its spans it is there already. So over the bare
// SDK spanclock takes 1.77 times as much, 1.60 with local roots alone, where a
// processor that does nothing takes 1.51 and nothing below that can be reached; over
// the exporting SDK it takes 1.12 and 1.02.
package main
