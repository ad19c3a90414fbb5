package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxPosters bounds the connections that publish over HTTP; a publisher stays
// with one of them, which keeps its messages in order.
const maxPosters = 16

// poster publishes over HTTP, for clients that only listen: one request at a
// time, over a connection that it opens when it needs one.
type poster struct {
	load    *Load
	conn    conn // nil: none
	dialing bool
	waiting [][]byte // requests; with a connection the first is on its way
	answer  []byte   // what came of it
}

// post publishes one message of the n-th connection.
func (l *Load) post(n int, channel string, payload []byte) error {
	for len(l.posters) < min(l.plan.Channels*l.plan.Publishers, maxPosters) {
		l.posters = append(l.posters, &poster{load: l})
	}
	request := raw{l.url, l.plan.Target}.line("POST", "/publish/"+channel, "HTTP/1.1")
	if key := l.plan.Target.APIKey; key != "" {
		request = fmt.Appendf(request, "X-API-Key: %s\r\n", key)
	}
	p := l.posters[n%len(l.posters)]
	p.waiting = append(p.waiting, fmt.Appendf(request, "Content-Length: %d\r\n\r\n%s", len(payload), payload))
	if len(p.waiting) > 1 {
		return nil
	}
	return p.next()
}

func (p *poster) next() error {
	switch {
	case len(p.waiting) == 0 || p.dialing:
		return nil
	case p.conn != nil:
		return p.conn.write(p.waiting[0])
	}
	p.dialing = true
	return p.load.loop.dial(p.load.to[0], 0, p)
}

func (p *poster) connected(c conn) error {
	p.conn, p.dialing = c, false
	return p.next()
}

// errLastAnswer: the server closes the connection after an answer.
var errLastAnswer = errors.New("the server closes the connection")

func (p *poster) data(data []byte) error {
	p.answer = append(p.answer, data...)
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p.answer)), nil)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxFrame))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && len(p.answer) < maxFrame {
		return nil // there is more to come
	}
	if err != nil {
		return err
	}
	p.answer, p.waiting = nil, p.waiting[1:]
	if resp.StatusCode != http.StatusOK {
		p.load.refuse(fmt.Sprintf("a message was not published: %s %s", resp.Status, firstLine(body)))
	}
	if resp.Close {
		return errLastAnswer
	}
	return p.next()
}

// ended refuses the message that was on its way; the next one has a connection
// of its own.
func (p *poster) ended(err error) {
	p.conn, p.dialing, p.answer = nil, false, nil
	if len(p.waiting) > 0 && !errors.Is(err, errLastAnswer) {
		p.load.refuse("a message was not published: " + err.Error())
		p.waiting = p.waiting[1:]
	}
	if err := p.next(); err != nil {
		p.load.note(err.Error())
	}
}
