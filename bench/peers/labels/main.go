package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// spansPerRequest is a root and four children.
const spansPerRequest = 5

// turn is what one contender needed in one turn, per span.
type turn struct{ ns, allocs float64 }

func main() {
	log.SetFlags(0)
	log.SetPrefix("labels: ")
	turns := flag.Int("turns", 31, "turns of each contender")
	requests := flag.Int("requests", 20_000, "requests in a turn")
	pairs := flag.Int("pairs", 6, "pairs of runs at a steady rate, of 22 s each; 0 leaves that out")
	out := flag.String("out", "", "write the report to this file too")
	flag.Parse()

	got, err := measure(*turns, *requests)
	if err != nil {
		log.Fatal(err)
	}
	var report bytes.Buffer
	header(&report, *turns, *requests)
	table(&report, got)
	if *pairs > 0 {
		whole, err := measureWhole(*pairs)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintf(&report, "\n%s", whole)
	}
	os.Stdout.Write(report.Bytes())
	if *out != "" {
		if err := os.WriteFile(*out, report.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// measure lets the contenders take turns, each time in another order.
func measure(turns, requests int) (map[*contender][]turn, error) {
	got := map[*contender][]turn{}
	order := make([]*contender, len(contenders))
	for i := range contenders {
		order[i] = &contenders[i]
	}
	for range turns {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, c := range order {
			t, err := take(c, requests)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			got[c] = append(got[c], t)
		}
	}
	return got, nil
}

func take(c *contender, requests int) (turn, error) {
	tp, stop, err := c.open()
	if err != nil {
		return turn{}, err
	}
	defer stop()
	tracer := tp.Tracer("labels")
	run(tracer, requests/10) // tables and pools grow to their size
	runtime.GC()

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := processCPU()
	run(tracer, requests)
	used := processCPU() - cpu
	runtime.ReadMemStats(&after)
	spans := float64(requests * spansPerRequest)
	return turn{float64(used) / spans, float64(after.Mallocs-before.Mallocs) / spans}, nil
}

func run(tracer trace.Tracer, requests int) {
	for range requests {
		ctx, root := tracer.Start(context.Background(), "root")
		for range spansPerRequest - 1 {
			_, child := tracer.Start(ctx, "child")
			child.End()
		}
		root.End()
	}
}

// table writes each contender's medians, over its base in the same turn.
func table(w io.Writer, got map[*contender][]turn) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer tw.Flush()
	fmt.Fprintln(tw, "CPU ns/span\tover\tx\tallocs/span\tover\t")
	var base *contender
	for i := range contenders {
		c := &contenders[i]
		if c.base == "" {
			base = c
			fmt.Fprintf(tw, "%.0f\t\t1.00\t%.1f\t\t  %s\n", median(got[c], ns), median(got[c], allocs), c.name)
			continue
		}
		var ratio, more, moreAllocs []float64
		for k, t := range got[c] {
			b := got[base][k]
			ratio = append(ratio, t.ns/b.ns)
			more = append(more, t.ns-b.ns)
			moreAllocs = append(moreAllocs, t.allocs-b.allocs)
		}
		fmt.Fprintf(tw, "%.0f\t%+.0f\t%.2f\t%.1f\t%+.1f\t    %s\n", median(got[c], ns), middle(more), middle(ratio),
			median(got[c], allocs), middle(moreAllocs), c.name)
	}
}

func ns(t turn) float64     { return t.ns }
func allocs(t turn) float64 { return t.allocs }

func median(turns []turn, of func(turn) float64) float64 {
	var v []float64
	for _, t := range turns {
		v = append(v, of(t))
	}
	return middle(v)
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func header(w io.Writer, turns, requests int) {
	fmt.Fprintf(w, "What a label costs a span: a root with four children, CPU time, medians of %d turns of %d requests.\n", turns, requests)
	fmt.Fprintf(w, "date     %s\ncommand  go run ./bench/peers/labels\n", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(w, "machine  %d CPUs, %s/%s\nversions %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if slices.Contains([]string{"go.opentelemetry.io/otel/sdk", "github.com/grafana/otel-profiling-go", "github.com/DataDog/dd-trace-go/v2"}, d.Path) {
				fmt.Fprintf(w, ", %s %s", d.Path[strings.LastIndex(strings.TrimSuffix(d.Path, "/v2"), "/")+1:], d.Version)
			}
		}
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w)
}
