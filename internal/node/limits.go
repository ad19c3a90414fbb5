package node

import (
	"fmt"

	"magpie/internal/channel"
	"magpie/internal/fault"
)

// Limits are the settings that bound what a client may want. What bounds the
// node as a whole is session.Budget and readersMost.
type Limits struct {
	Payload       int // bytes of one message
	Outbox        int // bytes that may wait for one session
	Subscriptions int // channels of one session
}

// readersMost is how many logs are read for clients at once: one reading may
// hold a whole log.
const readersMost = 8

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
