package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/XSAM/otelsql"
	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	_ "modernc.org/sqlite"
)

// database is the SQL database that all services share.
type database struct {
	dialect
	dsn string
	dir string // of the embedded database, removed at the end; "" for a server's
}

// dialect is what differs between the three kinds of database.
type dialect struct {
	name     string
	driver   string // as registered with database/sql
	system   attribute.KeyValue
	numbered bool // parameters are $1, $2, … rather than ?
	insert   string
	conflict string // what is said at the end of insert to leave rows that are there
}

var (
	sqlite = dialect{
		name: "embedded (SQLite)", driver: "sqlite", system: semconv.DBSystemNameSQLite,
		insert: "INSERT INTO", conflict: " ON CONFLICT DO NOTHING",
	}
	postgres = dialect{
		name: "PostgreSQL (-postgres)", driver: "pgx", system: semconv.DBSystemNamePostgreSQL,
		numbered: true, insert: "INSERT INTO", conflict: " ON CONFLICT DO NOTHING",
	}
	mySQL = dialect{
		name: "MySQL (-mysql)", driver: "mysql", system: semconv.DBSystemNameMySQL,
		insert: "INSERT IGNORE INTO",
	}
)

// openDatabase connects to the database that was asked for, or to an embedded
// one when both are empty, and fills it.
func openDatabase(ctx context.Context, postgresDSN, mysqlDSN string) (_ *database, err error) {
	var d *database
	switch {
	case postgresDSN != "":
		d = &database{dialect: postgres, dsn: postgresDSN}
	case mysqlDSN != "":
		d, err = openMySQL(mysqlDSN)
	default:
		d, err = openSQLite()
	}
	if err != nil {
		return nil, err
	}
	if err := d.fill(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", d, err), d.close())
	}
	return d, nil
}

// openMySQL makes the driver put parameters into the statement by itself. By
// default it refuses, and database/sql prepares each statement first: three
// spans and two round trips where there was one query.
func openMySQL(dsn string) (*database, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("-mysql: %w", err)
	}
	cfg.InterpolateParams = true
	return &database{dialect: mySQL, dsn: cfg.FormatDSN()}, nil
}

// openSQLite makes a database in a directory of its own. A file rather than
// memory: connections to one database in memory lock one another out.
func openSQLite() (*database, error) {
	dir, err := os.MkdirTemp("", "spanclock-shop-sql-")
	if err != nil {
		return nil, err
	}
	dsn := "file:" + filepath.ToSlash(filepath.Join(dir, "shop.db")) +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)"
	return &database{dialect: sqlite, dsn: dsn, dir: dir}, nil
}

// String says which database this is, without its DSN: that has a password.
func (d *database) String() string { return d.name }

// close removes the embedded database. Tables on a server stay.
func (d *database) close() error {
	if d.dir == "" {
		return nil
	}
	return os.RemoveAll(d.dir)
}

// client returns a client whose statements have spans by tp.
func (d *database) client(tp trace.TracerProvider) (*db, error) {
	c, err := otelsql.Open(d.driver, d.dsn,
		otelsql.WithTracerProvider(tp),
		otelsql.WithAttributes(d.system),
		otelsql.WithSpanNameFormatter(statementName),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			OmitConnResetSession: true,
			OmitRows:             true,
			SpanFilter:           insideRequest,
		}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	limitConns(c)
	return &db{c, d.numbered}, nil
}

// limitConns leaves room for a burst, and a server room for others.
func limitConns(c *sql.DB) {
	c.SetMaxOpenConns(10)
	c.SetMaxIdleConns(10)
	c.SetConnMaxIdleTime(time.Minute)
}

// insideRequest keeps what database/sql does on goroutines of its own from
// becoming traces of one span.
func insideRequest(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
	return trace.SpanContextFromContext(ctx).IsValid()
}

// statementName names a span by what is done to which table: SELECT shop_users.
func statementName(_ context.Context, method otelsql.Method, query string) string {
	words := strings.Fields(query)
	if len(words) == 0 {
		return string(method)
	}
	verb := strings.ToUpper(words[0])
	for i, w := range words[:len(words)-1] {
		switch strings.ToUpper(w) {
		case "FROM", "INTO", "UPDATE":
			return verb + " " + words[i+1]
		}
	}
	return verb
}

// db is one service's client of the database.
type db struct {
	*sql.DB
	numbered bool
}

func (d *db) close() error { return d.Close() }

// query returns a statement with ? for its parameters as this database wants it.
func (d *db) query(q string) string {
	if !d.numbered {
		return q
	}
	return numberParameters(q)
}

// numberParameters turns each ? of a statement into $1, $2 and so on. The
// statements of the shop have no ? elsewhere.
func numberParameters(q string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(q, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		q = after
	}
}
