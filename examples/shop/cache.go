package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// keyPrefix begins every key of the shop, and keyTTL ends it on a server that
// is not ours, should the shop not get to remove it.
const (
	keyPrefix = "shop:"
	keyTTL    = 24 * time.Hour
)

// redisServer is the Redis server that all services share.
type redisServer struct {
	addr     string
	embedded *miniredis.Miniredis // nil for a server that is not ours
}

// openRedis connects to the server at addr, or starts one in this process when
// addr is empty.
func openRedis(ctx context.Context, addr string) (*redisServer, error) {
	logging.Disable() // its failures reach us as errors
	r := &redisServer{addr: addr}
	if addr == "" {
		r.embedded = miniredis.NewMiniRedis()
		if err := r.embedded.StartAddr("127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("start the embedded Redis: %w", err)
		}
		r.addr = r.embedded.Addr()
		return r, nil
	}

	c := r.plainClient()
	defer c.Close()
	if err := c.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("connect to Redis at %s (-redis): %w", addr, err)
	}
	return r, nil
}

// plainClient returns a client that nobody traces.
func (r *redisServer) plainClient() *redis.Client { return redis.NewClient(r.plainOptions()) }

func (r *redisServer) plainOptions() *redis.Options {
	return &redis.Options{
		Addr: r.addr,
		// Handshakes that only managed Redis services answer.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DisableIdentity:          true,
		// A server that is too busy is not helped by asking it again.
		MaxRetries: -1,
	}
}

// client returns a client whose commands have spans by tp.
func (r *redisServer) client(tp trace.TracerProvider) (*cache, error) {
	c := r.plainClient()
	err := redisotel.InstrumentTracing(c,
		redisotel.WithTracerProvider(tp),
		// Each span would carry the values that are written: megabytes of
		// catalogue, and session tokens.
		redisotel.WithDBStatement(false),
		// go-redis connects on goroutines of its own, outside any request. Each
		// time would be a trace of one span.
		redisotel.WithDialFilter(true),
		redisotel.WithCommandFilter(isHandshake),
		redisotel.WithCommandsFilter(func(cmds []redis.Cmder) bool { return slices.ContainsFunc(cmds, isHandshake) }))
	if err != nil {
		return nil, fmt.Errorf("instrument Redis: %w", err)
	}
	c.AddHook(spanNames{}) // after redisotel's, hence inside its spans
	return &cache{c}, nil
}

// isHandshake reports whether cmd is one that the client sends by itself when
// it connects.
func isHandshake(cmd redis.Cmder) bool { return cmd.Name() == "hello" || cmd.Name() == "auth" }

// close removes what the shop wrote and stops the server if it is ours.
func (r *redisServer) close() error {
	if r.embedded != nil {
		r.embedded.Close()
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := r.plainClient()
	defer c.Close()
	if err := removeKeys(ctx, c); err != nil {
		return fmt.Errorf("remove %s* from Redis at %s: %w", keyPrefix, r.addr, err)
	}
	return nil
}

// removeKeys removes all keys of the shop, a few at a time.
func removeKeys(ctx context.Context, c *redis.Client) error {
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, keyPrefix+"*", 1000).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := c.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// String says which server this is.
func (r *redisServer) String() string {
	if r.embedded != nil {
		return "embedded (miniredis)"
	}
	return r.addr
}

// cache is one service's client of Redis.
type cache struct{ client *redis.Client }

// get returns the value of key. That it could not be read is on the span; to
// the caller it is a miss.
func (c *cache) get(ctx context.Context, key string) ([]byte, bool) {
	b, err := c.client.Get(ctx, keyPrefix+key).Bytes()
	return b, err == nil
}

// set stores a value for a day.
func (c *cache) set(ctx context.Context, key string, value []byte) error {
	return c.client.Set(ctx, keyPrefix+key, value, keyTTL).Err()
}

func (c *cache) close() error { return c.client.Close() }

// spanNames is a hook inside redisotel's. That one names its spans by the bare
// command in small letters, "get", which says little in a trace of four
// services; here it becomes "redis.GET", with the key beside it.
type spanNames struct{}

func (spanNames) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		// redisotel leaves some commands out: then the span in ctx is the
		// caller's, and not ours to name.
		span := trace.SpanFromContext(ctx)
		if s, ok := span.(sdktrace.ReadOnlySpan); ok && s.Name() == cmd.FullName() {
			name := strings.ToUpper(cmd.FullName())
			span.SetName("redis." + name)
			if key, ok := firstKey(cmd); ok {
				span.SetAttributes(semconv.DBQueryText(name + " " + key))
			}
		}
		return next(ctx, cmd)
	}
}

// firstKey returns the key that a command of the shop is about.
func firstKey(cmd redis.Cmder) (string, bool) {
	args := cmd.Args()
	if len(args) < 2 {
		return "", false
	}
	key, ok := args[1].(string)
	if !ok || !strings.HasPrefix(key, keyPrefix) {
		return "", false
	}
	return key, true
}

func (spanNames) DialHook(next redis.DialHook) redis.DialHook { return next }

func (spanNames) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
