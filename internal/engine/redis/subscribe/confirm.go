package subscribe

import (
	"github.com/redis/rueidis"
)

// confirmed takes what Redis says of a subscription. It runs on the client's
// reader.
func (c *connection) confirmed(s rueidis.PubSubSubscription) {
	switch s.Kind {
	case "subscribe", "psubscribe", "ssubscribe":
		c.cameOn(key{s.Channel, s.Kind == "psubscribe"})
	case "unsubscribe", "punsubscribe", "sunsubscribe":
		c.wentOff(key{s.Channel, s.Kind == "punsubscribe"})
	}
}

func (c *connection) cameOn(k key) {
	c.mu.Lock()
	n := c.names[k]
	if n == nil || n.state == on {
		c.mu.Unlock()
		return
	}
	n.state, n.err = on, nil
	n.tellLocked()
	c.oneLessLocked(n)
	c.takenLocked(n)
	if !n.want {
		c.touchLocked(n)
	}
	recheck := n.recheck && (c.missing == 0 || c.count <= 1) // else completed rechecks all
	n.recheck = false
	c.mu.Unlock()
	if !recheck {
		return
	}
	if n.channel == "" {
		c.Sink.Recheck() // not of one channel: all
	} else {
		c.Sink.Recheck(n.channel)
	}
}

// wentOff handles the end we asked for and the one that came unasked.
func (c *connection) wentOff(k key) {
	c.mu.Lock()
	n := c.names[k]
	if n == nil || n.state == off || n.state == asking {
		c.mu.Unlock()
		return
	}
	n.recheck = n.recheck || n.state == on && n.want
	n.state = off
	n.tellLocked()
	c.takenLocked(n)
	if n.want {
		c.touchLocked(n)
	} else {
		c.goneLocked(n)
	}
	left := n.plain && !n.want && !n.moved
	c.mu.Unlock()
	if left {
		c.plainLeft(n.channel)
	}
}

// plainLeft follows the end of a channel's plain name.
func (c *connection) plainLeft(ch string) {
	if !c.Plain.Left(ch) {
		c.released(ch)
	}
}

// oneLessLocked counts down the names that a new connection still lacks.
func (c *connection) oneLessLocked(n *name) {
	if !n.due {
		return
	}
	n.due = false
	if c.missing--; c.missing == 0 {
		close(c.complete)
	}
}
