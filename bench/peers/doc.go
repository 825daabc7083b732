// Package peers does the work of spanclock's store with what others would use
// for it, so that its figures have something to stand beside. All of them get
// the same spans and are asked the same questions; see measure.Store.
//
// # Badger, in Jaeger's layout
//
// What Jaeger's badger storage writes for a span, key by key: the span itself,
// and an entry without a value for its service, its operation, its duration and
// each of its tags, those of the process included.
//
//	0x80 trace id (16) start µs (8) span id (8)            the span, as protobuf
//	0x81 service                  start µs (8) trace id    -
//	0x82 service operation        start µs (8) trace id    -
//	0x83 service key value        start µs (8) trace id    -
//	0x84 duration µs (8)          start µs (8) trace id    -
//
// Integers are big endian; values are strings. As Jaeger does, each span is a
// transaction of its own, entries expire after 72 h, badger has its default
// options and does not sync each write. As its translation from OpenTelemetry
// does, kind, scope and status become tags. What differs speaks for badger: the
// span is an OTLP message with its resource, about the size of Jaeger's own; the
// cache of service names is left out; and nothing is ever deleted, since Jaeger
// bounds its store by age only. Durable means DB.Sync.
//
// # SQLite
//
// One table of spans, indexed by trace id and by start, attributes and events as
// JSON, resources and scopes in tables of their own; modernc.org/sqlite, WAL,
// synchronous=NORMAL, one transaction for each batch of 512, prepared
// statements. The oldest spans beyond the bound are deleted in the same
// transaction, which is how such a store is kept from growing. Durable means a
// checkpoint of the WAL with its sync.
package peers
