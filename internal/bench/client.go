package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// client is one connection as a machine without a socket: bytes come in by
// feed, bytes go out by the function that it is given. One goroutine owns it.
type client struct {
	run     *run
	room    int
	open    bool    // the handshake is over
	in      bool    // the subscription stands
	partial []byte  // of what is not there in full yet
	tallies []tally // one for each publisher of the channel
	sent    uint32  // messages published over it
}

// feed takes what the server sent; data is the caller's again when it
// returns. An error ends the connection.
func (c *client) feed(data []byte, write func([]byte) error) error {
	if len(c.partial) > 0 {
		data = append(c.partial, data...)
	}
	rest, err := c.consume(data, write)
	if err != nil {
		return err
	}
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

func (c *client) consume(data []byte, write func([]byte) error) (rest []byte, err error) {
	if !c.open {
		if data, err = c.handshake(data); err != nil || !c.open {
			return data, err
		}
		if hello := c.run.door.hello(c.run.plan.channel(c.room)); hello != nil {
			if err := write(hello); err != nil {
				return nil, err
			}
		} else {
			c.join()
		}
	}
	if c.run.door.frames() {
		return c.frames(data, write)
	}
	return c.lines(data), nil
}

// handshake reads the answer to the request; a refusal becomes an error with
// the server's own words.
func (c *client) handshake(data []byte) (rest []byte, err error) {
	head, rest, whole := bytes.Cut(data, []byte("\r\n\r\n"))
	if !whole {
		if len(data) > 64<<10 {
			return nil, fmt.Errorf("the server's answer has no end")
		}
		return data, nil
	}
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	want := " 101 "
	if !c.run.door.frames() {
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
		c.run.joined.Add(1)
	}
}

func (c *client) frames(data []byte, write func([]byte) error) (rest []byte, err error) {
	for {
		op, payload, size, err := readFrame(data)
		if err != nil || size == 0 {
			return data, err
		}
		switch op {
		case opText, opBinary, opContinue:
			err = c.message(payload, write)
		case opPing:
			c.run.pings.Add(1)
			err = write(appendFrame(nil, opPong, payload))
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

// lines reads an event stream: a payload is one data line.
func (c *client) lines(data []byte) (rest []byte) {
	for {
		line, after, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return data
		}
		c.stamps(line)
		data = after
	}
}

func (c *client) message(message []byte, write func([]byte) error) error {
	door := c.run.door
	if !c.in && door.ready(message) {
		c.join()
	}
	if c.stamps(message) > 0 {
		return nil
	}
	if answer := door.answer(message); answer != nil {
		c.run.pings.Add(1)
		return write(answer)
	}
	if door.refused(message) {
		if !c.in {
			return fmt.Errorf("the server refused: %s", firstLine(message))
		}
		c.run.refuse(string(firstLine(message)))
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
			now = c.run.now()
		}
		c.receive(s, now)
		data = rest
		n++
	}
}

func (c *client) receive(s stamp, now time.Duration) {
	if s.publisher >= c.run.plan.Publishers {
		return // not of this run
	}
	if c.tallies == nil {
		c.tallies = make([]tally, c.run.plan.Publishers)
	}
	r := c.run
	switch c.tallies[s.publisher].take(s.number) {
	case fresh:
	case late:
		r.reordered.Add(1)
	case repeated:
		r.repeated.Add(1)
		return
	}
	r.received.Add(1)
	r.latency.Add(now - s.due)
}

// publication appends the bytes that publish the client's next message.
func (c *client) publication(dst []byte, number int, due time.Duration) []byte {
	c.sent++
	p := c.run.plan
	payload := appendPayload(nil, stamp{number, c.sent, due}, p.Size)
	return c.run.door.publish(dst, p.channel(c.room), c.sent, payload)
}
