// Command spanclock looks at traces after the fact: in the directory of a store that a
// process left behind, in what a live process has sealed of one, or in a file of
// traces. It changes nothing on disk but the files that it is told to write.
//
//	spanclock view DIR|FILE            serve the page of the traces on this machine
//	spanclock ls DIR|FILE [QUERY]      list traces
//	spanclock export DIR|FILE [ID...]  write traces for other tools
//	spanclock diff A B                 compare two runs or builds, by operation
//	spanclock check DIR|FILE           read everything and say what is wrong
//
// A file is OTLP/JSON, as spanclock and OpenTelemetry's collector write it, or the
// JSON of Jaeger's page; - is the standard input. Flags may stand before, between and behind the
// arguments. Every command explains itself with -h.
//
// Exit codes:
//
//	0  done
//	1  something is damaged, or could not be read or written; the rest is there
//	2  the command line is wrong: a flag, a query, a trace id
//	3  there is nothing to read: no such directory, no store in it, one of a newer format
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The exit codes.
const (
	exitDone = iota
	exitDamaged
	exitUsage
	exitNothing
)

// exitError is an error with its exit code.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func wrongf(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

// app is what a command has to do with.
type app struct {
	in       io.Reader
	out, err io.Writer
	terminal bool // somebody watches err
	damaged  bool // something could not be read
	told     []string
}

// command is one of the words that may follow spanclock.
type command struct {
	name, arguments, short string

	// help follows the synopsis: what it does, and examples.
	help string

	// flags defines the flags, and returns what runs the command.
	flags func(*flag.FlagSet) func(context.Context, *app, []string) error
}

var commands = []command{viewCommand, lsCommand, exportCommand, diffCommand, checkCommand}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// It switches stores off in the service that it is meant for.
	os.Unsetenv("OTEL_SDK_DISABLED")
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: isTerminal(os.Stderr)}
	os.Exit(a.run(ctx, os.Args[1:]))
}

// run runs a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	err := a.dispatch(ctx, args)
	var e exitError
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &e):
		a.tell("%v", e.err)
		return e.code
	case errors.Is(err, context.Canceled):
		a.tell("interrupted")
		return exitDamaged
	case errors.Is(err, syscall.EPIPE):
		return exitDone // who reads the output has seen enough
	case err != nil:
		a.tell("%v", err)
		return exitDamaged
	case a.damaged:
		return exitDamaged
	}
	return exitDone
}

func (a *app) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return wrongf("no command: there are %s; -h explains them", commandNames())
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		return a.help(args[1:])
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		do := c.flags(fs)
		rest, err := parse(fs, args[1:])
		if errors.Is(err, flag.ErrHelp) {
			c.print(a.out, fs)
			return err
		}
		if err != nil {
			return wrongf("%s: %v; spanclock %s -h explains it", c.name, err, c.name)
		}
		return do(ctx, a, rest)
	}
	return wrongf("no command %q: there are %s; -h explains them", args[0], commandNames())
}

// parse reads flags wherever they stand, and returns what is none.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

func (a *app) help(args []string) error {
	for _, c := range commands {
		if len(args) > 0 && args[0] == c.name {
			fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
			c.flags(fs)
			c.print(a.out, fs)
			return nil
		}
	}
	if len(args) > 0 {
		return wrongf("help: no command %q: there are %s", args[0], commandNames())
	}
	fmt.Fprint(a.out, "spanclock looks at traces after the fact: in a store's directory or in a file.\n\n")
	for _, c := range commands {
		fmt.Fprintf(a.out, "  spanclock %-32s %s\n", c.name+" "+c.arguments, c.short)
	}
	fmt.Fprint(a.out, `
A FILE is OTLP/JSON or the JSON of Jaeger's page; - is the standard input.
Nothing on disk is changed. spanclock COMMAND -h explains a command.

Exit codes: 0 done; 1 something is damaged or could not be read, the rest is there;
2 the command line is wrong; 3 there is nothing to read.
`)
	return nil
}

func (c command) print(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "spanclock %s [flags] %s\n\n%s\n", c.name, c.arguments, strings.TrimSpace(c.help))
	first := true
	fs.VisitAll(func(*flag.Flag) {
		if first {
			fmt.Fprint(w, "\nFlags:\n")
		}
		first = false
	})
	fs.SetOutput(w)
	fs.PrintDefaults()
}

func commandNames() string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}
