// Package e2e tests the front end of /debug/traces in a real Chromium: the trace
// page on the real handler and a store with sample traces, the list on fixtures
// (testdata), and all of it on the demo service examples/shop. BenchmarkPage opens
// large traces in a slowed browser (make bench-browser), BenchmarkOverviewPaint the
// overview of a million spans (make bench-paint).
//
// Every page that a test opens is watched: a console error, an uncaught
// exception or a violation of the Content-Security-Policy fails the test.
//
// TestAccessible has axe-core (testdata/axe) look at every page, TestHostileOnEveryPage
// fills every page and every file with what spans should not have, TestEveryKeyDoesSomething
// presses what src/keys.ts lists, TestEveryLinkLeadsSomewhere follows all links.
//
// Without Chromium the tests are skipped; with CI=true they fail instead.
// SPANCLOCK_SCREENSHOTS names a directory that receives pictures.
package e2e
