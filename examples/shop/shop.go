package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// shop is the whole demo, running.
type shop struct {
	options
	url       string // of the gateway, without a slash at the end
	telemetry *telemetry
	redis     *redisServer
	sql       *database
	services  []*service
	traffic   *traffic

	closers []func() error // undo what open did, last first
}

// open starts everything: when it returns, the gateway answers. On an error
// nothing is left running.
func open(ctx context.Context, o options) (s *shop, err error) {
	s = &shop{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()

	// The address first: it is what most often cannot be had.
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return s, fmt.Errorf("%w; choose another address with -addr, such as -addr localhost:0", err)
	}
	s.onClose(func() error { return ignoreClosed(l.Close()) })
	s.url = "http://" + reachable(l.Addr().(*net.TCPAddr), o.addr)

	if s.telemetry, err = openTelemetry(o.dir); err != nil {
		return s, err
	}
	s.onClose(s.telemetry.close)
	if s.redis, err = openRedis(ctx, o.redis); err != nil {
		return s, err
	}
	s.onClose(s.redis.close)
	if s.sql, err = openDatabase(ctx, o.postgres, o.mysql); err != nil {
		return s, err
	}
	s.onClose(s.sql.close)

	if err := s.openServices(l); err != nil {
		return s, err
	}
	if s.traffic, err = openTraffic(ctx, s.url, o.rps, s.redis); err != nil {
		return s, err
	}
	s.onClose(s.traffic.close)
	return s, nil
}

// openServices starts the four services, each before those that call it, and
// the gateway on l.
func (s *shop) openServices(l net.Listener) error {
	payment, err := s.openService("payment")
	if err != nil {
		return err
	}
	newPayments(payment)

	orders, err := s.openService("orders")
	if err != nil {
		return err
	}
	newOrders(orders, orders.peer(payment))

	users, err := s.openService("users")
	if err != nil {
		return err
	}
	newUsers(users)

	gateway, err := s.newService("gateway")
	if err != nil {
		return err
	}
	gateway.url = s.url // as customers call it
	g := newGateway(gateway, gateway.peer(users), gateway.peer(orders), s.fix)
	s.onClose(g.wait)
	s.telemetry.mount(gateway.mux)
	gateway.serve(l)
	s.onClose(gateway.close)
	return nil
}

// openService makes a service and serves it on a free loopback port.
func (s *shop) openService(name string) (*service, error) {
	v, err := s.newService(name)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the %s service: %w", name, err)
	}
	v.serve(l)
	s.onClose(v.close)
	return v, nil
}

// newService makes a service that does not serve yet, with its own provider and
// its own instrumented clients of Redis and SQL.
func (s *shop) newService(name string) (*service, error) {
	v := &service{name: name, mux: http.NewServeMux(), tracers: s.telemetry.provider(name)}
	var err error
	if v.cache, err = s.redis.client(v.tracers); err != nil {
		return nil, err
	}
	s.onClose(v.cache.close)
	if v.db, err = s.sql.client(v.tracers); err != nil {
		return nil, err
	}
	s.onClose(v.db.close)
	s.services = append(s.services, v)
	return v, nil
}

func (s *shop) onClose(f func() error) { s.closers = append(s.closers, f) }

// close stops what open started, in the opposite order.
func (s *shop) close() error {
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// describe says where to look and what is running.
func (s *shop) describe(w io.Writer) {
	fmt.Fprintf(w, "traces   %s/debug/traces/\n", s.url)
	fmt.Fprintf(w, "store    %s\n", s.telemetry)
	fmt.Fprintf(w, "redis    %s\n", s.redis)
	fmt.Fprintf(w, "sql      %s\n", s.sql)
	if s.rps == 0 {
		fmt.Fprintln(w, "traffic  none (-rps 0)")
	} else {
		fmt.Fprintf(w, "traffic  %v requests a second\n", s.rps)
	}
	if s.duration > 0 {
		fmt.Fprintf(w, "stops after %v\n", s.duration)
	} else {
		fmt.Fprintln(w, "stop with Ctrl-C")
	}
}

// reachable returns the host and port at which a browser on this machine
// reaches a, which was asked for as addr.
func reachable(a *net.TCPAddr, addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" || a.IP.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, fmt.Sprint(a.Port))
}

// ignoreClosed drops the error of closing a listener that its server has
// closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// shutdownTimeout bounds how long one service may take to finish what it is
// doing when the shop stops.
const shutdownTimeout = 3 * time.Second
