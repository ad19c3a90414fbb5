package app

import (
	"testing"
	"time"
)

// Memory is given back once after each wave of connections, when it is over,
// and never for the usual coming and going.
func TestMemoryIsGivenBackAfterAWave(t *testing.T) {
	var now, moves int64
	freed := 0
	tr := &trimmer{count: func() (int64, int64) { return now, moves }, free: func() { freed++ }}
	rest := func(seconds int, come, go_ int64, want int, what string) {
		t.Helper()
		for range seconds {
			now += come - go_
			moves += come + go_
			if again := tr.Tick(time.Time{}); again != trimEvery {
				t.Fatalf("wants to be called in %v", again)
			}
			tr.running.Wait()
		}
		if freed != want {
			t.Fatalf("%s: given back %d times, want %d", what, freed, want)
		}
	}
	rest(10, 3, 0, 0, "a few")
	rest(5, 2000, 0, 0, "while they come")
	rest(1, 0, 0, 1, "after they came")
	rest(60, 0, 0, 1, "afterwards")
	rest(50, 8, 8, 1, "some come and go")
	rest(60, 8, 8, 2, "enough have come and gone")
	rest(4, 0, 2500, 2, "while they leave")
	rest(2, 0, 0, 3, "after they left")
}

// One that takes long is not joined by another.
func TestOneTrimAtATime(t *testing.T) {
	gate, moves := make(chan struct{}), int64(0)
	begun := make(chan struct{}, 2)
	tr := &trimmer{count: func() (int64, int64) { return 0, moves }, free: func() { begun <- struct{}{}; <-gate }}
	wave := func() {
		moves += trimLeast
		tr.Tick(time.Time{}) // it has just come
		tr.Tick(time.Time{})
	}
	wave()
	<-begun
	wave()
	if len(begun) != 0 {
		t.Error("a second one began")
	}
	close(gate)
	tr.stop(t.Context())
	tr.Tick(time.Time{})
	tr.stop(t.Context())
	if len(begun) != 1 {
		t.Error("what came meanwhile was forgotten")
	}
}
