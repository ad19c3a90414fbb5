package ws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
	"magpie/internal/wheel"
)

// Server holds what connections share. All methods are safe for concurrent use.
type Server struct {
	// set at construction
	cfg     Config
	conns   *socket.Conns[*watched]
	workers workers
	ages    ages
}

// ages are the Config's durations in ticks of the wheel.
type ages struct{ ping, pong, message, second uint32 }

// New starts the pollers. Close stops them.
func New(cfg Config) (*Server, error) {
	cfg.setDefaults()
	conns, err := socket.New[*watched](socket.Config{Buffer: readBuffer, Portable: cfg.forcePortable, Log: cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("start a poller: %w", err)
	}
	return &Server{
		cfg: cfg, conns: conns, workers: workers{max: cfg.Workers, conns: conns},
		ages: ages{
			ping:    ticks(cfg.Wheel, cfg.PingEvery),
			pong:    ticks(cfg.Wheel, cfg.PongWait),
			message: ticks(cfg.Wheel, messageAge),
			second:  ticks(cfg.Wheel, time.Second),
		},
	}, nil
}

func ticks(w *wheel.Wheel, d time.Duration) uint32 {
	return uint32((d + w.Tick() - 1) / w.Tick())
}

// Accept takes the connection over from net/http, answers 101 and returns it;
// the HTTP handler should return then. The request must have passed Check.
// protocols are the subprotocols that the door speaks; the first that the
// client names is chosen. Nothing is read before Conn.Start, but pings are
// sent and CloseWith works. Blocks for as long as a write of some hundred
// bytes takes.
//
// The error is a *fault.Fault while HTTP can still answer; after that the
// connection is closed and the handler is never called.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request, protocols []string, h Handler) (*Conn, error) {
	if err := s.Check(r); err != nil {
		return nil, err
	}
	sub := choose(r.Header["Sec-Websocket-Protocol"], protocols)
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fault.New(fault.HandshakeInternal, "This connection cannot be taken over.")
	}
	extension := s.agree(r)
	c := &Conn{srv: s, h: h, sub: sub, deflate: extension != ""}
	if n := rw.Reader.Buffered(); n > 0 {
		c.part = &partial{ahead: make([]byte, n)}
		rw.Reader.Read(c.part.ahead) // from memory: takes all, cannot fail
	}
	return c.takeOver(nc, accept(r, sub, extension))
}

// takeOver answers on a connection that net/http has handed over.
func (c *Conn) takeOver(nc net.Conn, head []byte) (*Conn, error) {
	s := c.srv
	now := s.cfg.Wheel.Ticks()
	c.heard.Store(now)
	c.due.Store(now + s.ages.ping)
	c.timer.For = c
	s.conns.Acquire() // until Closed has returned
	if err := s.conns.Add((*watched)(c), nc, head); err != nil {
		s.conns.Release()
		return nil, err
	}
	s.cfg.Wheel.Add(&c.timer, s.cfg.PingEvery)
	return c, nil
}

// Len is the number of connections whose socket is open.
func (s *Server) Len() int { return s.conns.Len() }

// Close refuses new connections, sends 1001 to those that are left (doors have
// sent close frames of their own before), waits until all are closed and their
// handlers have returned, and stops the pollers. When ctx ends earlier it
// closes the sockets and returns ctx's error; handlers that still run are left
// to end by themselves. May be called again.
func (s *Server) Close(ctx context.Context) error {
	return s.conns.Close(ctx,
		func(c *watched) {
			(*Conn)(c).close(CloseInfo{Reason: fault.ReasonShutdown, Code: codeGoingAway}, closePlan{})
		},
		func(c *watched) { (*Conn)(c).drop() })
}
