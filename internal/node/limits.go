package node

import (
	"fmt"
	"time"

	"magpie/internal/channel"
	"magpie/internal/fault"
)

// Limits are the settings that bound what a client may want. What bounds the
// node as a whole is session.Budget and readersMost.
type Limits struct {
	Payload       int // bytes of one message
	Outbox        int // bytes that may wait for one session
	Subscriptions int // channels of one session
	UserSessions  int // sessions of one user on this node; 0: no bound
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
