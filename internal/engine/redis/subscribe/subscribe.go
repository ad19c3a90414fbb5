// Package subscribe makes messages reach this node. What the node wants to
// listen to is the truth; a connection to each master is reconciled to it, for
// ever, over any number of connections (reconcile.go), and proven by a probe
// that goes through Redis and back (probe.go).
//
// It refuses to buffer: what comes is handed on (receive.go), and what may have
// been missed is told with Recheck.
//
// Its goroutines, which Follow starts and the end of New's context ends: two for
// each master, connection.run and probe.run, and one that lets go of a master
// that has gone. Wait waits for them.
package subscribe

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	channels "magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/redis/log"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/throttle"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/engine/redis/wire"
	"magpie/internal/message"
)

// Sink is where what was received goes. None of its methods blocks.
type Sink interface {
	Receive(*message.Message)
	Recheck(channels ...string)
	Channels() iter.Seq[string]
}

// Plain puts plain PUBLISHes into logs. None of its methods blocks.
type Plain interface {
	// Arrived takes one, Seen what comes back from the log. moved: the channel
	// has just come from another master.
	Arrived(channel, payload string, moved bool)
	Seen(channel string, e wire.Envelope)
	// Cut says that something of these channels may have been missed.
	Cut(of func(channel string) bool)
	// Moved says that these channels lie on another master now.
	Moved(of func(channel string) bool)
	// Left says that no more come in this channel. It returns false when there
	// is nothing to wait for before Released.
	Left(channel string) bool
}

// Reader reads logs behind a SUBSCRIBE, on the same connection.
type Reader interface {
	Reading(channel string, q engine.Query) *log.Reading
	Command(b rueidis.Builder, r *log.Reading) rueidis.Completed
	Complete(ctx context.Context, r *log.Reading, answer *rueidis.RedisResult) (engine.Page, error)
}

// Config is what New needs. All funcs are set, and none blocks.
type Config struct {
	script.Env
	Patterns []string // globs of channels whose plain PUBLISHes are always taken in
	Logs     Reader
	Plain    Plain
	Sink     Sink
	Admit    func(engine.Publication) error // decides about plain PUBLISHes
	Signal   func(data []byte)              // takes what came on the bus
	Events   Events
}

// Events are told what happens.
type Events struct {
	Dropped   func(reason string) // a plain PUBLISH was not admitted
	Skipped   func()              // an envelope could not be read
	Lost      func()              // a subscriber connection ended
	RoundTrip func(time.Duration) // a probe came back
	Returned  func()              // a master is there, or there again
	Rewound   func()              // Redis is not what it was: another history, or other data
}

// Subscriptions implements engine.Live and the Ready of engine.Engine.
type Subscriptions struct {
	setup
	connections atomic.Pointer[connections] // replaced by Follow
	followed    bool                        // owned by Follow
}

// setup is what all connections share.
type setup struct {
	Config
	life     context.Context
	loops    sync.WaitGroup
	patterns []pattern
	broken   throttle.Throttle
	dropped  throttle.Throttle
}

type connections map[*topology.Master]*connection

// New returns what listens to nothing until Follow. life ends all its
// goroutines.
func New(life context.Context, c Config) *Subscriptions {
	s := &Subscriptions{setup: setup{Config: c, life: life}}
	for _, glob := range c.Patterns {
		s.patterns = append(s.patterns, newPattern(c.Names, glob))
	}
	s.connections.Store(&connections{})
	return s
}

// Wait returns when all goroutines have ended.
func (s *Subscriptions) Wait() { s.loops.Wait() }

// home is the connection to the master of a name. It is nil while there is none.
func (s *Subscriptions) home(name string) *connection {
	return (*s.connections.Load())[s.Redis.Topology.Home(name)]
}

func (s *Subscriptions) all() iter.Seq[*connection] { return maps.Values(*s.connections.Load()) }

// Subscribe implements engine.Live. Both names of a channel, the live and the
// plain one, are confirmed by Redis before it returns nil. While the connection
// is down it waits until ctx ends.
func (s *Subscriptions) Subscribe(ctx context.Context, ch string, q engine.Query) (engine.Page, error) {
	if err := channels.Check(ch); err != nil {
		return engine.Page{}, fmt.Errorf("subscribe: %w", err)
	}
	page, err := s.subscribe(ctx, ch, q)
	if err != nil {
		return engine.Page{}, fmt.Errorf("subscribe %q: %w", ch, err)
	}
	return page, nil
}

// subscribe asks the channel's master; that may be another one meanwhile.
func (s *Subscriptions) subscribe(ctx context.Context, ch string, q engine.Query) (page engine.Page, err error) {
	err = s.atHome(ctx, ch, func(c *connection) (err error) {
		page, err = c.subscribe(ctx, ch, q)
		return err
	})
	return page, err
}

// Unsubscribe implements engine.Live.
func (s *Subscriptions) Unsubscribe(ch string) {
	for c := range s.all() {
		c.unsubscribe(ch)
	}
}

// Released lets go of what a channel was still listened to for after
// Plain.Left.
func (s *Subscriptions) Released(ch string) {
	for c := range s.all() {
		c.released(ch)
	}
}

// LeavePlain unsubscribes from all plain names and waits, until ctx ends, for
// Redis to confirm it: then no more plain PUBLISHes come.
func (s *Subscriptions) LeavePlain(ctx context.Context) {
	for c := range s.all() {
		c.leavePlain(ctx)
	}
}

// Ready answers nil while what is published arrives, on every master.
func (s *Subscriptions) Ready() error {
	if err := s.Redis.Gate(""); err != nil {
		return err
	}
	if err := s.Redis.Topology.Whole(); err != nil {
		return err
	}
	var errs []error
	for c := range s.all() {
		errs = append(errs, c.ready())
	}
	return errors.Join(errs...)
}

// WaitUntilProven returns when every master has delivered a probe.
func (s *Subscriptions) WaitUntilProven(ctx context.Context) error {
	for c := range s.all() {
		if err := c.probe.waitFirst(ctx); err != nil {
			return fmt.Errorf("Redis at %s answers but does not deliver what is published: %w; check that this user may use Pub/Sub", c.master.Addr, err)
		}
	}
	return nil
}
