module github.com/spanclock/spanclock/httpui/web/e2e

go 1.26.0
