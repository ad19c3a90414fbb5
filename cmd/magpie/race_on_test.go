//go:build race

package main

// raceEnabled: the race detector makes objects larger and allocates.
const raceEnabled = true
