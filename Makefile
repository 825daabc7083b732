# make help lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOTESTSUM   := gotest.tools/gotestsum@v1.13.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
MODULES     := . bench/peers bench/peers/labels examples httpui/web/build httpui/web/e2e

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: ## start the demo
	go run ./examples/shop

.PHONY: test
test: deps ## install what the tests need, run the tests of all modules, say what was skipped
	@.ci/test $(GOTESTSUM)

.PHONY: deps
deps: ## install the browser and the databases that tests use, where that is possible
	@.ci/install

.PHONY: dist
dist: ## build the page's bundle into httpui/web/dist
	go run ./httpui/web/build

.PHONY: check
check: ## what CI checks beside the tests
	@.ci/check $(STATICCHECK) $(MODULES)

.PHONY: bench
bench: ## run the benchmarks whose results are kept in bench/results
	go test -run '^$$' -bench . -benchmem ./bench/... ./profiler/... ./spanstore/...

.PHONY: soak
soak: ## the long form of the tests that break things: simulations, corruptions, kills, 1,000 runs of what must not flake; figures are printed
	SPANCLOCK_SOAK=1 go test -count=1 -timeout 120m -v -run 'TestSimulation|TestCorruption|TestKills|TestDiskFull' ./spanstore/
	go test -count=1000 -timeout 60m -run 'TestStatistics$$|TestFakeTime$$|TestPercentile$$|TestGoldenOrder$$' ./spanstore/spantest

.PHONY: bench-store
bench-store: ## measure the store beside badger, sqlite and its floor, print one table
	go run ./bench/peers/report -out bench/results/store.txt

.PHONY: bench-labels
bench-labels: ## measure what labels cost a span, beside others that label, print one table
	go run ./bench/peers/labels -out bench/results/labels.txt

.PHONY: bench-truth
bench-truth: ## compare the CPU shown for spans with what they used, print one table
	go run ./bench/cputruth -out bench/results/cputruth.txt

.PHONY: bench-browser
bench-browser: dist ## open traces of 1k, 10k and 50k spans in a slowed browser, print one table beside its gates and Jaeger
	cd httpui/web/e2e && SPANCLOCK_PAGE_RESULTS=$(CURDIR)/bench/results/page.txt go test -run '^$$' -bench Page -benchtime 1x .

.PHONY: bench-paint
bench-paint: dist ## measure how soon the overview is on the screen with a million spans in the store
	cd httpui/web/e2e && go test -run '^$$' -bench OverviewPaint -benchtime 1x .

.PHONY: bench-windows
bench-windows: ## measure what is lost between windows and how soon CPU time is seen, print one table
	go run ./bench/windows -out bench/results/windows.txt

.PHONY: bench-exact-truth
bench-exact-truth: ## compare exact states with the threads' clocks, beside neighbours and in a quota, print one table
	go run ./bench/exacttruth -out bench/results/exacttruth.txt

.PHONY: bench-exact-cost
bench-exact-cost: ## measure what the exact level costs, with and without by turns, print one table
	go run ./bench/exactcost -out bench/results/exactcost.txt

.PHONY: bench-page
bench-page: ## measure what the page's views cost the server with a million spans, print one table
	go run ./bench/page -out bench/results/page-server.txt

.PHONY: bench-recorder
bench-recorder: ## measure what recording adds to a benchmark of 20 µs with three spans
	(date -u '+date     %Y-%m-%d %H:%M UTC'; printf 'command  make bench-recorder\n\n'; go test -run '^$$' -bench RecorderCost -benchtime 1x ./bench) | tee bench/results/recorder.txt

.PHONY: bench-benchstat
bench-benchstat: ## show that benchstat finds the one span of three that got slower
	go run ./bench/planted -out bench/results/benchstat.txt

.PHONY: fuzz
fuzz: ## fuzz every decoder, a minute each; what it finds goes to testdata/fuzz, to be kept
	go test -run '^$$' -fuzz FuzzSpans -fuzztime 60s ./spanstore/internal/block
	go test -run '^$$' -fuzz FuzzUsage -fuzztime 60s ./spanstore/internal/block
	go test -run '^$$' -fuzz FuzzColumns -fuzztime 60s ./spanstore/internal/block
	go test -run '^$$' -fuzz FuzzParseQuery -fuzztime 60s ./spanstore
	go test -run '^$$' -fuzz FuzzWalk -fuzztime 60s ./spanstore
	go test -run '^$$' -fuzz FuzzRecords -fuzztime 60s ./spanstore
	go test -run '^$$' -fuzz FuzzRead -fuzztime 60s -fuzzminimizetime 20x ./spanstore/otlp
	go test -run '^$$' -fuzz FuzzReadJaeger -fuzztime 60s -fuzzminimizetime 20x ./httpui/export
