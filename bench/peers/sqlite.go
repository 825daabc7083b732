package peers

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	_ "modernc.org/sqlite" // the driver

	"github.com/spanclock/spanclock/bench/internal/measure"
)

const schema = `
CREATE TABLE IF NOT EXISTS origins (id INTEGER PRIMARY KEY, resource TEXT, scope TEXT, version TEXT);
CREATE TABLE IF NOT EXISTS spans (
	id INTEGER PRIMARY KEY, trace_id BLOB, span_id BLOB, parent_id BLOB, origin INTEGER, name TEXT, kind INTEGER,
	start INTEGER, duration INTEGER, status INTEGER, status_text TEXT, attributes TEXT, events TEXT);
CREATE INDEX IF NOT EXISTS spans_trace ON spans (trace_id);
CREATE INDEX IF NOT EXISTS spans_start ON spans (start);`

// SQLite keeps spans in one table.
type SQLite struct {
	db                    *sql.DB
	insert, lookup, prune *sql.Stmt
	max                   int64 // spans to keep
	payload               int64
	origins               map[origin]int64
}

// origin is what the spans of one instrumentation share.
type origin struct {
	resource attribute.Distinct
	scope    instrumentation.Scope
}

// OpenSQLite opens the store in the file path. It keeps at most max spans.
func OpenSQLite(path string, max int64) (_ *SQLite, err error) {
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(1000)"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode())
	if err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	db.SetMaxOpenConns(1) // one writer, and statements stay prepared on it
	s := &SQLite{db: db, max: max, origins: map[origin]int64{}}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	if _, err = db.Exec(schema); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	for stmt, text := range map[**sql.Stmt]string{
		&s.insert: `INSERT INTO spans VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?)`,
		&s.lookup: `SELECT span_id, parent_id, name, kind, start, duration, status, status_text, attributes, events, resource, scope, version
			FROM spans JOIN origins ON origins.id = spans.origin WHERE trace_id = ? ORDER BY start`,
		&s.prune: `DELETE FROM spans WHERE id <= (SELECT max(id) FROM spans) - ?`,
	} {
		if *stmt, err = db.Prepare(text); err != nil {
			return nil, fmt.Errorf("sqlite: %w", err)
		}
	}
	return s, nil
}

func (s *SQLite) Close() error   { return s.db.Close() }
func (s *SQLite) Payload() int64 { return s.payload }

// Sync moves the WAL into the database and syncs that.
func (s *SQLite) Sync() error {
	_, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (s *SQLite) Spans() (n int64) {
	_ = s.db.QueryRow("SELECT count(*) FROM spans").Scan(&n)
	return n
}

func (s *SQLite) Export(spans []sdktrace.ReadOnlySpan) error {
	tx, err := s.db.Begin()
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	defer tx.Rollback()
	insert := tx.Stmt(s.insert)
	for _, span := range spans {
		if err := s.add(tx, insert, span); err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
	}
	if _, err := tx.Stmt(s.prune).Exec(s.max); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return tx.Commit()
}

func (s *SQLite) add(tx *sql.Tx, insert *sql.Stmt, span sdktrace.ReadOnlySpan) error {
	origin, err := s.origin(tx, span)
	if err != nil {
		return err
	}
	id, spanID, parent := span.SpanContext().TraceID(), span.SpanContext().SpanID(), span.Parent().SpanID()
	attributes, err := asJSON(span.Attributes())
	if err != nil {
		return err
	}
	var events []byte
	if len(span.Events()) > 0 {
		if events, err = eventsJSON(span.Events()); err != nil {
			return err
		}
	}
	st := span.Status()
	s.payload += int64(16+8+8+8*5) + int64(len(span.Name())+len(st.Description)+len(attributes)+len(events))
	_, err = insert.Exec(id[:], spanID[:], parent[:], origin, span.Name(), int(span.SpanKind()),
		span.StartTime().UnixNano(), int64(span.EndTime().Sub(span.StartTime())), int(st.Code), st.Description, string(attributes), string(events))
	return err
}

func (s *SQLite) origin(tx *sql.Tx, span sdktrace.ReadOnlySpan) (int64, error) {
	at := origin{span.Resource().Equivalent(), span.InstrumentationScope()}
	if id, ok := s.origins[at]; ok {
		return id, nil
	}
	resource, err := asJSON(span.Resource().Attributes())
	if err != nil {
		return 0, err
	}
	r, err := tx.Exec("INSERT INTO origins VALUES (NULL,?,?,?)", string(resource), at.scope.Name, at.scope.Version)
	if err != nil {
		return 0, err
	}
	id, err := r.LastInsertId()
	s.origins[at] = id
	return id, err
}

func asJSON(kvs []attribute.KeyValue) ([]byte, error) {
	m := make(map[string]any, len(kvs))
	for _, kv := range kvs {
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return json.Marshal(m)
}

type event struct {
	Name       string
	Time       int64
	Attributes json.RawMessage
}

func eventsJSON(events []sdktrace.Event) ([]byte, error) {
	out := make([]event, len(events))
	for i, e := range events {
		attributes, err := asJSON(e.Attributes)
		if err != nil {
			return nil, err
		}
		out[i] = event{e.Name, e.Time.UnixNano(), attributes}
	}
	return json.Marshal(out)
}

// row is a span as it is read.
type row struct {
	spanID, parentID                     []byte
	name, text, resource, scope, version string
	kind, status                         int
	start, duration                      int64
	attributesJSON, eventsJSON           string
	attributes, resourceAttributes       map[string]any
	events                               []event
}

func (s *SQLite) Lookup(id trace.TraceID) (n int, err error) {
	rows, err := s.lookup.Query(id[:])
	if err != nil {
		return 0, fmt.Errorf("sqlite: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.spanID, &r.parentID, &r.name, &r.kind, &r.start, &r.duration, &r.status, &r.text,
			&r.attributesJSON, &r.eventsJSON, &r.resource, &r.scope, &r.version); err != nil {
			return n, fmt.Errorf("sqlite: %w", err)
		}
		if err := r.decode(); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func (r *row) decode() error {
	if err := json.Unmarshal([]byte(r.attributesJSON), &r.attributes); err != nil {
		return err
	}
	if r.eventsJSON != "" {
		if err := json.Unmarshal([]byte(r.eventsJSON), &r.events); err != nil {
			return err
		}
	}
	return json.Unmarshal([]byte(r.resource), &r.resourceAttributes)
}

// Scan looks into the attributes of every row.
func (s *SQLite) Scan(key, text string) (int, error) { return s.scan(key, "=", text) }

// ScanAbove does too.
func (s *SQLite) ScanAbove(key string, number int) (int, error) { return s.scan(key, ">", number) }

func (s *SQLite) scan(key, op string, value any) (n int, err error) {
	err = s.db.QueryRow(`SELECT count(*) FROM (SELECT DISTINCT trace_id FROM spans WHERE json_extract(attributes, '$."'||?||'"') `+op+` ? LIMIT ?)`,
		key, value, measure.ScanLimit).Scan(&n)
	return n, err
}
