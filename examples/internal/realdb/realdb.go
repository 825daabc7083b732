// Package realdb starts real Redis, PostgreSQL and MySQL servers for tests: on
// loopback, in temporary directories, stopped when the test ends.
//
// The programs come from the Debian packages redis-server, postgresql and
// mariadb-server. Where one is missing its tests are skipped; with CI=true in
// the environment they fail. Either way the message names the package.
package realdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// startTimeout bounds how long a server may take until it answers. A loaded
// machine with slow disks needs much of it.
const startTimeout = 60 * time.Second

// Redis starts a Redis server and returns its address.
func Redis(tb testing.TB) (addr string) {
	tb.Helper()
	bin := find(tb, "redis-server", "redis-server")
	s := newServer(tb)
	s.start(bin, "--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no")
	s.await(func(ctx context.Context) error { return redisPing(ctx, s.addr()) })
	return s.addr()
}

// Postgres starts a PostgreSQL server and returns the DSN of an empty database.
func Postgres(tb testing.TB) (dsn string) {
	tb.Helper()
	// Its programs lie side by side, and are often reached through a link.
	initdb, err := filepath.EvalSymlinks(find(tb, "postgresql", "initdb"))
	if err != nil {
		tb.Fatal(err)
	}
	s := newServer(tb)
	data := filepath.Join(s.dir, "data")
	s.run(initdb, "-D", data, "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	s.start(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", s.port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+s.dir, "-c", "fsync=off")
	dsn = "postgres://shop@" + s.addr() + "/postgres?sslmode=disable"
	s.await(func(ctx context.Context) error { return sqlPing(ctx, "pgx", dsn) })
	return dsn
}

// MySQL starts a MariaDB server and returns the DSN of an empty database.
func MySQL(tb testing.TB) (dsn string) {
	tb.Helper()
	bin := find(tb, "mariadb-server", "mariadbd")
	install := find(tb, "mariadb-server", "mariadb-install-db")
	s := newServer(tb)
	data := filepath.Join(s.dir, "data")
	s.run(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")

	// The server runs this file each time it starts. The user may come from
	// anywhere: the server listens on loopback only.
	setup := filepath.Join(s.dir, "setup.sql")
	s.write(setup, "CREATE DATABASE IF NOT EXISTS shop;\n"+
		"CREATE USER IF NOT EXISTS 'shop'@'%' IDENTIFIED BY 'shop';\n"+
		"GRANT ALL ON shop.* TO 'shop'@'%';\n")
	s.start(bin, "--no-defaults", "--datadir="+data, "--port="+s.port, "--bind-address=127.0.0.1", "--skip-name-resolve",
		"--socket="+filepath.Join(s.dir, "sock"), "--pid-file="+filepath.Join(s.dir, "pid"), "--init-file="+setup,
		"--innodb-flush-log-at-trx-commit=0")
	dsn = "shop:shop@tcp(" + s.addr() + ")/shop"
	s.await(func(ctx context.Context) error { return sqlPing(ctx, "mysql", dsn) })
	return dsn
}

// find returns the path of a program, or skips the test.
func find(tb testing.TB, pkg, program string) string {
	tb.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	// Debian keeps PostgreSQL's out of PATH, and those of daemons in one that
	// users do not have.
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/sbin/", "/usr/libexec/"} {
		if found, _ := filepath.Glob(pattern + program); len(found) > 0 {
			return slices.Max(found)
		}
	}
	missing := fmt.Sprintf("%s is not installed: this test needs the Debian package %s", program, pkg)
	if os.Getenv("CI") == "true" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}

// server is one server program and its directory.
type server struct {
	tb   testing.TB
	dir  string
	port string
	log  output
	done chan struct{} // closed when the program has ended
}

// newServer makes a directory, which the user who will run the server owns, and
// chooses a port.
func newServer(tb testing.TB) *server {
	tb.Helper()
	// Not tb.TempDir: only the user who runs the test may enter that one, and
	// it need not be short enough for a Unix socket's path.
	dir, err := os.MkdirTemp("", "realdb-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{tb: tb, dir: dir, done: make(chan struct{})}
	s.own(dir)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	return s
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// own gives a file to the user who runs the server.
func (s *server) own(path string) {
	s.tb.Helper()
	if err := chown(path); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *server) write(path, text string) {
	s.tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	s.own(path)
}

// command returns a command that runs as a user who may run servers.
func (s *server) command(bin string, args ...string) *exec.Cmd {
	cmd := exec.Command(bin, args...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	demote(cmd)
	return cmd
}

// run runs a program to its end.
func (s *server) run(bin string, args ...string) {
	s.tb.Helper()
	if err := s.command(bin, args...).Run(); err != nil {
		s.tb.Fatalf("%s: %v\n%s", bin, err, &s.log)
	}
}

// start starts the server and stops it when the test ends.
func (s *server) start(bin string, args ...string) {
	s.tb.Helper()
	cmd := s.command(bin, args...)
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(s.done)
	}()
	s.tb.Cleanup(func() {
		stop(cmd)
		select {
		case <-s.done:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-s.done
		}
	})
}

// await returns when ping succeeds.
func (s *server) await(ping func(context.Context) error) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := ping(ctx)
		if err == nil {
			return
		}
		select {
		case <-s.done:
			s.tb.Fatalf("the server ended before it answered: %v\n%s", err, &s.log)
		case <-ctx.Done():
			s.tb.Fatal(errors.Join(errors.New("the server does not answer"), err, errors.New(s.log.String())))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// output collects what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
