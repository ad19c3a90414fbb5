// Package bench puts load on a server and measures what comes back: how long
// each delivery took, and which messages were lost, repeated or reordered.
//
// Here is what every load needs: the plan, the client's side of each door, the
// loop that moves the bytes, the counts and the result. "magpie bench" and
// bench/suite are made of it; which servers are started and compared, and how
// figures become tables, is for bench/suite alone.
//
// A load has one owner: the goroutine that calls its methods. Two loops can move
// its bytes. On Linux plain connections to 127.0.0.0/8 share one thread around
// epoll, which costs less than the server under measurement; everything else
// has a goroutine for each connection. Close ends them and waits for them.
//
// Every message carries its publisher, its number and the time at which it was
// due, so a client that falls behind shows as latency instead of hiding it.
package bench

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"magpie/internal/channel"
)

// Plan is one load. Check fills in what is left out.
type Plan struct {
	Target Target

	Connections int
	Channels    int           // connections spread over them in turn
	Publishers  int           // per channel; each is one of its connections
	Rate        float64       // messages a second, all publishers together
	Size        int           // bytes of a payload
	Quiet       time.Duration // between the last join and the first message
	Duration    time.Duration // of publishing
	Dialing     int           // connections that are being opened at a time

	// Poll makes the connections ask for messages instead of subscribing: it is
	// the path, which the number of the last message follows. Every is the time
	// between two questions of a client; 0 is long polling: the next question
	// follows the answer, which the server holds back until there is something.
	Poll  string
	Every time.Duration

	// PID is a server's process on this machine, to be asked for its CPU time
	// and memory. 0: no process is asked.
	PID int
	// Name starts the channels' names; it is followed by - and a number.
	Name string
	// Goroutines gives each connection a goroutine where one thread could serve
	// all: to compare with a load that needs them, such as one over TLS.
	Goroutines bool
}

// Limits of a plan: the first is what a machine has ports for, the second
// bounds what the receivers remember.
const (
	maxConnections = 60_000
	maxStreams     = 20_000_000
	maxSize        = 1 << 20
	maxRate        = 1_000_000
)

// Check completes the plan and tells what is wrong with it.
func (p *Plan) Check() error {
	p.Channels, p.Publishers = max(p.Channels, 1), max(p.Publishers, 1)
	if p.Dialing <= 0 {
		p.Dialing = 100
	}
	if p.Name == "" {
		p.Name = "bench-" + strings.ToLower(rand.Text()[:8])
	}
	switch {
	case p.Connections < 1 || p.Connections > maxConnections:
		return fmt.Errorf("%d connections cannot be opened from here; choose 1 to %d", p.Connections, maxConnections)
	case p.Channels > p.Connections:
		return fmt.Errorf("%d channels need as many connections; there are %d", p.Channels, p.Connections)
	case p.Channels*p.Publishers > p.Connections:
		return fmt.Errorf("%d publishers in each of %d channels need %d connections; there are %d", p.Publishers, p.Channels, p.Channels*p.Publishers, p.Connections)
	case p.Connections*p.Publishers > maxStreams:
		return errors.New("that many connections times publishers are more than can be counted; lower one of them")
	case p.Size < minSize || p.Size > maxSize:
		return fmt.Errorf("a payload has %d to %d bytes, to hold what is measured", minSize, maxSize)
	case p.Rate < 0 || p.Rate > maxRate:
		return fmt.Errorf("the rate is 0 to %d messages a second", maxRate)
	case p.Duration < 0 || p.Quiet < 0:
		return errors.New("a duration is not negative")
	}
	if _, _, err := p.Target.open(); err != nil {
		return err
	}
	return channel.Check(p.channelName(p.Channels - 1))
}

func (p *Plan) channelName(number int) string { return fmt.Sprintf("%s-%d", p.Name, number) }

// receivers is how many connections are in a channel.
func (p *Plan) receivers(channel int) int {
	return (p.Connections - channel + p.Channels - 1) / p.Channels
}

// publisher names who sends the k-th message: the connection, and its number
// among the publishers of its channel.
func (p *Plan) publisher(k int) (conn, number int) {
	conn = k % (p.Channels * p.Publishers)
	return conn, conn / p.Channels
}

// due is when the k-th message is to leave, after the start.
func (p *Plan) due(k int) time.Duration {
	return time.Duration(float64(k) * float64(time.Second) / p.Rate)
}

// messages is how many are to be published.
func (p *Plan) messages() int { return int(p.Rate * p.Duration.Seconds()) }
