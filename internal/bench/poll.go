package bench

import (
	"bytes"
	"fmt"
	"time"
)

// polling is how the connections of a load follow their channel by requests
// instead of subscriptions: each asks, again and again, for what came after the
// last message that it has.
type polling struct {
	load     *Load
	path     string // the number of the last message follows
	every    time.Duration
	pollers  []*poller
	start    time.Duration
	turn     int
	requests int
}

// Poll makes the load's connections ask for messages. every is the time
// between two questions of a client; 0 is long polling: the next question
// follows the answer, which the server holds back until there is something.
// Answers end with a line end, and have no other. Call Poll before Connect.
func (l *Load) Poll(path string, every time.Duration) {
	l.polling = &polling{load: l, path: path, every: every}
}

// Requests is how many questions a load that polls has sent.
func (l *Load) Requests() int {
	if l.polling == nil {
		return 0
	}
	return l.polling.requests
}

// ask asks for those whose turn has come, and tells when the next one has it.
// Clients that ask at intervals are spread over the interval.
func (p *polling) ask() (next time.Duration) {
	n, now := p.load.plan.Connections, p.load.now()
	if p.every == 0 || p.load.counts.Joined < n {
		p.start = now
		return never
	}
	for ; ; p.turn++ {
		if next = p.start + time.Duration(p.turn)*p.every/time.Duration(n); next > now {
			return next
		}
		if c := p.pollers[p.turn%n]; !c.asked {
			c.ask() // a connection that fails has ended
		}
	}
}

// poller is one client that asks over one connection that is kept.
type poller struct {
	*client
	polling *polling
	asked   bool // an answer is still to come
}

func (c *poller) connected(to conn) error {
	c.conn = to
	c.join()
	return c.askAgain()
}

func (c *poller) askAgain() error {
	if c.polling.every > 0 {
		return nil // when its turn comes
	}
	return c.ask()
}

func (c *poller) ask() error {
	c.asked = true
	c.polling.requests++
	var after uint32
	if len(c.tallies) > 0 {
		after = c.tallies[0].last
	}
	return c.conn.write(fmt.Appendf(nil, "GET %s%d HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: Mozilla/5.0\r\n\r\n", c.polling.path, after))
}

func (c *poller) data(data []byte) error {
	data = c.whole(data)
	if head, body, whole := bytes.Cut(data, []byte("\r\n\r\n")); !whole || !bytes.HasSuffix(body, []byte("\n")) {
		return c.keep(data)
	} else if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the server refused: %s", firstLine(data))
	}
	c.partial, c.asked = nil, false
	c.stamps(data)
	return c.askAgain()
}
