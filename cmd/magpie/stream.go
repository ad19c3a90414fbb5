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
	// A server that is cut off without a word is found out by a ping of ours.
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

// errFinal marks what coming back cannot mend.
var errFinal = errors.New("final")

// run blocks until ctx ends (nil) or the server will not have us (an error).
func (s *stream) run(ctx context.Context) error {
	if s.since == nil {
		s.since = s.current(ctx)
	}
	for attempt, ever := 0, false; ; attempt++ {
		began := time.Now()
		joined, err := s.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errFinal), !ever && !joined:
			return reachable(s.client, err)
		}
		ever = ever || joined
		if joined && time.Since(began) > maxBackoff {
			attempt = 0
		}
		wait := backoff(attempt, maxBackoff)
		s.note("%s: connection lost (%s); coming back in %s", s.channel, err, wait.Round(10*time.Millisecond))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// current asks where the channel's log stands, so that even what is published
// before the first connection is up, or lost with it, is found again. Without
// an answer the stream starts with what comes first.
func (s *stream) current(ctx context.Context) *message.Position {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.client.url(url.Values{"limit": {"0"}}, "history", s.channel), nil)
	if err != nil {
		return nil
	}
	s.client.show(req.Header)
	resp, err := s.client.http.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var at struct {
		Epoch  string
		Offset uint64
	}
	body := io.LimitReader(resp.Body, 64<<10)
	if resp.StatusCode != http.StatusOK || json.NewDecoder(body).Decode(&at) != nil || at.Epoch == "" {
		return nil
	}
	return &message.Position{Epoch: at.Epoch, Offset: at.Offset}
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
	s.client.show(options.HTTPHeader)
	conn, resp, err := websocket.Dial(ctx, s.client.url(query, "websocket"), options)
	if err == nil {
		return conn, nil
	}
	if resp == nil {
		return nil, err
	}
	var body []byte
	if resp.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close()
	}
	no := newRefusal(resp, body, "--token (MAGPIE_TOKEN) or --api-key (MAGPIE_API_KEY)")
	if no.status/100 == 4 && !worthTrying(no) {
		return nil, fmt.Errorf("%w%w", silent{errFinal}, no)
	}
	return nil, no
}

// silent keeps a mark in an error's chain and out of its text.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

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
			return ending(err)
		}
		if err := s.take(frame); err != nil {
			return fmt.Errorf("%w%w", silent{errFinal}, err)
		}
	}
}

// ending says why a connection closed, and marks the codes after which the
// server does not want us back.
func ending(err error) error {
	ce, ok := errors.AsType[websocket.CloseError](err)
	if !ok {
		return err
	}
	why := fmt.Errorf("the server closed it: %s", strings.TrimSpace(fmt.Sprintf("%d %s", ce.Code, ce.Reason)))
	switch code := ce.Code; {
	case code >= 4500, code == websocket.StatusProtocolError, code == websocket.StatusUnsupportedData,
		code == websocket.StatusInvalidFramePayloadData, code == websocket.StatusPolicyViolation, code == websocket.StatusMessageTooBig:
		return fmt.Errorf("%w%w", silent{errFinal}, why)
	}
	return why
}

// envelope is a frame of ?format=envelope: a message, a gap or an error.
type envelope struct {
	Epoch  string          `json:"epoch"`
	Offset uint64          `json:"offset"`
	Data   json.RawMessage `json:"data"`
	B64    []byte          `json:"b64"`
	Gap    *struct {
		Reason string `json:"reason"`
		From   point  `json:"from"`
		Now    point  `json:"now"`
	} `json:"gap"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

type point struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
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
		s.since = &message.Position{Epoch: e.Gap.Now.Epoch, Offset: e.Gap.Now.Offset}
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
		s.since = &message.Position{Epoch: e.Epoch, Offset: e.Offset}
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
