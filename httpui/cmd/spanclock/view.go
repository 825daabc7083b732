package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/spanclock/spanclock/httpui"
)

var viewCommand = command{
	name: "view", arguments: "DIR|FILE", short: "serve the page of the traces on this machine",
	help: `
View serves the page for a store that a process left behind, for what a live one has sealed, or for
a file of traces, until it is interrupted. It answers requests of this machine only.

  spanclock view traces
  spanclock view trace.otlp.json -open
  spanclock view traces -addr localhost:7788`,
	flags: func(fs *flag.FlagSet) func(context.Context, *app, []string) error {
		addr := fs.String("addr", "localhost:0", "listen on this `address`; port 0 takes one that is free")
		open := fs.Bool("open", false, "open the page in a browser")
		return func(ctx context.Context, a *app, args []string) error {
			if len(args) != 1 {
				return wrongf("view: name one directory or file")
			}
			return a.view(ctx, args[0], *addr, *open)
		}
	},
}

// mount is where the page is.
const mount = "/debug/traces/"

func (a *app) view(ctx context.Context, path, addr string, open bool) error {
	src, err := a.open(ctx, path)
	if err != nil {
		return err
	}
	defer src.Close()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return wrongf("view: %v", err)
	}
	mux := http.NewServeMux()
	mux.Handle(mount, &refreshing{src: src, next: httpui.Handler(src.Store, nil)})
	mux.Handle("/{$}", http.RedirectHandler(mount, http.StatusTemporaryRedirect))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	url := "http://" + shown(listener.Addr()) + mount
	if len(src.traces) == 1 {
		url += "trace/" + src.traces[0].String()
	}
	fmt.Fprintln(a.out, url)
	if open {
		if err := browse(url); err != nil {
			a.tell("open a browser: %v", err)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err = <-stopped:
		return err
	case <-ctx.Done():
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := server.Shutdown(patience); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	}
}

// shown is an address as a browser takes it. Every other name than localhost would be
// refused.
func shown(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return "localhost:" + port
}

// refreshing looks again at a directory that a live process may be writing.
type refreshing struct {
	src  *source
	next http.Handler

	mu   sync.Mutex // guards last
	last time.Time
}

// refreshEvery bounds how often the directory is looked at.
const refreshEvery = 2 * time.Second

func (h *refreshing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	if now := time.Now(); h.src.isDir && now.Sub(h.last) > refreshEvery {
		h.last = now
		_ = h.src.Refresh() // what was there before is shown
	}
	h.mu.Unlock()
	h.next.ServeHTTP(w, r)
}

// browse opens a URL with the program that the system has for it.
func browse(url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	c := exec.Command(name, args...)
	if err := c.Start(); err != nil {
		return err
	}
	go func() { _ = c.Wait() }()
	return nil
}
