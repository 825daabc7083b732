package realdb_test

import (
	"bufio"
	"database/sql"
	"net"
	"strings"
	"testing"

	"github.com/spanclock/spanclock/examples/internal/realdb"
)

func TestRedis(t *testing.T) {
	c, err := net.Dial("tcp", realdb.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("SET key value\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(c).ReadString('\n'); got != "+OK\r\n" {
		t.Errorf("SET: got %q, %v; want +OK", got, err)
	}
}

func TestPostgres(t *testing.T) { testVersion(t, "pgx", realdb.Postgres(t), "PostgreSQL") }

func TestMySQL(t *testing.T) { testVersion(t, "mysql", realdb.MySQL(t), "MariaDB") }

// testVersion asks the server what it is, and that its database is empty and
// ours to change.
func testVersion(t *testing.T, driver, dsn, want string) {
	t.Helper()
	c, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var version string
	if err := c.QueryRow("SELECT version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(version, want) {
		t.Errorf("got version %q; want %s", version, want)
	}
	if _, err := c.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY)"); err != nil {
		t.Error(err)
	}
}
