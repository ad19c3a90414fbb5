package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// client is one connection as a machine without a socket.
type client struct {
	load    *Load
	channel int // its number
	conn    conn
	open    bool    // the handshake is over
	in      bool    // the subscription stands
	partial []byte  // of what is not there in full yet
	tallies []tally // one for each publisher of the channel
	sent    uint32  // messages published over it
}

func (c *client) connected(to conn) error {
	c.conn = to
	return to.write(c.load.door.request(c.load.plan.channelName(c.channel)))
}

func (c *client) ended(err error) { c.load.fail(err) }

// data takes what the server sent. An error ends the connection.
func (c *client) data(data []byte) error {
	data = c.whole(data)
	rest, err := c.consume(data)
	if err != nil {
		return err
	}
	return c.keep(rest)
}

// whole puts what is left of earlier data before this.
func (c *client) whole(data []byte) []byte {
	if len(c.partial) > 0 {
		return append(c.partial, data...)
	}
	return data
}

// keep remembers what is not there in full yet.
func (c *client) keep(rest []byte) error {
	switch {
	case len(rest) == 0:
		c.partial = nil // an idle connection keeps no buffer
	case len(rest) > maxFrame:
		return errFrame
	default:
		c.partial = append(c.partial[:0:0], rest...)
	}
	return nil
}

func (c *client) consume(data []byte) (rest []byte, err error) {
	if !c.open {
		if data, err = c.handshake(data); err != nil || !c.open {
			return data, err
		}
		if hello := c.load.door.hello(c.load.plan.channelName(c.channel)); hello == nil {
			c.join()
		} else if err := c.conn.write(hello); err != nil {
			return nil, err
		}
	}
	if c.load.door.frames() {
		return c.frames(data)
	}
	// An event stream: a payload is one line.
	lines := bytes.LastIndexByte(data, '\n') + 1
	c.stamps(data[:lines])
	return data[lines:], nil
}

// handshake reads the answer to the request; a refusal becomes an error with
// the server's own words.
func (c *client) handshake(data []byte) (rest []byte, err error) {
	head, rest, whole := bytes.Cut(data, []byte("\r\n\r\n"))
	if !whole {
		if len(data) > 64<<10 {
			return nil, errors.New("the server's answer has no end")
		}
		return data, nil
	}
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	want := " 101 "
	if !c.load.door.frames() {
		want = " 200 "
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.")) || !bytes.Contains(line, []byte(want)) {
		return nil, fmt.Errorf("the server refused: %s %s", line, firstLine(rest))
	}
	c.open = true
	return rest, nil
}

func firstLine(text []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	return line[:min(len(line), 200)]
}

func (c *client) join() {
	if !c.in {
		c.in = true
		c.load.counts.Joined++
	}
}

func (c *client) frames(data []byte) (rest []byte, err error) {
	for {
		op, payload, size, err := readFrame(data)
		if err != nil || size == 0 {
			return data, err
		}
		switch op {
		case opText, opBinary, opContinue:
			err = c.message(payload)
		case opPing:
			c.load.counts.Pings++
			err = c.conn.write(appendFrame(nil, opPong, payload))
		case opClose:
			code := 1005
			if len(payload) >= 2 {
				code, payload = int(binary.BigEndian.Uint16(payload)), payload[2:]
			}
			err = fmt.Errorf("the server closed it: %d %s", code, payload)
		}
		if err != nil {
			return nil, err
		}
		data = data[size:]
	}
}

func (c *client) message(message []byte) error {
	if c.in && c.stamps(message) > 0 && !bytes.Contains(message, []byte("{}")) {
		return nil // and no ping is among them
	}
	switch says, reply := c.load.door.read(message); {
	case says == joined:
		c.join()
		c.stamps(message) // the first messages may come in one frame with it
	case says == pinged:
		c.load.counts.Pings++
		return c.conn.write(reply)
	case says == refused && !c.in:
		return fmt.Errorf("the server refused: %s", firstLine(message))
	case says == refused:
		c.load.refuse(string(firstLine(message)))
	}
	return nil
}

// stamps counts the messages in data.
func (c *client) stamps(data []byte) (n int) {
	var now time.Duration
	for {
		s, rest, ok := nextStamp(data)
		if !ok {
			return n
		}
		if now == 0 {
			now = c.load.now()
		}
		c.receive(s, now)
		data = rest
		n++
	}
}

func (c *client) receive(s stamp, now time.Duration) {
	if s.publisher >= c.load.plan.Publishers {
		return // not of this run
	}
	if c.tallies == nil {
		c.tallies = make([]tally, c.load.plan.Publishers)
	}
	counts := &c.load.counts
	switch c.tallies[s.publisher].take(s.number) {
	case fresh:
	case late:
		counts.Reordered++
	case repeated:
		counts.Repeated++
		return
	}
	counts.Received++
	c.load.record(now - s.due)
}
