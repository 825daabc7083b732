package spanstore_test

import (
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanclock/spanclock/spanstore"
	"github.com/spanclock/spanclock/spanstore/internal/spangen"
)

// The steps of each operation add up to it, and each says of its part of the time
// what a query for that part does.
func TestLatenciesStepByStep(t *testing.T) {
	s, stubs := randomTraces(t, spangen.New(7), 3000)
	var starts []time.Time
	for _, stub := range stubs {
		if !stub.StartTime.IsZero() {
			starts = append(starts, stub.StartTime)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	from, to := starts[len(starts)/4], starts[3*len(starts)/4]
	const steps = 7
	l, err := s.Latencies(t.Context(), spanstore.LatencyQuery{From: from, To: to, Steps: steps, Slowest: 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Series) != steps || len(l.OperationSteps) != len(l.Operations) || len(l.ServiceSteps) != len(l.Services) {
		t.Fatalf("got %d steps, %d of %d operations, %d of %d services", len(l.Series), len(l.OperationSteps), len(l.Operations), len(l.ServiceSteps), len(l.Services))
	}
	addUp(t, l.Operations, l.OperationSteps, steps)
	addUp(t, l.Services, l.ServiceSteps, steps)

	width := (to.Sub(from) + steps - 1) / steps
	for i, got := range l.Series {
		end := from.Add(time.Duration(i+1) * width)
		if i == steps-1 {
			end = to
		}
		part, err := s.Latencies(t.Context(), spanstore.LatencyQuery{From: from.Add(time.Duration(i) * width), To: end})
		if err != nil {
			t.Fatal(err)
		}
		count, errors := 0, 0
		for _, of := range part.Services {
			count, errors = count+of.Count, errors+of.Errors
		}
		if got.Count != count || got.Errors != errors {
			t.Errorf("step %d: got %d entry spans and %d errors; want %d and %d", i, got.Count, got.Errors, count, errors)
		}
	}
	checkSlowest(t, l.Slowest, stubs, from, to, 5)
}

func addUp(t *testing.T, all []spanstore.Latency, each [][]spanstore.Step, steps int) {
	t.Helper()
	for i, of := range all {
		sum := spanstore.Step{}
		for _, s := range each[i] {
			sum.Count, sum.Errors, sum.Total = sum.Count+s.Count, sum.Errors+s.Errors, sum.Total+s.Total
		}
		if len(each[i]) != steps || sum.Count != of.Count || sum.Errors != of.Errors || sum.Total != of.Total {
			t.Errorf("%s %q: got %d steps that add up to %+v; want %d spans, %d errors, %v", of.Service, of.Name, len(each[i]), sum, of.Count, of.Errors, of.Total)
		}
	}
}

func checkSlowest(t *testing.T, got []spanstore.EntrySpan, stubs []tracetest.SpanStub, from, to time.Time, n int) {
	t.Helper()
	var durations []time.Duration
	for _, s := range stubs {
		if between(s, from, to) && (!s.Parent.SpanID().IsValid() || s.Parent.IsRemote()) {
			durations = append(durations, max(0, s.EndTime.Sub(s.StartTime)))
		}
	}
	slices.Sort(durations)
	slices.Reverse(durations)
	if len(got) != min(n, len(durations)) {
		t.Fatalf("got %d slowest spans; want %d", len(got), min(n, len(durations)))
	}
	for i, s := range got {
		is := slices.ContainsFunc(stubs, func(stub tracetest.SpanStub) bool {
			return stub.SpanContext.TraceID() == s.TraceID && stub.Name == s.Name && stub.StartTime.Equal(s.Start) && (stub.Status.Code == codes.Error) == s.Failed
		})
		if s.Duration != durations[i] || !is {
			t.Errorf("number %d: got %+v; want a span of %v that was stored", i, s, durations[i])
		}
	}
}

// Without a time range, or with one that is empty, there are no steps.
func TestLatenciesWithoutStepsHaveNone(t *testing.T) {
	s, _ := randomTraces(t, spangen.New(8), 50)
	now := time.Now()
	for _, q := range []spanstore.LatencyQuery{{}, {Steps: 5}, {From: now, To: now, Steps: 5}, {From: now, To: now.Add(-1), Steps: 5}, {Steps: -1, Slowest: -1}} {
		l, err := s.Latencies(t.Context(), q)
		if err != nil || l.Series != nil || l.OperationSteps != nil || l.Slowest != nil {
			t.Errorf("%+v: got %d steps, %d slowest, %v; want none", q, len(l.Series), len(l.Slowest), err)
		}
	}
}
