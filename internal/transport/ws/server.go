package ws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
	"magpie/internal/wheel"
)

// Server holds what connections share. All methods are safe for concurrent use.
type Server struct {
	// set at construction
	cfg    Config
	shards []*socket.Shard[*watched]
	crew   crew
	ages   ages

	turn atomic.Uint32 // picks the next connection's shard

	down atomic.Bool
	live atomic.Int64 // connections, and goroutines that serve them
	idle chan struct{}
	once sync.Once
}

// ages are the Config's durations in ticks of the wheel.
type ages struct{ ping, pong, message, second uint32 }

// New starts the pollers. Close stops them.
func New(cfg Config) (*Server, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, idle: make(chan struct{})}
	s.crew.max, s.crew.srv = cfg.Workers, s
	s.ages = ages{
		ping:    ticks(cfg.Wheel, cfg.PingEvery),
		pong:    ticks(cfg.Wheel, cfg.PongWait),
		message: ticks(cfg.Wheel, messageAge),
		second:  ticks(cfg.Wheel, time.Second),
	}
	for range runtime.GOMAXPROCS(0) {
		sh, err := socket.NewShard[*watched](socket.Config{
			Buffer: readBuffer, Portable: cfg.forcePortable, Closing: s.closing, Log: cfg.Log,
		})
		if err != nil {
			s.stopPollers()
			return nil, fmt.Errorf("start a poller: %w", err)
		}
		s.shards = append(s.shards, sh)
	}
	return s, nil
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
	nc, ahead, err := switchProtocols(w, r, sub)
	if err != nil {
		return nil, err
	}
	return s.adopt(nc, ahead, sub, h)
}

// adopt makes a Conn of a connection that has answered the handshake. ahead is
// what was read of it.
func (s *Server) adopt(nc net.Conn, ahead []byte, sub string, h Handler) (*Conn, error) {
	c := &Conn{srv: s, nc: nc, h: h, sub: sub}
	if !s.cfg.forcePortable {
		c.seat.Raw = socket.Raw(nc)
		c.polled = socket.CanPoll && c.seat.Raw != nil
	}
	if len(ahead) > 0 {
		c.part = &partial{ahead: ahead}
	}
	if !s.register(c) {
		nc.Close()
		return nil, ErrClosed
	}
	return c, nil
}

// register puts c under the care of a shard and of the wheel.
func (s *Server) register(c *Conn) bool {
	s.live.Add(1)
	sh := s.shards[s.turn.Add(1)%uint32(len(s.shards))]
	c.home = sh
	if !sh.Add((*watched)(c)) {
		s.leave()
		return false
	}
	now := s.cfg.Wheel.Ticks()
	c.heard.Store(now)
	c.due.Store(now + s.ages.ping)
	c.timer.For = c
	s.cfg.Wheel.Add(&c.timer, s.cfg.PingEvery)
	return true
}

// Len is the number of connections whose socket is open.
func (s *Server) Len() int {
	n := 0
	for _, sh := range s.shards {
		n += sh.Len()
	}
	return n
}

// Close refuses new connections, says 1001 to those that are left (doors say
// goodbye in their own words before), waits until all are closed and their
// handlers have returned, and stops the pollers. When ctx ends earlier it
// closes the sockets and returns ctx's error; handlers that still run are left
// to end by themselves. May be called again.
func (s *Server) Close(ctx context.Context) error {
	s.down.Store(true)
	s.each(func(c *Conn) {
		c.finish(ending{info: CloseInfo{Reason: fault.ReasonShutdown, Code: codeGoingAway}, code: codeGoingAway})
	})
	if s.live.Load() == 0 {
		s.once.Do(func() { close(s.idle) })
	}
	var err error
	select {
	case <-s.idle:
	case <-ctx.Done():
		err = errors.Join(ErrClosed, ctx.Err())
		s.each((*Conn).drop)
	}
	s.stopPollers()
	return err
}

func (s *Server) closing() bool { return s.down.Load() }

func (s *Server) stopPollers() {
	for _, sh := range s.shards {
		sh.Close()
	}
}

// each calls f for every connection that is registered now.
func (s *Server) each(f func(*Conn)) {
	for _, sh := range s.shards {
		for _, c := range sh.All() {
			f((*Conn)(c))
		}
	}
}

// spawn runs f on a goroutine that Close waits for.
func (s *Server) spawn(f func()) {
	s.live.Add(1)
	go func() {
		defer s.leave()
		f()
	}()
}

// leave takes back one count of live.
func (s *Server) leave() {
	if s.live.Add(-1) == 0 && s.down.Load() {
		s.once.Do(func() { close(s.idle) })
	}
}
