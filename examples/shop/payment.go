package main

import (
	"database/sql"
	"errors"
	"net/http"
	"strconv"
)

// payments is the service that knows what has been paid.
type payments struct{ *service }

func newPayments(s *service) *payments {
	p := &payments{s}
	s.handle("GET /payment/{order}", handler(p.payment))
	return p
}

// paidStatus is what the payment service answers.
type paidStatus struct {
	Status string `json:"status"`
	Cents  int    `json:"cents"`
}

func (p *payments) payment(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.Atoi(r.PathValue("order"))
	if err != nil {
		return &statusError{http.StatusBadRequest, "an order's id is a number"}
	}
	var v paidStatus
	err = p.db.QueryRowContext(r.Context(), p.db.query("SELECT status, cents FROM shop_payments WHERE order_id = ?"), id).Scan(&v.Status, &v.Cents)
	if errors.Is(err, sql.ErrNoRows) {
		return &statusError{http.StatusNotFound, "nothing was paid for this order"}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, v)
}
