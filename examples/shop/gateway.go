package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// gateway is the service that customers talk to. It makes the product page
// itself and passes orders and logins on.
type gateway struct {
	*service
	orders     *peer
	catalogue  []product
	thumbnails []byte
	fix        bool           // write the cache after the response
	late       sync.WaitGroup // cache writes after their response
}

func newGateway(s *service, users, orders *peer, fix bool) *gateway {
	g := &gateway{service: s, orders: orders, fix: fix, catalogue: catalogue(), thumbnails: make([]byte, products*thumbnailBytes)}
	s.handle("GET /api/product", handler(g.product))
	s.handle("GET /api/order/{id}", forward(orders))
	s.handle("POST /api/auth/login", forward(users))
	return g
}

// product answers with the whole catalogue and today's stock. The page also
// goes to the cache, together with the thumbnails: there the apps find both in
// one piece.
//
// This is the first thing that goes wrong: the customer waits for that write,
// though the answer does not depend on it. Nearly all of the page has been sent
// by then, but a response ends when its handler returns.
func (g *gateway) product(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var stock []int
	if err := g.orders.get(ctx, "/stock", &stock); err != nil {
		return err
	}
	page, err := render(g.catalogue, stock)
	if err != nil {
		return err
	}
	writeBody(w, page)

	// A page that could not be cached is made again next time, and no more than
	// that: the error is on the span of the write.
	cache := func(ctx context.Context) { g.cache.set(ctx, "catalogue", slices.Concat(page, g.thumbnails)) }
	if g.fix {
		g.afterResponse(ctx, cache)
	} else {
		cache(ctx)
	}
	return nil
}

// afterResponse runs f when the request of ctx is over, on a goroutine of its
// own. The context that f gets keeps the request's span, so that the work
// appears in its trace, but is no longer cancelled with it.
func (g *gateway) afterResponse(ctx context.Context, f func(context.Context)) {
	g.late.Go(func() {
		<-ctx.Done() // net/http cancels it when the handler has returned
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		f(ctx)
	})
}

// wait returns when all work after a response is done. No request may be under
// way.
func (g *gateway) wait() error {
	g.late.Wait()
	return nil
}

// product is one line of the catalogue.
type product struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Text    string `json:"text"`
	Cents   int    `json:"cents"`
	InStock int    `json:"in_stock"`
}

// products is the number of products in the shop.
const (
	products       = 1000
	thumbnailBytes = 3 << 10 // of each, as many as a small WebP picture has
)

// catalogue returns all products, without their stock.
func catalogue() []product {
	colours := []string{"red", "green", "blue", "black", "white"}
	things := []string{"kettle", "lamp", "chair", "clock", "rucksack", "bicycle bell", "teapot"}
	all := make([]product, products)
	for i := range all {
		name := fmt.Sprintf("%s %s no. %d", colours[i%len(colours)], things[i%len(things)], i)
		all[i] = product{ID: i, Name: name, Text: describe(name), Cents: 1000 + 7*i}
	}
	return all
}

// describe returns about 2 kB of text: the catalogue is some megabytes large.
func describe(name string) string {
	return "The " + name + " has been made by the same family for three generations. " +
		strings.Repeat("It is finished by hand, comes in a box that fits through every letter flap, and can be repaired: "+
			"all its parts are sold one by one. Wash by hand, keep away from open fire, and do not let the cat sleep in it. "+
			"Returned within thirty days it is taken back without questions; after that we ask a few, but kindly. ", 6)
}

// render returns the catalogue as JSON, with stock[i] pieces of product i.
func render(catalogue []product, stock []int) ([]byte, error) {
	page := slices.Clone(catalogue)
	for i := range min(len(page), len(stock)) {
		page[i].InStock = stock[i]
	}
	return json.Marshal(page)
}

// forward passes requests on to a service under the same path.
func forward(to *peer) http.Handler {
	target, err := url.Parse(to.url)
	if err != nil {
		panic(err) // the address of a listener of ours
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: to.transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway) // the client span has it too
		},
	}
}
