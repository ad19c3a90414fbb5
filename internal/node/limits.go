package node

import (
	"fmt"
	"time"

	"magpie/internal/channel"
	"magpie/internal/fault"
	"magpie/internal/limit"
)

// Limits are the settings that bound what a client may want. What bounds the
// node as a whole is session.Budget and readersMost.
type Limits struct {
	Payload       int // bytes of one message
	Outbox        int // bytes that may wait for one session
	Subscriptions int // channels of one session
	UserSessions  int // sessions of one user on this node; 0: no bound
	Requests      int // requests of one session, or of one user without one, in a second; 0: no bound
	NewChannels   int // names nobody used before that one client may begin in a minute; 0: no bound

	IdempotencyKeys   int           // of one client that are kept; 0: no bound
	IdempotencyWindow time.Duration // for how long
}

// burstSeconds is for how many seconds' worth a session may ask at once after a
// rest: a client that comes back subscribes to all of its channels.
const burstSeconds = 5

// requestSize is how many bytes of a payload count as a request: what is long costs
// every receiver more.
const requestSize = 4 << 10

// rate is how often a client may ask.
func (l Limits) rate() limit.Rate {
	if l.Requests == 0 {
		return limit.Rate{}
	}
	return limit.Rate{Every: time.Second / time.Duration(l.Requests), Burst: burstSeconds * l.Requests}
}

func (l Limits) tooOften(wait time.Duration) error {
	return &fault.Fault{Kind: fault.TooMany, Setting: "max_requests", Wait: wait,
		Message: fmt.Sprintf("%d requests in a second are the most for one connection or user here, and a message counts as one for each 4 KB; send less at once (setting max_requests)", l.Requests)}
}

// readersMost is how many logs are read for clients at once: one reading may
// hold a whole log.
const readersMost = 8

// checkUser decides whether somebody who has so many sessions may open another.
// Sessions of nobody in particular are not counted.
func (l Limits) checkUser(user string, sessions int) error {
	if user == "" || l.UserSessions == 0 || sessions < l.UserSessions {
		return nil
	}
	return &fault.Fault{Kind: fault.TooMany, Setting: "max_user_sessions", Wait: 10 * time.Second,
		Message: fmt.Sprintf("%d connections are the most for one user on a node; close others, then connect again (setting max_user_sessions)", l.UserSessions)}
}

// check decides whether a request keeps to the limits, whoever asks.
func (l Limits) check(r *request) error {
	if err := channel.Check(r.channel); err != nil {
		return err
	}
	if r.size > l.Payload {
		return &fault.Fault{Kind: fault.TooBig, Setting: "max_payload",
			Message: fmt.Sprintf("payload too big: %d bytes are the most for one message here (setting max_payload)", l.Payload)}
	}
	return nil
}
