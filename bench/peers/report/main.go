// Command report measures spanclock's store, its peers and its floor on the same
// spans and prints one table. Each measurement is a process of its own, so that
// nobody pays for another's memory, and the stores take turns, so that all of
// them see the same machine; figures are medians over the turns.
//
//	go run ./bench/peers/report            # some minutes
//	go run ./bench/peers/report -stores spanclock,floor -rounds 3 -wraps 4 -window 5s   # a minute
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// config is the one configuration for all figures.
type config struct {
	ctx    context.Context
	dir    string
	kept   int           // spans that the peers keep
	ring   int64         // bytes that spanclock may take
	rounds int           // turns of writing
	write  int           // spans that spanclock and the floor write in a turn
	wraps  int           // times that the ring goes round before
	window time.Duration // of each rate below saturation
	mixed  bool          // spans in the order of their ends, traces mixed
	stores []string      // the columns of the table, and the order of the first turn
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("report: ")
	var c config
	var job job
	flag.StringVar(&c.dir, "dir", "", "directory on the disk to measure; default: a temporary one")
	flag.IntVar(&c.kept, "kept", 1_000_000, "spans that the peers keep; the ring must hold as many")
	flag.Int64Var(&c.ring, "ring", 36, "MaxBytes of the ring, in MiB")
	flag.IntVar(&c.rounds, "rounds", 7, "turns of writing")
	flag.IntVar(&c.write, "write", 512_000, "spans written in a turn")
	flag.IntVar(&c.wraps, "wraps", 20, "times that the ring goes round before it is measured")
	flag.DurationVar(&c.window, "window", 10*time.Second, "length of each rate below saturation")
	flag.BoolVar(&c.mixed, "mixed", false, "mix the spans of concurrent traces, by their ends")
	stores := flag.String("stores", "spanclock,floor,badger,sqlite", "what to measure")
	out := flag.String("out", "", "write the report to this file too")
	job.flags()
	flag.Parse()
	c.ring <<= 20
	c.stores = strings.Split(*stores, ",")

	if job.Phase != "" {
		if err := job.do(c); err != nil {
			log.Fatalf("%s of %s: %v", job.Phase, job.Store, err)
		}
		return
	}
	if err := run(c, *out); err != nil {
		log.Fatal(err)
	}
}

func run(c config, out string) error {
	var stop context.CancelFunc
	c.ctx, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop() // what is under way ends, and the directory goes
	base, err := os.MkdirTemp(c.dir, "spanclock-report-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	c.dir = base
	all, err := measureAll(c)
	if err != nil {
		return err
	}
	w := io.Writer(os.Stdout)
	if out != "" {
		f, err := os.Create(filepath.Clean(out))
		if err != nil {
			return err
		}
		defer f.Close()
		w = io.MultiWriter(w, f)
	}
	fmt.Fprintln(w, machine(c))
	all.table(w, c.stores)
	return nil
}
