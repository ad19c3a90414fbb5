package bench

import (
	"bytes"
	"fmt"
	"time"
)

// polling is when the clients of a load ask that poll at intervals: one after
// the other, spread over the interval.
type polling struct {
	pollers []*poller
	start   time.Duration
	turn    int
}

// ask asks for those whose turn has come, and tells when the next one has it.
func (l *Load) ask() (next time.Duration) {
	p, n, now := &l.polling, l.plan.Connections, l.now()
	if l.plan.Every == 0 || l.counts.Joined < n {
		p.start = now
		return never
	}
	for ; ; p.turn++ {
		if next = p.start + time.Duration(p.turn)*l.plan.Every/time.Duration(n); next > now {
			return next
		}
		if c := p.pollers[p.turn%n]; !c.asked {
			c.ask() // a connection that fails has ended
		}
	}
}

// poller is one client that asks over one connection that is kept, again and
// again, for what came after the last message that it has. Answers end with a
// line end, and have no other.
type poller struct {
	*client
	asked bool // an answer is still to come
}

func (c *poller) connected(to conn) error {
	c.conn = to
	c.join()
	return c.askAgain()
}

// askAgain asks at once where the server holds the answer back.
func (c *poller) askAgain() error {
	if c.load.plan.Every > 0 {
		return nil // when its turn comes
	}
	return c.ask()
}

func (c *poller) ask() error {
	c.asked = true
	c.load.counts.Requests++
	var after uint32
	if len(c.tallies) > 0 {
		after = c.tallies[0].last
	}
	return c.conn.write(fmt.Appendf(nil, "GET %s%d HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: Mozilla/5.0\r\n\r\n", c.load.plan.Poll, after))
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
