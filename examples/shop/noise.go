package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// noise is another user of the same Redis server: a back-office job that looks
// for abandoned carts. It is not traced, as other teams' jobs are not.
//
// KEYS makes the server look at every key it has, and no other client is served
// meanwhile: about 20 ms for these keys in Redis, twice that in the embedded
// server, which also does one command at a time.
type noise struct {
	client *redis.Client
	busy   sync.Mutex // held by the sweep under way
}

const (
	carts         = 100_000
	abandonedEach = 2_000    // one cart in so many is abandoned
	cartBytes     = 20 << 10 // of an abandoned cart
)

func cartKey(i int) string {
	state := "open"
	if i%abandonedEach == 0 {
		state = "abandoned"
	}
	return fmt.Sprintf("%scart:%06d:%s", keyPrefix, i, state)
}

// openNoise fills the server with carts.
func openNoise(ctx context.Context, r *redisServer) (*noise, error) {
	o := r.plainOptions()
	o.ReadTimeout = time.Minute // KEYS takes its time; the server works on, whoever hangs up
	n := &noise{client: redis.NewClient(o)}
	abandoned := make([]byte, cartBytes)
	for i := 0; i < carts; {
		p := n.client.Pipeline()
		for range 1000 {
			value := []byte("{}")
			if i%abandonedEach == 0 {
				value = abandoned
			}
			p.Set(ctx, cartKey(i), value, keyTTL)
			i++
		}
		if _, err := p.Exec(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("fill Redis at %s: %w", r.addr, err), n.close())
		}
	}
	return n, nil
}

// sweep looks for abandoned carts again and again for the time d, as a report
// over many shops does. It ends early with ctx or an error, and at once when
// another sweep is under way: on a slow machine they would pile up.
func (n *noise) sweep(ctx context.Context, d time.Duration) error {
	if !n.busy.TryLock() {
		return nil
	}
	defer n.busy.Unlock()
	for end := time.Now().Add(d); time.Now().Before(end); {
		keys, err := n.client.Keys(ctx, keyPrefix+"cart:*:abandoned").Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := n.client.MGet(ctx, keys...).Err(); err != nil {
			return err
		}
	}
	return nil
}

func (n *noise) close() error { return n.client.Close() }
