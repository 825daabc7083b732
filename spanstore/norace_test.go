//go:build !race

package spanstore

const raceEnabled = false
