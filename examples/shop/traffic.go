package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// traffic is the shop's customers. They come in waves of one second: first
// those who look at their orders, while the back office's sweep keeps Redis
// busy, then the others. In every fifth wave many log in at the same moment.
//
// Its client has no instrumentation: traces begin at the gateway, as those of
// real customers do.
type traffic struct {
	url    string
	rps    float64
	noise  *noise // nil when there is no traffic
	client *http.Client

	running      chan struct{} // one token for each request under way
	requests     sync.WaitGroup
	sent, failed atomic.Int64
}

const (
	wave      = time.Second
	sweepTime = 350 * time.Millisecond // leaves a machine with two CPUs air to breathe
	rushEach  = 5                      // waves from rush to rush

	maxRPS = 10_000
)

// maxRunning bounds the requests under way: when the shop is slow, on a slow
// machine or while it is debugged, further customers stay away. Otherwise they
// would pile up until none is served.
func maxRunning() int { return 32 + 2*rush() }

// rush is how many log in at the same moment: more than there are CPUs, so that
// they have to wait for one.
func rush() int { return 3 * runtime.GOMAXPROCS(0) }

// openTraffic prepares traffic of rps requests a second; with 0 there is none,
// and no noise either.
func openTraffic(ctx context.Context, url string, rps float64, r *redisServer) (*traffic, error) {
	t := &traffic{
		url: url, rps: rps, running: make(chan struct{}, maxRunning()),
		client: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{MaxIdleConnsPerHost: maxRunning()},
		},
	}
	if rps == 0 {
		return t, nil
	}
	var err error
	t.noise, err = openNoise(ctx, r)
	return t, err
}

// run sends waves until ctx ends, and returns when all requests have.
func (t *traffic) run(ctx context.Context) {
	if t.rps > 0 {
		t.sendWaves(ctx)
	}
	<-ctx.Done()
	t.requests.Wait()
}

func (t *traffic) close() error {
	t.client.CloseIdleConnections()
	if t.noise == nil {
		return nil
	}
	return t.noise.close()
}

func (t *traffic) sendWaves(ctx context.Context) {
	tick := time.NewTicker(wave)
	defer tick.Stop()
	left := 0.0
	for n := 1; ctx.Err() == nil; n++ {
		var due int
		due, left = wholeRequests(left, t.rps*wave.Seconds())
		t.sendWave(ctx, due, n%rushEach == 0)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// wholeRequests returns how many requests are due in a wave, and the part of one
// that is left for the next wave.
func wholeRequests(left, rate float64) (int, float64) {
	n, left := math.Modf(left + rate)
	return int(n), left
}

// sendWave sends n requests over a bit less than a second: a third of them for
// orders, half for products, the rest are logins.
func (t *traffic) sendWave(ctx context.Context, n int, rushing bool) {
	orders := make([]func(context.Context) error, 0, n)
	var others []func(context.Context) error
	for range n {
		switch r := rand.IntN(6); {
		case r < 2:
			orders = append(orders, t.order)
		case r < 5:
			others = append(others, t.product)
		default:
			others = append(others, t.login)
		}
	}

	t.requests.Go(func() {
		if err := t.noise.sweep(ctx, sweepTime); err != nil && ctx.Err() == nil {
			t.fail(err)
		}
	})
	t.spread(ctx, orders, sweepTime)
	if rushing {
		for range rush() {
			t.send(ctx, t.login)
		}
	}
	t.spread(ctx, others, wave-sweepTime-50*time.Millisecond)
}

// spread sends requests evenly over the time d.
func (t *traffic) spread(ctx context.Context, requests []func(context.Context) error, d time.Duration) {
	end := time.NewTimer(d)
	defer end.Stop()
	if len(requests) > 0 {
		tick := time.NewTicker(d / time.Duration(len(requests)))
		defer tick.Stop()
		for _, r := range requests {
			t.send(ctx, r)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
	select {
	case <-end.C:
	case <-ctx.Done():
	}
}

// send makes a request on a goroutine of its own, unless too many are under way.
func (t *traffic) send(ctx context.Context, request func(context.Context) error) {
	select {
	case t.running <- struct{}{}:
	default:
		return
	}
	// At the end of the run the last customers are still served.
	ctx = context.WithoutCancel(ctx)
	t.requests.Go(func() {
		defer func() { <-t.running }()
		t.sent.Add(1)
		if err := request(ctx); err != nil {
			t.fail(err)
		}
	})
}

// fail counts an error, and prints the first.
func (t *traffic) fail(err error) {
	if t.failed.Add(1) == 1 {
		log.Print("shop: traffic: ", err)
	}
}

// String says what was sent.
func (t *traffic) String() string {
	return fmt.Sprintf("sent %d requests, %d failed", t.sent.Load(), t.failed.Load())
}

func (t *traffic) product(ctx context.Context) error { return t.get(ctx, "/api/product") }

func (t *traffic) order(ctx context.Context) error {
	return t.get(ctx, fmt.Sprint("/api/order/", rand.IntN(orderCount)))
}

func (t *traffic) login(ctx context.Context) error {
	body, err := json.Marshal(credentials{email(rand.IntN(customers)), password})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/api/auth/login", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return t.do(req)
}

func (t *traffic) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+path, nil)
	if err != nil {
		return err
	}
	return t.do(req)
}

func (t *traffic) do(req *http.Request) error {
	res, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", req.Method, req.URL, res.Status)
	}
	return nil
}
