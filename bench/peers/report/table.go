package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

// row is one line of the table.
type row struct {
	figure, must string
	phase, name  string
	show         func(float64) string
	floor        string // the floor's name for it, if it has one
}

func rows() []row {
	list := []row{
		{"durable spans per CPU-second", ">= 1.2 M", "write", "rate", thousands, "file-kspans/cpu-s"},
		{"  wall-clock spans/s", "", "write", "wall", thousands, ""},
		{"allocations per span", "<= 0.1", "write", "mallocs", decimals(3), "file-mallocs/span"},
		{"disk bytes per span, everything counted", "<= 40", "disk", "size", decimals(1), "file-B/span"},
		{"written / handed to the engine, at saturation", "<= 1.3", "write", "amplification", decimals(2), ""},
		{"lookup of a trace, warm, p50", "<= 90 µs", "warm", "p50", seconds, ""},
		{"lookup of a trace, warm, p99", "<= 300 µs", "warm", "p99", seconds, ""},
		{"lookup of a trace, cold, p50", "<= 600 µs", "cold", "p50", seconds, ""},
		{"lookup of a trace, cold, p99", "", "cold", "p99", seconds, ""},
		{"attribute scan, a text that no span has", "<= 50 ms", "warm", "scan-text", seconds, ""},
		{"attribute scan, a number that no span has", "<= 50 ms", "warm", "scan-number", seconds, ""},
		{"open, warm", "<= 10 ms", "warm", "open", seconds, ""},
		{"open, cold", "<= 50 ms", "cold", "open", seconds, ""},
		{"memory: heap in use", "<= 16 MiB", "memory", "heap", mebibytes, ""},
		{"memory: anonymous resident", "", "memory", "anonymous", mebibytes, ""},
		{"most bytes on disk in all wraps / budget", "<= 1", "wrap", "most", decimals(4), ""},
		{"live share of the budget, median", ">= 0.85", "wrap", "live", decimals(3), ""},
		{"live share of the budget, least", "", "wrap", "least-live", decimals(3), ""},
	}
	for _, rate := range slowRates {
		list = append(list, row{fmt.Sprintf("written to disk at %d spans/s", rate), "<= 64 KiB/s", fmt.Sprintf("trickle-%d", rate), "bytes", perSecond, ""})
	}
	list = append(list, row{"written / handed to the engine, at 1000 spans/s", "", "trickle-1000", "amplification", decimals(2), ""})
	for _, rate := range fastRates {
		phase := fmt.Sprintf("trickle-%d", rate)
		list = append(list,
			row{fmt.Sprintf("written / handed to the engine, at %d spans/s", rate), "<= 1.3", phase, "amplification", decimals(2), ""},
			row{fmt.Sprintf("durable spans per CPU-second at %d spans/s", rate), "", phase, "rate", thousands, ""})
	}
	return append(list,
		row{"taking 512 spans at 50000 spans/s, p50", "", "trickle-50000", "export-p50", seconds, ""},
		row{"taking 512 spans at 50000 spans/s, p99", "<= 2 ms", "trickle-50000", "export-p99", seconds, ""},
		row{"taking 512 spans at saturation, p50", "", "write", "export-p50", seconds, ""},
		row{"taking 512 spans at saturation, p99", "<= 2 ms", "write", "export-p99", seconds, ""},
	)
}

func (r *results) table(w io.Writer, stores []string) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	defer t.Flush()
	fmt.Fprintln(t, "figure\tmust\t"+strings.Join(stores, "\t")+"\t")
	for _, row := range rows() {
		cells := []string{row.figure, row.must}
		for _, store := range stores {
			name := row.name
			if store == "floor" {
				name = row.floor
			}
			v, ok := r.median(store, row.phase, name)
			if store == "floor" && row.phase != "write" {
				v, ok = r.median(store, "write", name) // its one phase
			}
			if !ok {
				cells = append(cells, "-")
				continue
			}
			if name == "file-kspans/cpu-s" {
				v *= 1e3
			}
			cells = append(cells, row.show(v))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
	}
	r.notes(t, strings.Repeat("\t", len(stores)))
}

// notes are the figures that have columns of their own.
func (r *results) notes(t io.Writer, end string) {
	line := func(figure, must, format string, of ...[3]string) {
		var vs []any
		for _, k := range of {
			v, _ := r.median(k[0], k[1], k[2])
			vs = append(vs, v)
		}
		fmt.Fprintf(t, "%s\t%s\t%s%s\n", figure, must, fmt.Sprintf(format, vs...), end)
	}
	line("store / floor, in one process, by turns", ">= 0.9", "%.2f", [3]string{"floor", "write", "store/file"})
	line("  thousand spans per CPU-second, store and floor there", "", "%.0f, %.0f",
		[3]string{"floor", "write", "store-kspans/cpu-s"}, [3]string{"floor", "write", "file-kspans/cpu-s"})
	for _, g := range []string{"1", "8"} {
		ours, _ := r.median("spanclock", "onend", "ours-"+g)
		sdk, _ := r.median("spanclock", "onend", "sdk-"+g)
		fmt.Fprintf(t, "OnEnd, %s goroutines (the SDK's batcher)\t<= SDK's\t%s (%s)%s\n", g, seconds(ours), seconds(sdk), end)
	}
	line("spans held while reading", ">= 1 M", "%.0f", [3]string{"spanclock", "warm", "spans"})
	line("the spans: bytes of OTLP", "~395", "%.1f", [3]string{"spanclock", "workload", "otlp"})
	line("the spans: attributes", "~9", "%.2f", [3]string{"spanclock", "workload", "attributes"})
}

func decimals(n int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", n, v) }
}

func thousands(v float64) string { return fmt.Sprintf("%.0f k", v/1e3) }
func mebibytes(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }
func perSecond(v float64) string { return fmt.Sprintf("%.1f KiB/s", v/1024) }

// seconds shows three digits.
func seconds(v float64) string {
	d := time.Duration(v * 1e9)
	if d <= 0 {
		return "0"
	}
	digits := math.Floor(math.Log10(float64(d)))
	return d.Round(time.Duration(math.Pow(10, max(0, digits-2)))).String()
}

// machine says what was measured, where, when and how.
func machine(c config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "date      %s\n", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(&b, "command   go run ./bench/peers/report %s\n", strings.Join(os.Args[1:], " "))
	fmt.Fprintf(&b, "spanclock %s, ring of %d MiB, gone round %d times\n", revision(), c.ring>>20, c.wraps)
	fmt.Fprintf(&b, "machine   %s, %d CPUs, %s/%s, %s\n", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, measure.Disk(c.dir))
	fmt.Fprintf(&b, "versions  %s", runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			switch d.Path {
			case "go.etcd.io/bbolt", "github.com/klauspost/compress", "github.com/dgraph-io/badger/v4", "modernc.org/sqlite", "go.opentelemetry.io/otel/sdk":
				fmt.Fprintf(&b, ", %s %s", d.Path, d.Version)
			}
		}
	}
	fmt.Fprintf(&b, "\nturns     %d of writing, 3 of reading; figures are their medians\nscan      badger has an index of all texts; sqlite reads the JSON of every row\n"+
		"written   bytes of write calls; badger, which writes through maps: pages made dirty, an upper bound\n"+
		"handed    spanclock: blocks; each rewrite of the open block and each copy of a kept trace counts again, as handed\n"+
		"live      spans of the ring at the bytes that one takes before the first eviction, and the copies of kept traces\n"+
		"floor     one chunk of the same spans, again and again; spanclock's column has new ones for each chunk\n",
		c.rounds)
	return b.String()
}

func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(b)) {
		if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown processor"
}
