package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// orders is the service that knows what was bought, and what is left.
type orders struct {
	*service
	payment *peer
}

func newOrders(s *service, payment *peer) *orders {
	o := &orders{s, payment}
	s.handle("GET /api/order/{id}", handler(o.order))
	s.handle("GET /stock", handler(o.stock))
	return o
}

// order is an order as the customer sees it.
type order struct {
	ID       int        `json:"id"`
	Customer string     `json:"customer"`
	Address  string     `json:"address"`
	Items    []item     `json:"items"`
	Payment  paidStatus `json:"payment"`
}

type item struct {
	Product int `json:"product"`
	Count   int `json:"count"`
	Cents   int `json:"cents"`
}

// order answers with one order: its head from the cache, its items from the
// database, its payment from the payment service.
//
// This is the second thing that goes wrong: the cache is meant to save a few
// hundred microseconds of SELECT, and is the slowest part of the request
// whenever Redis is busy for somebody else.
func (o *orders) order(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return &statusError{http.StatusBadRequest, "an order's id is a number"}
	}
	v, err := o.head(ctx, id)
	if err != nil {
		return err
	}
	if v.Items, err = o.items(ctx, id); err != nil {
		return err
	}
	if err := o.payment.get(ctx, fmt.Sprint("/payment/", id), &v.Payment); err != nil {
		return err
	}
	return writeJSON(w, v)
}

// head returns an order without its items, from the cache where it is there.
func (o *orders) head(ctx context.Context, id int) (order, error) {
	v := order{ID: id}
	key := fmt.Sprint("order:", id)
	if b, ok := o.cache.get(ctx, key); ok && json.Unmarshal(b, &v) == nil {
		return v, nil
	}

	err := o.db.QueryRowContext(ctx, o.db.query("SELECT customer, address FROM shop_orders WHERE id = ?"), id).Scan(&v.Customer, &v.Address)
	if errors.Is(err, sql.ErrNoRows) {
		return v, &statusError{http.StatusNotFound, fmt.Sprintf("order %d does not exist", id)}
	}
	if err != nil {
		return v, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	o.cache.set(ctx, key, b) // its error is on its span; the order is at hand
	return v, nil
}

func (o *orders) items(ctx context.Context, id int) ([]item, error) {
	rows, err := o.db.QueryContext(ctx, o.db.query("SELECT product, quantity, cents FROM shop_order_items WHERE order_id = ? ORDER BY line"), id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []item
	for rows.Next() {
		var i item
		if err := rows.Scan(&i.Product, &i.Count, &i.Cents); err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, rows.Err()
}

// stock answers with how many pieces of each product are left, by product id.
func (o *orders) stock(w http.ResponseWriter, r *http.Request) error {
	rows, err := o.db.QueryContext(r.Context(), "SELECT pieces FROM shop_stock ORDER BY product")
	if err != nil {
		return err
	}
	defer rows.Close()
	stock := make([]int, 0, products)
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return err
		}
		stock = append(stock, n)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return writeJSON(w, stock)
}
