package profiler

import (
	"math/rand/v2"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func traceID(n uint64) (id trace.TraceID) {
	id[0], id[15] = byte(n>>8)|1, byte(n)
	return id
}

func TestKeysRoundTrip(t *testing.T) {
	for _, k := range []spanKey64{1, 0x0123456789abcdef, 1 << 63} {
		got, ok := parseKey(k.hex())
		if !ok || got != k || keyOf(k.spanID()) != k || k.spanID().String() != k.hex() {
			t.Errorf("got %x, %v, %s from %s; want %x", got, ok, k.spanID(), k.hex(), k)
		}
	}
	for _, s := range []string{"", "0", "0000000000000000", "zzzzzzzzzzzzzzzz", "0123456789abcdef0"} {
		if k, ok := parseKey(s); ok {
			t.Errorf("got %x from %q; want no span", k, s)
		}
	}
}

// Random starts and ends against plain maps, within the registry's bounds.
func TestRegistryAgainstMaps(t *testing.T) {
	r := newRegistry(1<<16, 1<<16, func() {})
	rnd := rand.New(rand.NewPCG(1, 2))
	live, over := map[spanKey64]bool{}, map[spanKey64]uint32{}
	var order []spanKey64
	for n := range 20_000 {
		switch {
		case n%1000 == 0:
			r.nextGeneration()
		case len(order) == 0 || rnd.IntN(2) == 0:
			k := spanKey64(n + 1)
			if !r.add(&frame{key: k, trace: traceID(uint64(k))}) {
				t.Fatalf("span %d: got a duplicate; want it added", k)
			}
			live[k] = true
			order = append(order, k)
		default:
			i := rnd.IntN(len(order))
			k := order[i]
			order[i] = order[len(order)-1]
			order = order[:len(order)-1]
			if f := r.end(k); f == nil || f.key != k || !f.gone.Load() {
				t.Fatalf("span %d: got frame %+v; want its own, gone", k, f)
			}
			delete(live, k)
			over[k] = r.generation.Load()
		}
	}
	if got := r.liveSpans(); got != len(live) {
		t.Errorf("got %d live spans; want %d", got, len(live))
	}

	gen := r.generation.Load()
	spans := map[spanKey64]identity{1 << 40: {}}
	for k := range live {
		spans[k] = identity{}
	}
	for k := range over {
		spans[k] = identity{}
	}
	r.identify(spans, gen)
	for k, got := range spans {
		want := identity{trace: traceID(uint64(k)), over: !live[k] && over[k] < gen}
		if k == 1<<40 {
			want = identity{}
		}
		if got != want {
			t.Errorf("span %d: got %+v; want %+v", k, got, want)
		}
	}
}

func TestRegistryIsBounded(t *testing.T) {
	crowded := 0
	r := newRegistry(64, 64*4, func() { crowded++ })
	r.nextGeneration()
	for k := spanKey64(1); k <= 10_000; k++ {
		r.add(&frame{key: k})
	}
	if n := r.liveSpans(); n > 64 {
		t.Errorf("got %d live spans; want at most 64", n)
	}
	if n := r.dropped.Load() + int64(r.liveSpans()); n != 10_000 {
		t.Errorf("got %d spans live and dropped; want all 10000", n)
	}
	if r.get(10_000) == nil {
		t.Error("got no frame of the newest span; want the oldest to make room")
	}
	for k := spanKey64(1); k <= 10_000; k++ {
		r.add(&frame{key: k})
		r.end(k)
	}
	remembered := 0
	for i := range r.shards {
		remembered += len(r.shards[i].ended)
	}
	if remembered > 64*4 {
		t.Errorf("got %d ended spans remembered; want at most %d", remembered, 64*4)
	}
	if crowded != 1 {
		t.Errorf("got %d calls for more room in one generation; want 1", crowded)
	}
}

func TestEnclosing(t *testing.T) {
	r := newRegistry(1<<10, 1<<10, func() {})
	frames := map[spanKey64]*frame{}
	for k := spanKey64(1); k <= 5; k++ { // 5 in 4 in 3 in 2 in 1
		frames[k] = &frame{key: k, prev: frames[k-1]}
		r.add(frames[k])
	}
	for _, k := range []spanKey64{3, 5, 4} {
		r.end(k).release()
	}
	if f, known := r.enclosing(5); f != frames[2] || !known {
		t.Errorf("got %+v, known %v around span 5; want span 2, the innermost that lives", f, known)
	}
	if f, known := r.enclosing(99); f != nil || known {
		t.Errorf("got %+v, known %v around a span never seen; want nil, false", f, known)
	}
	r.end(2).release()
	r.end(1).release()
	if f, known := r.enclosing(5); f != nil || !known {
		t.Errorf("got %+v, known %v with all spans over; want nil, true", f, known)
	}

	// Ids that point at each other do not hold anybody up.
	a, b := &frame{key: 10}, &frame{key: 11}
	a.prev, b.prev = b, a
	r.add(a)
	r.add(b)
	r.end(10)
	r.end(11)
	if f, known := r.enclosing(10); f != nil || !known {
		t.Errorf("got %+v, known %v in a circle; want nil, true", f, known)
	}
}
