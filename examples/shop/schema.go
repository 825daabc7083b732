package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// schema is understood by all three kinds of database.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS shop_users (id INTEGER PRIMARY KEY, email VARCHAR(100) NOT NULL UNIQUE, hash VARCHAR(100) NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS shop_orders (id INTEGER PRIMARY KEY, customer VARCHAR(100) NOT NULL, address VARCHAR(200) NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS shop_order_items (order_id INTEGER NOT NULL, line INTEGER NOT NULL, product INTEGER NOT NULL, quantity INTEGER NOT NULL, cents INTEGER NOT NULL, PRIMARY KEY (order_id, line))`,
	`CREATE TABLE IF NOT EXISTS shop_payments (order_id INTEGER PRIMARY KEY, status VARCHAR(20) NOT NULL, cents INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS shop_stock (product INTEGER PRIMARY KEY, pieces INTEGER NOT NULL)`,
}

// orderCount is the number of orders in the shop, itemCount that of each one's
// items. Ids begin at 0.
const (
	orderCount = 200
	itemCount  = 5
)

// fill makes the tables and their rows. Rows that are there already, from a
// former run on the same server, stay as they are.
func (d *database) fill(ctx context.Context) error {
	c, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, s := range schema {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return err
		}
	}

	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	for _, t := range []table{userRows, orderRows, itemRows, paymentRows, stockRows} {
		if err := d.insertRows(ctx, tx, t); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// table yields the rows of one table.
type table func() (name string, rows [][]any, err error)

// insertRows inserts many rows with each statement: one a row takes seconds
// when the server is a network away.
func (d *database) insertRows(ctx context.Context, tx *sql.Tx, t table) error {
	name, rows, err := t()
	if err != nil {
		return err
	}
	const batch = 500
	for len(rows) > 0 {
		n := min(batch, len(rows))
		if err := d.insertBatch(ctx, tx, name, rows[:n]); err != nil {
			return fmt.Errorf("fill %s: %w", name, err)
		}
		rows = rows[n:]
	}
	return nil
}

func (d *database) insertBatch(ctx context.Context, tx *sql.Tx, name string, rows [][]any) error {
	row := "(?" + strings.Repeat(", ?", len(rows[0])-1) + ")"
	q := d.insert + " " + name + " VALUES " + row + strings.Repeat(", "+row, len(rows)-1) + d.conflict
	if d.numbered {
		q = numberParameters(q)
	}
	var args []any
	for _, r := range rows {
		args = append(args, r...)
	}
	_, err := tx.ExecContext(ctx, q, args...)
	return err
}

func userRows() (string, [][]any, error) {
	// One hash for all: hashing is what takes the time here.
	hash, err := bcrypt.GenerateFromPassword([]byte(password), passwordCost)
	var rows [][]any
	for i := range customers {
		rows = append(rows, []any{i, email(i), string(hash)})
	}
	return "shop_users", rows, err
}

func orderRows() (string, [][]any, error) {
	var rows [][]any
	for i := range orderCount {
		rows = append(rows, []any{i, email(i % customers), fmt.Sprintf("%d Mill Lane", i+1)})
	}
	return "shop_orders", rows, nil
}

func itemRows() (string, [][]any, error) {
	var rows [][]any
	for i := range orderCount {
		for line := range itemCount {
			rows = append(rows, []any{i, line, (i*itemCount + line) % products, line + 1, 1000 + i})
		}
	}
	return "shop_order_items", rows, nil
}

func paymentRows() (string, [][]any, error) {
	var rows [][]any
	for i := range orderCount {
		rows = append(rows, []any{i, []string{"paid", "pending", "refunded"}[i%3], 5000 + i})
	}
	return "shop_payments", rows, nil
}

func stockRows() (string, [][]any, error) {
	var rows [][]any
	for i := range products {
		rows = append(rows, []any{i, i % 50})
	}
	return "shop_stock", rows, nil
}
