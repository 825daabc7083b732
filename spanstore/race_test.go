//go:build race

package spanstore

const raceEnabled = true
