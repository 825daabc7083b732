// Package e2e tests the front end of /debug/traces in a real Chromium: on
// fixtures (testdata), and on the demo service examples/shop.
//
// Every page that a test opens is watched: a console error, an uncaught
// exception or a violation of the Content-Security-Policy fails the test.
//
// Without Chromium the tests are skipped; with CI=true they fail instead.
// SPANCLOCK_SCREENSHOTS names a directory that receives pictures.
package e2e
