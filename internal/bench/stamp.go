package bench

import (
	"bytes"
	"strconv"
	"time"
)

// stamp is what a message says about itself.
type stamp struct {
	publisher int           // its number in the channel
	number    uint32        // counts the publisher's messages from 1
	due       time.Duration // on the clock of the run
}

// A payload is {"mb":[PUBLISHER,NUMBER,DUE],"p":"xxx…"}: JSON that no server
// on the way has a reason to write differently.
const (
	mark    = `{"mb":[`
	between = `],"p":"`
	ending  = `"}`
	// minSize has room for the largest publisher, number and moment.
	minSize = 64
)

// appendPayload appends a payload of size bytes.
func appendPayload(dst []byte, s stamp, size int) []byte {
	start := len(dst)
	dst = append(dst, mark...)
	dst = strconv.AppendInt(dst, int64(s.publisher), 10)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, uint64(s.number), 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, int64(s.due), 10)
	dst = append(dst, between...)
	for n := size - (len(dst) - start) - len(ending); n > 0; n-- {
		dst = append(dst, 'x')
	}
	return append(dst, ending...)
}

// nextStamp finds the first stamp in data and returns what follows it. A
// frame may hold several messages; one that is no stamp is passed over.
func nextStamp(data []byte) (s stamp, rest []byte, ok bool) {
	for {
		i := bytes.Index(data, []byte(mark))
		if i < 0 {
			return stamp{}, nil, false
		}
		data = data[i+len(mark):]
		who, rest, ok := digits(data, ',')
		number, rest, ok2 := digits(rest, ',')
		due, rest, ok3 := digits(rest, ']')
		if ok && ok2 && ok3 && who <= maxConnections && 0 < number && number < 1<<32 {
			return stamp{int(who), uint32(number), time.Duration(due)}, rest, true
		}
	}
}

// digits reads a number of at most 18 digits up to end.
func digits(data []byte, end byte) (n uint64, rest []byte, ok bool) {
	for i, b := range data {
		switch {
		case b == end && i > 0:
			return n, data[i+1:], true
		case b < '0' || b > '9' || i == 18:
			return 0, nil, false
		}
		n = n*10 + uint64(b-'0')
	}
	return 0, nil, false
}
