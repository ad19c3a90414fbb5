package door

import (
	"errors"
	"sync/atomic"
	"time"

	"magpie/internal/fault"
	"magpie/internal/session"
	"magpie/internal/transport/stream"
	"magpie/internal/transport/ws"
)

// Conn is one client of a door: its session, and a WebSocket or a stream once
// it is open. Doors embed it in their own conn, which implements session.Link
// and what the transport asks of a handler; what is the same everywhere is
// here.
type Conn struct {
	session.Session
	socket atomic.Pointer[ws.Conn]     // nil until AttachSocket
	stream atomic.Pointer[stream.Conn] // nil until AttachStream
}

// AttachSocket hands the open socket to the session and starts it. The session
// may have closed meanwhile: then closeMessage says what the client is told.
func (c *Conn) AttachSocket(socket *ws.Conn, closeMessage func(fault.Reason) (code uint16, text string)) {
	c.socket.Store(socket)
	if r := c.Reason(); r != "" {
		socket.CloseWith(closeMessage(r))
	}
	c.Attach()
	socket.Start()
}

// AttachStream hands the open stream to the session, which may have closed
// meanwhile: then closeMessage says what the client is told.
func (c *Conn) AttachStream(out *stream.Conn, closeMessage func(fault.Reason) []byte) {
	c.stream.Store(out)
	if r := c.Reason(); r != "" {
		out.Finish(closeMessage(r))
	}
	c.Attach()
}

// Answerable is err if HTTP can still answer with it: a fault. What else a
// transport fails with comes after it took the connection over. Nobody is there
// to be told then, and nothing is wrong here: a client went, or the server stops.
func Answerable(err error) error {
	if _, ok := errors.AsType[*fault.Fault](err); ok {
		return err
	}
	return nil
}

// CloseSocket closes the socket with this close message, if it is attached.
func (c *Conn) CloseSocket(code uint16, text string) {
	if socket := c.socket.Load(); socket != nil {
		socket.CloseWith(code, text)
	}
}

// CloseStream ends the stream with these last bytes, if it is attached.
func (c *Conn) CloseStream(last []byte) {
	if out := c.stream.Load(); out != nil {
		out.Finish(last)
	}
}

// TryWrite implements session.Link.
func (c *Conn) TryWrite(frame []byte) (int, error) {
	if socket := c.socket.Load(); socket != nil {
		return socket.TryWrite(frame)
	}
	return c.stream.Load().TryWrite(frame)
}

// Write implements session.Link.
func (c *Conn) Write(frames [][]byte) error {
	if socket := c.socket.Load(); socket != nil {
		return socket.Write(frames)
	}
	return c.stream.Load().Write(frames)
}

// Gone implements stream.Client.
func (c *Conn) Gone(r fault.Reason) { c.Close(r) }

// Closed implements ws.Handler.
func (c *Conn) Closed(info ws.CloseInfo) { c.Close(info.Reason) }

// ServerRefresh is that of session.Controllable where the session's own timer
// watches its expiry.
func (c *Conn) ServerRefresh(expires time.Time, expired bool) {
	if expired {
		c.Close(fault.ReasonExpired)
		return
	}
	c.ExpireAt(expires)
}
