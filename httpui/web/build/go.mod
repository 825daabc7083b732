module github.com/spanclock/spanclock/httpui/web/build

go 1.26.0
