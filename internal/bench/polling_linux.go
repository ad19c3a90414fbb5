package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Polling follows one room by HTTP requests instead of a connection that
// stays quiet: the plan's connections each ask, again and again, for what
// came after the last message that they have. One goroutine owns it.
type Polling struct {
	*Load
	// Every is the time between two questions of a client; 0 is long polling:
	// the next question follows the answer, which the server keeps back until
	// it has something to say.
	Every    time.Duration
	Path     string // of a question; the number of the last message follows
	Requests int    // how many were sent

	pollers []*poller
	next    int
}

// poller is one client that asks over one connection that is kept.
type poller struct {
	*client
	polling *Polling
	socket  *Socket
	after   uint32
	asked   bool // an answer is still to come
}

// NewPolling returns a load that polls.
func NewPolling(p Plan, path string, every time.Duration) (*Polling, error) {
	l, err := NewLoad(p)
	if err != nil {
		return nil, err
	}
	return &Polling{Load: l, Every: every, Path: path}, nil
}

// Start opens the connections and begins to ask; clients that ask at
// intervals are spread over the interval.
func (p *Polling) Start() error {
	n := p.plan.Connections
	p.m.before, _ = UsageOf(p.plan.PID)
	dial := func() bool {
		for len(p.pollers) < n && len(p.pollers)-int(p.joined.Load()) < p.plan.Dialing {
			c := &poller{client: p.newClient(len(p.pollers)), polling: p}
			if _, err := p.reactor.Dial(p.to[0], len(p.pollers), c); err != nil {
				p.fail(err)
				return true
			}
			p.pollers = append(p.pollers, c)
			p.clients = append(p.clients, c.client)
		}
		return p.settled()
	}
	if !p.reactor.Until(dial, p.joined.Load, stallTimeout) || p.lost.Load() > 0 {
		return fmt.Errorf("%d of %d connections got in; %v", p.joined.Load(), n, p.trouble)
	}
	if p.Every == 0 {
		return nil
	}
	_, err := p.reactor.Every(p.Every/time.Duration(n), p.turn(p.now()))
	return err
}

// turn returns what asks for those whose turn has come.
func (p *Polling) turn(start time.Duration) func() {
	each := p.Every / time.Duration(p.plan.Connections)
	return func() {
		for start+time.Duration(p.next)*each <= p.now() {
			c := p.pollers[p.next%len(p.pollers)]
			p.next++
			if !c.asked {
				c.ask()
			}
		}
	}
}

func (c *poller) ask() {
	c.asked = true
	c.polling.Requests++
	request := append([]byte("GET "), c.polling.Path...)
	request = strconv.AppendUint(request, uint64(c.after), 10)
	request = append(request, " HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: Mozilla/5.0\r\n\r\n"...)
	if err := c.socket.Write(request); err != nil {
		c.run.note(err.Error())
	}
}

// Connected implements Handler.
func (c *poller) Connected(s *Socket) error {
	c.socket = s
	c.join()
	if c.polling.Every == 0 {
		c.ask()
	}
	return nil
}

// Data implements Handler.
func (c *poller) Data(_ *Socket, data []byte) error {
	if len(c.partial) > 0 {
		data = append(c.partial, data...)
	}
	body, size, err := answerBody(data)
	if err != nil {
		return err
	}
	if size == 0 {
		c.partial = append(c.partial[:0:0], data...)
		return nil
	}
	c.partial = nil
	c.stamps(body)
	if len(c.tallies) > 0 {
		c.after = c.tallies[0].last
	}
	c.asked = false
	if c.polling.Every == 0 {
		c.ask()
	}
	return nil
}

// answerBody takes one HTTP answer of a known length; size is 0 as long as it
// is not there in full.
func answerBody(data []byte) (body []byte, size int, err error) {
	head, body, whole := bytes.Cut(data, []byte("\r\n\r\n"))
	if !whole {
		return nil, 0, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return nil, 0, fmt.Errorf("the server refused: %s", firstLine(head))
	}
	const field = "\r\nContent-Length: "
	i := bytes.Index(head, []byte(field))
	if i < 0 {
		return nil, 0, errors.New("an answer without a length")
	}
	text, _, _ := bytes.Cut(head[i+len(field):], []byte("\r\n"))
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 || n > maxFrame {
		return nil, 0, errors.New("an answer with a bad length")
	}
	if len(body) < n {
		return nil, 0, nil
	}
	return body[:n], len(head) + 4 + n, nil
}
