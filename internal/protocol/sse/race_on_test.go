//go:build race

package sse

// The race detector empties pools at random and has a heap of its own: figures
// mean nothing then, and the tests that take them run without it as well.
const raceEnabled = true
