package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"magpie/internal/message"
)

const (
	maxBackoff = 15 * time.Second
	// Pings find a connection that was cut without a close.
	pingEvery   = 20 * time.Second
	pingTimeout = 10 * time.Second
	dialTimeout = 10 * time.Second
	// maxFrame has room for the longest payload a server can be set to, in the
	// longest form that JSON has for it.
	maxFrame = 512 << 20
)

// stream is one channel's connection, through all its reconnects. One
// goroutine owns it.
type stream struct {
	*listener
	channel string
	since   *message.Position // what was printed last; nil: not known
}

// final is an error after which another attempt is of no use.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// run blocks until ctx ends (nil) or the server refuses the stream (an error).
func (s *stream) run(ctx context.Context) error {
	if s.since == nil {
		s.since = s.current(ctx)
	}
	for attempt, ever := 0, false; ; attempt++ {
		start := time.Now()
		joined, err := s.connect(ctx)
		ever = ever || joined
		if ctx.Err() != nil {
			return nil
		}
		if _, refused := errors.AsType[final](err); refused || !ever {
			return reachable(s.client, err)
		}
		if joined && time.Since(start) > maxBackoff {
			attempt = 0
		}
		wait := backoff(attempt, maxBackoff)
		s.note("%s: connection lost (%s); coming back in %s", s.channel, err, wait.Round(10*time.Millisecond))
		if pause(ctx, wait) != nil {
			return nil
		}
	}
}

// current asks for the position of the channel's log, so that even what is
// published before the first connection is up, or lost with it, is found again.
// Without an answer the stream starts with what comes first.
func (s *stream) current(ctx context.Context) *message.Position {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.client.url(url.Values{"limit": {"0"}}, "history", s.channel), nil)
	if err != nil {
		return nil
	}
	var at message.Position
	if s.client.send(req, &at) != nil || at.Epoch == "" {
		return nil
	}
	return &at
}

// connect joins the channel and prints until the connection ends. It tells
// whether it got in, and why it ended.
func (s *stream) connect(ctx context.Context) (joined bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxFrame)
	alive := make(chan struct{})
	go func() {
		defer close(alive)
		keepAlive(ctx, conn)
	}()
	err = s.read(ctx, conn)
	if ctx.Err() != nil {
		conn.Close(websocket.StatusNormalClosure, "")
	}
	cancel()
	<-alive
	return true, err
}

func (s *stream) dial(ctx context.Context) (*websocket.Conn, error) {
	query := url.Values{"channel": {s.channel}, "format": {"envelope"}}
	if s.since != nil {
		query.Set("since", s.since.String())
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	options := &websocket.DialOptions{HTTPHeader: make(http.Header)}
	s.client.authorize(options.HTTPHeader)
	conn, resp, err := websocket.Dial(ctx, s.client.url(query, "websocket"), options)
	if err == nil {
		return conn, nil
	}
	if resp == nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	refused := newRefusal(resp, body, "--token (MAGPIE_TOKEN) or --api-key (MAGPIE_API_KEY)")
	if refused.status/100 == 4 && !worthRetrying(refused) {
		return nil, final{refused}
	}
	return nil, refused
}

func keepAlive(ctx context.Context, conn *websocket.Conn) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bound, cancel := context.WithTimeout(ctx, pingTimeout)
		err := conn.Ping(bound)
		cancel()
		if err != nil {
			conn.CloseNow() // the reader sees it
			return
		}
	}
}

func (s *stream) read(ctx context.Context, conn *websocket.Conn) error {
	for {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			return closeReason(err)
		}
		if err := s.take(frame); err != nil {
			return final{err}
		}
	}
}

// closeReason says why a connection was closed. The codes after which the
// server does not want the client back make it final.
func closeReason(err error) error {
	ce, ok := errors.AsType[websocket.CloseError](err)
	if !ok {
		return err
	}
	why := fmt.Errorf("the server closed it: %s", strings.TrimSpace(fmt.Sprintf("%d %s", ce.Code, ce.Reason)))
	switch code := ce.Code; {
	case code >= 4500, code == websocket.StatusProtocolError, code == websocket.StatusUnsupportedData,
		code == websocket.StatusInvalidFramePayloadData, code == websocket.StatusPolicyViolation, code == websocket.StatusMessageTooBig:
		return final{why}
	}
	return why
}

// envelope is a frame of ?format=envelope: a message, a gap or an error.
type envelope struct {
	message.Position
	Data json.RawMessage
	B64  []byte
	Gap  *struct {
		Reason    string
		From, Now message.Position
	}
	Error *struct{ Message string }
}

func (s *stream) take(frame []byte) error {
	var e envelope
	if err := json.Unmarshal(frame, &e); err != nil {
		return errors.New("a frame is not the JSON that a Magpie sends; check --url (MAGPIE_URL)")
	}
	switch {
	case e.Error != nil:
		s.note("%s: the server says: %s", s.channel, e.Error.Message)
		return nil
	case e.Gap != nil:
		s.note("%s: messages after offset %d cannot be had any more (%s); going on after %d", s.channel, e.Gap.From.Offset, e.Gap.Reason, e.Gap.Now.Offset)
		s.since = &e.Gap.Now
		return nil
	}
	line := frame
	if s.plain {
		line = e.payload()
	} else if bytes.IndexByte(frame, '\n') >= 0 {
		var compact bytes.Buffer
		if json.Compact(&compact, frame) == nil {
			line = compact.Bytes() // one message, one line, whatever its payload holds
		}
	}
	if err := s.print(line); err != nil {
		return err
	}
	// Only what was printed counts as seen.
	if e.Offset != 0 {
		at := e.Position // a copy, which does not hold the payload
		s.since = &at
	}
	return nil
}

// payload is what was published: a text's own characters, other JSON as it is.
func (e *envelope) payload() []byte {
	if e.B64 != nil {
		return e.B64
	}
	var text string
	if json.Unmarshal(e.Data, &text) == nil && len(e.Data) > 0 && e.Data[0] == '"' {
		return []byte(text)
	}
	return e.Data
}
