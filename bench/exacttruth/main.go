//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("exacttruth: ")
	rounds := flag.Int("rounds", 3, "snapshots of each row")
	serve := flag.Duration("serve", time.Minute, "how long slow requests are made")
	out := flag.String("out", "", "write the table to this file too")
	only := flag.Duration("span", 0, "measure spans of this length alone")
	neighbour := flag.Bool("neighbour", false, "be a busy neighbour")
	flag.Parse()
	if *neighbour {
		measure.BeNeighbour()
	}
	err := measure.Report(*out, func(w io.Writer) error {
		measure.Header(w, "What the exact level shows against the truth.", "bench/exacttruth")
		if err := truths(w, *rounds, *only); err != nil {
			return err
		}
		return coverages(w, *serve)
	})
	if err != nil {
		log.Fatal(err)
	}
}

// truths writes a table for each place.
func truths(w io.Writer, rounds int, only time.Duration) error {
	for _, p := range []measure.Place{measure.AsItIs, measure.Beside, measure.InQuota} {
		fmt.Fprintln(w, p.Name)
		leave, err := p.Enter()
		if err != nil {
			fmt.Fprintf(w, "  not measured: %v\n\n", err)
			continue
		}
		err = rows(w, rounds, only)
		leave()
		if err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

func rows(w io.Writer, rounds int, only time.Duration) error {
	fmt.Fprintln(w, "  span  goroutines   spans   exact  on CPU  running  median error      95 %  in bounds  sum within 1 %    worst  off CPU, true  stolen  runnable  syscall")
	for _, as := range manners {
		for _, ms := range []time.Duration{1, 5, 25, 100} {
			if only > 0 && only != ms*time.Millisecond {
				continue
			}
			r := &result{}
			for range rounds {
				if err := r.round(ms*time.Millisecond, as); err != nil {
					return err
				}
			}
			fmt.Fprintf(w, "%3d ms  %10s  %6d  %4.0f %%  %6.3f  %7.3f  %9.3f ms  %5.1f ms  %7.1f %%  %12.1f %%  %5.1f %%%s\n",
				ms, as.name, r.spans, 100*float64(r.exact)/float64(r.spans), r.shown/r.burnt, r.running/r.burnt,
				measure.Quantile(r.errors, 0.5), measure.Quantile(r.errors, 0.95), r.share(r.inside), r.share(r.whole), 100*r.worst, r.starved())
		}
	}
	return nil
}

// starved is for spans that never wait, which are starved when they are not on CPU.
func (r *result) starved() string {
	if r.alone.wall == 0 {
		return ""
	}
	a, of := r.alone, 100/r.alone.wall
	return fmt.Sprintf("  %11.1f %%  %4.1f %%  %6.1f %%  %5.1f %%", 100-of*a.cpu, of*a.stolen, of*a.runnable, of*a.syscall)
}
