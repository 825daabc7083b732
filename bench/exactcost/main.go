package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

// effort is how much is measured: pairs of processes, of which each has that many
// turns of that length.
type effort struct {
	pairs, turns int
	turn         time.Duration
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("exactcost: ")
	var e effort
	flag.IntVar(&e.pairs, "pairs", 4, "pairs of processes for each row")
	flag.IntVar(&e.turns, "turns", 8, "turns of each process")
	flag.DurationVar(&e.turn, "turn", 2*time.Second, "length of a turn")
	only := flag.String("only", "", "the one part to measure: load, spans, idle, snapshot or governor")
	out := flag.String("out", "", "write the report to this file too")
	arm := flag.String("child", "", "be a process that is measured")
	flag.Parse()
	if *arm != "" {
		if err := beChild(*arm); err != nil {
			log.Fatal(err)
		}
		return
	}
	err := measure.Report(*out, func(w io.Writer) error { return report(w, e, *only) })
	if err != nil {
		log.Fatal(err)
	}
}

var parts = []struct {
	name  string
	write func(io.Writer, effort) error
}{
	{"load", loads}, {"spans", spans}, {"idle", idle}, {"snapshot", snapshots}, {"governor", governor},
}

func report(w io.Writer, e effort, only string) error {
	measure.Header(w, "What the exact level costs.", "bench/exactcost")
	for _, p := range parts {
		if only != "" && only != p.name {
			continue
		}
		if err := p.write(w, e); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// withChildren starts a process for each arm and ends them after f.
func withChildren(arms []string, f func(of map[string]*child) error) error {
	of := map[string]*child{}
	for _, arm := range arms {
		c, err := startChild(arm)
		if err != nil {
			return err
		}
		defer c.stop()
		of[arm] = c
	}
	return f(of)
}
