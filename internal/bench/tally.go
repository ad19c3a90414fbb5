package bench

// tally is what one receiver has seen of one publisher. Numbers come in order
// from 1; a bitmap of the last 64 tells a late one from one that was seen.
type tally struct {
	last uint32 // the highest number so far
	seen uint64 // bit i: last-i was seen
}

// verdict is what a number turns out to be.
type verdict int

const (
	fresh    verdict = iota // not seen before, above all others
	late                    // not seen before, below the highest
	repeated                // seen before; also what is too old to tell
)

// window is how far back a late message is told from a repeated one.
const window = 64

// take counts one number.
func (t *tally) take(number uint32) verdict {
	if number > t.last {
		if ahead := number - t.last; ahead < window {
			t.seen = t.seen<<ahead | 1
		} else {
			t.seen = 1
		}
		t.last = number
		return fresh
	}
	behind := t.last - number
	if behind >= window || t.seen&(1<<behind) != 0 {
		return repeated
	}
	t.seen |= 1 << behind
	return late
}
