// Shop is a small web shop made of four services, with traffic of its own and
// three things that go wrong in it. It shows what spanclock shows.
//
//	go run ./examples/shop
//
// It needs nothing else: Redis and SQL are embedded. Open the printed URL and
// choose a trace of one of the three routes:
//
//   - GET /api/product. The request ends with redis.SET, a write to the cache
//     that nobody waits for but the request. Look at the end of the waterfall:
//     the critical path runs through redis.SET into the end of the root. Run
//     with -fix and the write is done after the response: the request is
//     shorter, and the bar of redis.SET begins where the request ends.
//
//   - GET /api/order/{id}. Nearly all of the time is in redis.GET of the orders
//     service, which uses no CPU: Redis does one command at a time and is busy
//     with KEYS and large values for somebody else. Look at the CPU column: a
//     long bar with no CPU in it. The SELECTs after it are short.
//
//   - POST /api/auth/login. Nearly all of the time is the users service's own,
//     covered by no child span: bcrypt, on CPU. Select the span to see bcrypt's
//     functions in its stacks. Every few seconds more customers log in at once
//     than there are CPUs; wall time then grows and CPU time does not.
//
// The services gateway, users, orders and payment call one another over HTTP on
// loopback with W3C trace context. Each has a resource and a TracerProvider of
// its own; all four share one store and one profiler, as libraries in one
// process do.
//
//	-addr ADDR      where the gateway listens (localhost:8080)
//	-dir DIR        where the traces are kept (a temporary directory)
//	-for DURATION   how long to run (0: until interrupted)
//	-rps N          requests a second it sends to itself (12; 0: none)
//	-fix            write the product cache after the response
//	-redis ADDR     use this Redis server in place of the embedded one
//	-postgres DSN   use this PostgreSQL database in place of SQLite
//	-mysql DSN      use this MySQL or MariaDB database in place of SQLite
//
// On a real server everything it writes is named shop: or shop_. The Redis keys
// are removed at the end, the SQL tables stay for the next run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has said why
	case err != nil:
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// errUsage is returned when the command line has been refused, and the reason
// printed.
var errUsage = errors.New("bad command line")

// options is the command line.
type options struct {
	addr, dir              string
	redis, postgres, mysql string
	duration               time.Duration
	rps                    float64
	fix                    bool
}

// run runs the shop until ctx ends or the time given by -for is over.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}

	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	s.describe(stdout)

	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	s.traffic.run(ctx)
	fmt.Fprintln(stdout, s.traffic)
	return s.close()
}

// parse reads the command line. What is wrong with it is printed to stderr.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("shop", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.addr, "addr", "localhost:8080", "listen on `ADDR`; port 0 chooses a free one")
	f.StringVar(&o.dir, "dir", "", "keep traces in `DIR` (default a temporary directory, removed at the end)")
	f.DurationVar(&o.duration, "for", 0, "run for this `DURATION`; 0 runs until interrupted")
	f.Float64Var(&o.rps, "rps", 12, "send `N` requests a second to itself; 0 sends none")
	f.BoolVar(&o.fix, "fix", false, "write the product cache after the response")
	f.StringVar(&o.redis, "redis", "", "use the Redis server at `ADDR` in place of the embedded one")
	f.StringVar(&o.postgres, "postgres", "", "use the PostgreSQL database `DSN` in place of SQLite")
	f.StringVar(&o.mysql, "mysql", "", "use the MySQL or MariaDB database `DSN` in place of SQLite")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errUsage
	}

	var wrong string
	switch {
	case f.NArg() > 0:
		wrong = fmt.Sprintf("unexpected argument %q: the shop takes flags only", f.Arg(0))
	case o.postgres != "" && o.mysql != "":
		wrong = "-postgres and -mysql were both given: choose one database"
	case o.duration < 0:
		wrong = fmt.Sprintf("-for %v is negative", o.duration)
	case !(o.rps >= 0 && o.rps <= maxRPS): // refuses NaN too
		wrong = fmt.Sprintf("-rps %v is not between 0 and %d", o.rps, maxRPS)
	}
	if wrong != "" {
		fmt.Fprintln(stderr, wrong)
		return o, errUsage
	}
	return o, nil
}
