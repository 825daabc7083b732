package main

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/crypto/bcrypt"
)

// users is the service that knows the customers' passwords.
type users struct{ *service }

func newUsers(s *service) *users {
	u := &users{s}
	s.handle("POST /api/auth/login", handler(u.login))
	return u
}

// credentials is the body of a login.
type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// login checks a password and starts a session.
//
// This is the third thing that goes wrong, and cannot be helped: a password
// hash is meant to be expensive. It burns in this handler's span, and when more
// customers log in at once than there are CPUs, they wait for one.
func (u *users) login(w http.ResponseWriter, r *http.Request) error {
	var c credentials
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&c); err != nil {
		return &statusError{http.StatusBadRequest, "login: " + err.Error()}
	}

	var id int
	var hash string
	err := u.db.QueryRowContext(r.Context(), u.db.query("SELECT id, hash FROM shop_users WHERE email = ?"), c.Email).Scan(&id, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return errLogin
	}
	if err != nil {
		return err
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(c.Password)) != nil {
		return errLogin
	}

	// One session a customer: a new login ends the one before.
	session := rand.Text()
	if err := u.cache.set(r.Context(), fmt.Sprint("session:", id), []byte(session)); err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"session": session})
}

var errLogin = &statusError{http.StatusUnauthorized, "wrong email or password"}

// customers is the number of customers, all with the same password.
const (
	customers = 20
	password  = "correct horse battery staple"
)

func email(customer int) string { return fmt.Sprintf("customer%d@shop.example", customer) }

// passwordCost is bcrypt's own default, 50 to 100 ms of CPU.
const passwordCost = bcrypt.DefaultCost
