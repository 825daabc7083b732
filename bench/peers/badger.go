package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/spanclock/spanclock/bench/internal/measure"
)

// Kinds of keys, see doc.go.
const (
	keySpan      = 0x80
	keyService   = 0x81
	keyOperation = 0x82
	keyTag       = 0x83
	keyDuration  = 0x84
)

// spanTTL is Jaeger's default.
const spanTTL = 72 * time.Hour

// Badger keeps spans in badger as Jaeger does.
type Badger struct {
	db      *badger.DB
	payload int64
}

// OpenBadger opens the store in dir.
func OpenBadger(dir string) (*Badger, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("open badger: %w", err)
	}
	return &Badger{db: db}, nil
}

func (b *Badger) Close() error   { return b.db.Close() }
func (b *Badger) Sync() error    { return b.db.Sync() }
func (b *Badger) Payload() int64 { return b.payload }

// Spans counts the keys of spans.
func (b *Badger) Spans() (n int64) {
	b.each([]byte{keySpan}, false, func(*badger.Item) error { n++; return nil })
	return n
}

func (b *Badger) Export(spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		entries, err := b.entries(s)
		if err != nil {
			return err
		}
		if err := b.db.Update(func(tx *badger.Txn) error {
			for _, e := range entries {
				if err := tx.SetEntry(e); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("badger: %w", err)
		}
	}
	return nil
}

// entries is what one span becomes.
func (b *Badger) entries(s sdktrace.ReadOnlySpan) ([]*badger.Entry, error) {
	value, err := proto.Marshal(&tracepb.ResourceSpans{
		Resource:   resourceOf(s.Resource()),
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: scopeOf(s.InstrumentationScope()), Spans: []*tracepb.Span{SpanOf(s)}}},
	})
	if err != nil {
		return nil, fmt.Errorf("badger: %w", err)
	}
	var out []*badger.Entry
	expires := uint64(time.Now().Add(spanTTL).Unix())
	put := func(key, value []byte) {
		b.payload += int64(len(key) + len(value))
		out = append(out, &badger.Entry{Key: key, Value: value, ExpiresAt: expires})
	}
	id, span := s.SpanContext().TraceID(), s.SpanContext().SpanID()
	start := binary.BigEndian.AppendUint64(nil, uint64(s.StartTime().UnixMicro()))
	index := func(kind byte, of ...string) {
		key := []byte{kind}
		for _, part := range of {
			key = append(key, part...)
		}
		put(append(append(key, start...), id[:]...), nil)
	}

	key := append([]byte{keySpan}, id[:]...)
	put(append(append(key, start...), span[:]...), value)
	service := serviceOf(s)
	index(keyService, service)
	index(keyOperation, service, s.Name())
	index(keyDuration, string(binary.BigEndian.AppendUint64(nil, uint64(s.EndTime().Sub(s.StartTime()).Microseconds()))))
	for _, kv := range tags(s) {
		index(keyTag, service, string(kv.Key), kv.Value.String())
	}
	return out, nil
}

// tags are the attributes of s as Jaeger has them.
func tags(s sdktrace.ReadOnlySpan) []attribute.KeyValue {
	scope := s.InstrumentationScope()
	out := append([]attribute.KeyValue{
		attribute.String("span.kind", s.SpanKind().String()),
		attribute.String("otel.scope.name", scope.Name), attribute.String("otel.scope.version", scope.Version),
	}, s.Attributes()...)
	if st := statusOf(s.Status()); st != nil {
		out = append(out, attribute.String("otel.status_code", s.Status().Code.String()), attribute.Bool("error", st.Code == tracepb.Status_STATUS_CODE_ERROR))
	}
	for _, kv := range s.Resource().Attributes() {
		if kv.Key != "service.name" { // the process has it as its name
			out = append(out, kv)
		}
	}
	for _, e := range s.Events() {
		out = append(out, e.Attributes...)
	}
	return out
}

func serviceOf(s sdktrace.ReadOnlySpan) string {
	v, _ := s.Resource().Set().Value("service.name")
	return v.AsString()
}

func (b *Badger) Lookup(id trace.TraceID) (n int, err error) {
	err = b.each(append([]byte{keySpan}, id[:]...), true, func(item *badger.Item) error {
		return item.Value(func(v []byte) error {
			n++
			return proto.Unmarshal(v, &tracepb.ResourceSpans{})
		})
	})
	return n, err
}

// Scan reads the index of tags, which has the answer in one place.
func (b *Badger) Scan(key, text string) (int, error) {
	found := map[trace.TraceID]bool{}
	prefix := append([]byte{keyTag}, service+key+text...)
	err := b.each(prefix, false, func(item *badger.Item) error {
		k := item.Key()
		if len(k) != len(prefix)+8+16 { // another value that begins alike
			return nil
		}
		found[trace.TraceID(k[len(k)-16:])] = true
		if len(found) == measure.ScanLimit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return len(found), err
}

// ScanAbove is not to be had: the index holds numbers as text.
func (b *Badger) ScanAbove(string, int) (int, error) { return 0, errors.ErrUnsupported }

// The workload is one service; Jaeger's index needs to be told which.
const service = "shop"

var errEnough = errors.New("enough")

func (b *Badger) each(prefix []byte, values bool, f func(*badger.Item) error) error {
	return b.db.View(func(tx *badger.Txn) error {
		o := badger.DefaultIteratorOptions // without Prefix, as Jaeger has it
		o.PrefetchValues = values
		it := tx.NewIterator(o)
		defer it.Close()
		for it.Seek(prefix); it.ValidForPrefix(prefix); it.Next() {
			if err := f(it.Item()); err != nil {
				return err
			}
		}
		return nil
	})
}
