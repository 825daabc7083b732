//go:build !linux

package main

import "log"

func main() {
	log.Fatal("cputruth: the clocks of threads that it needs are Linux's")
}
