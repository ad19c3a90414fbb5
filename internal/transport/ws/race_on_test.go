//go:build race

package ws

// The race detector empties pools at random: counts of allocations mean
// nothing then, and the tests that count run without it as well.
const raceEnabled = true
