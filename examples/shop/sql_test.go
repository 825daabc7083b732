package main

import (
	"context"
	"testing"

	"github.com/XSAM/otelsql"
	"github.com/redis/go-redis/v9"

	"github.com/spanclock/spanclock/examples/internal/realdb"
)

func TestRealRedis(t *testing.T) {
	addr := realdb.Redis(t)
	c := (&redisServer{addr: addr}).plainClient()
	defer c.Close()
	if err := c.Set(t.Context(), "not-ours", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}

	t.Run("traces", func(t *testing.T) { testOutlines(t, startShop(t, options{redis: addr})) })
	t.Run("noise", func(t *testing.T) {
		s := startShop(t, options{redis: addr, rps: 10})
		if got := c.DBSize(t.Context()).Val(); got < carts {
			t.Errorf("got %d keys; want %d carts", got, carts)
		}
		if err := s.traffic.noise.sweep(t.Context(), 1); err != nil {
			t.Error("sweep:", err)
		}
	})

	// What the shop wrote is gone, and nothing else.
	if got, err := c.Keys(t.Context(), "*").Result(); len(got) != 1 || got[0] != "not-ours" {
		t.Errorf("got keys %.5q (%v) at the end; want only those of others", got, err)
	}
}

func TestRealPostgres(t *testing.T) {
	testDatabase(t, options{postgres: realdb.Postgres(t)})
}

func TestRealMySQL(t *testing.T) {
	testDatabase(t, options{mysql: realdb.MySQL(t)})
}

// testDatabase runs the shop on a new database, and again on the filled one.
func testDatabase(t *testing.T, o options) {
	t.Helper()
	t.Run("empty", func(t *testing.T) { testOutlines(t, startShop(t, o)) })
	t.Run("filled", func(t *testing.T) { testOutlines(t, startShop(t, o)) })
}

func TestStatementName(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT id, hash FROM shop_users WHERE email = ?": "SELECT shop_users",
		"insert into shop_orders VALUES (1)":              "INSERT shop_orders",
		"UPDATE shop_stock SET pieces = 0":                "UPDATE shop_stock",
		"DELETE FROM shop_orders":                         "DELETE shop_orders",
		"BEGIN":                                           "BEGIN",
		"":                                                "sql.conn.query",
		"SELECT a FROM":                                   "SELECT",
		"\n\tSELECT pieces\n\tFROM shop_stock\n\tORDER BY id": "SELECT shop_stock",
	} {
		if got := statementName(context.Background(), otelsql.MethodConnQuery, query); got != want {
			t.Errorf("%q: got %q; want %q", query, got, want)
		}
	}
}

func TestNumberParameters(t *testing.T) {
	for q, want := range map[string]string{
		"SELECT 1":                         "SELECT 1",
		"SELECT a FROM t WHERE b = ?":      "SELECT a FROM t WHERE b = $1",
		"INSERT INTO t VALUES (?, ?), (?)": "INSERT INTO t VALUES ($1, $2), ($3)",
	} {
		if got := numberParameters(q); got != want {
			t.Errorf("%q: got %q; want %q", q, got, want)
		}
	}
}

// TestFirstKey: the key goes on the span, a value or a password never does.
func TestFirstKey(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		cmd  redis.Cmder
		want string
	}{
		{redis.NewStatusCmd(ctx, "set", "shop:session:1", "secret"), "shop:session:1"},
		{redis.NewStatusCmd(ctx, "auth", "secret"), ""},
		{redis.NewStatusCmd(ctx, "ping"), ""},
		{redis.NewStatusCmd(ctx, "select", 1), ""},
	} {
		if got, ok := firstKey(c.cmd); got != c.want || ok != (c.want != "") {
			t.Errorf("%v: got %q, %v; want %q", c.cmd.Args()[0], got, ok, c.want)
		}
	}
}
