//go:build !linux

package main

import "log"

func main() {
	log.Fatal("exacttruth: the clocks of threads that it needs are Linux's")
}
