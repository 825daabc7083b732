package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spanclock/spanclock/httpui/internal/text"
	"github.com/spanclock/spanclock/profiler/stall"
	"github.com/spanclock/spanclock/spanstore"
)

var lsCommand = command{
	name: "ls", arguments: "DIR|FILE [QUERY]", short: "list traces",
	help: `
Ls lists traces, newest first, as a table, or with -json as one JSON object on a line,
with the keys of the page's list.

  spanclock ls traces
  spanclock ls traces 'service=orders duration>100ms order=longest'
  spanclock ls traces 'status=error' -n 0 -json | jq -r .trace_id

A query has terms such as service=orders, name~"GET /api", duration>100ms, status=error,
http.response.status_code>=500, cpu<10%, trace.spans>100, has:db.query.text, order=longest;
all must hold.`,
	flags: func(fs *flag.FlagSet) func(context.Context, *app, []string) error {
		asJSON := fs.Bool("json", false, "one JSON object on a line")
		most := fs.Int("n", 50, "list at most so many `traces`; 0 lists all")
		return func(ctx context.Context, a *app, args []string) error {
			if len(args) == 0 || *most < 0 {
				return wrongf("ls: name a directory or file, and -n of 0 or more")
			}
			q, err := parseQuery(args[1:]...)
			if err != nil {
				return err
			}
			return a.ls(ctx, args[0], q, *most, *asJSON)
		}
	},
}

// lineJSON has the keys of the page's list.
type lineJSON struct {
	TraceID  string         `json:"trace_id"`
	Service  string         `json:"service"`
	Services []string       `json:"services"`
	RootName string         `json:"root_name"`
	Rootless bool           `json:"rootless"`
	Start    string         `json:"start"`
	WallNS   int64          `json:"wall_ns"`
	CPUNS    int64          `json:"cpu_ns"`
	LowNS    int64          `json:"cpu_low_ns"`
	HighNS   int64          `json:"cpu_high_ns"`
	Samples  int            `json:"samples"`
	Evidence stall.Evidence `json:"evidence"`
	Spans    int            `json:"spans"`
	Errors   int            `json:"errors"`
	Kept     string         `json:"kept"`
}

func (a *app) ls(ctx context.Context, path string, q spanstore.Query, most int, asJSON bool) error {
	src, err := a.open(ctx, path)
	if err != nil {
		return err
	}
	defer src.Close()
	if asJSON {
		e := json.NewEncoder(a.out)
		return a.each(ctx, src.Store, q, most, func(s *spanstore.Summary) error { return e.Encode(newLine(s)) })
	}
	rows := [][]string{{"START (UTC)", "TRACE", "SERVICE", "ROOT", "WALL", "CPU", "SPANS", "ERRORS", "KEPT"}}
	flush := func() error {
		var b strings.Builder
		text.Table(&b, rows, "llllrrrrl")
		_, err := io.WriteString(a.out, b.String())
		return err
	}
	if err := a.each(ctx, src.Store, q, most, func(s *spanstore.Summary) error {
		rows = append(rows, row(s))
		return nil
	}); err != nil {
		return err
	}
	if len(rows) == 1 {
		a.tell("no trace in %s meets the query", path)
		return nil
	}
	if err := flush(); err != nil {
		return err
	}
	if most > 0 && len(rows) == most+1 && a.terminal {
		a.tell("these are the first %d; -n 0 lists all", most)
	}
	return nil
}

func newLine(s *spanstore.Summary) lineJSON {
	cpu := stall.SummaryCPU(s)
	return lineJSON{
		TraceID: s.TraceID.String(), Service: s.Service, Services: append([]string{}, s.Services...), RootName: s.Name, Rootless: s.Rootless,
		Start: s.Start.UTC().Format(time.RFC3339Nano), WallNS: int64(s.Duration),
		CPUNS: int64(cpu.Value), LowNS: int64(cpu.Low), HighNS: int64(cpu.High), Samples: cpu.Samples, Evidence: cpu.Evidence,
		Spans: s.Spans, Errors: s.Errors, Kept: s.Kept,
	}
}

func row(s *spanstore.Summary) []string {
	const most = 48
	cpu := stall.SummaryCPU(s)
	used := "-"
	switch cpu.Evidence {
	case stall.None:
	case stall.Exact:
		used = stall.FormatDuration(cpu.Value)
	default:
		used = "≈" + stall.FormatDuration(cpu.Value)
	}
	name := s.Name
	if s.Rootless {
		name = "(no root) " + name
	}
	errors := ""
	if s.Errors > 0 {
		errors = strconv.Itoa(s.Errors)
	}
	return []string{
		s.Start.UTC().Format("2006-01-02 15:04:05.000"), s.TraceID.String(), text.Clip(text.Escape(s.Service), most), text.Clip(text.Escape(name), most),
		stall.FormatDuration(s.Duration), used, fmt.Sprint(s.Spans), errors, s.Kept,
	}
}
