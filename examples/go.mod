module github.com/spanclock/spanclock/examples

go 1.26.0
