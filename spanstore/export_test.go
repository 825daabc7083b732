package spanstore

// What the tests of the outside share with those of the inside.
var (
	Soak     = soak
	QuickDir = quickDir
)

const RaceEnabled = raceEnabled
