package centrifuge

import (
	"testing"
	"time"

	"magpie/internal/hub"
	"magpie/internal/session"
)

// A session whose timer was set at the very moment of its end does not tick
// for ever.
func TestASessionThatHasEndedTicksNoMore(t *testing.T) {
	c := (&Door{Config: Config{Ping: time.Minute, Pong: time.Second}}).newConn(jsonSocket)
	c.connected, c.gone = true, true
	for now := time.Now(); now.Before(time.Now().Add(time.Hour)); now = now.Add(10 * time.Minute) {
		if next := c.Tick(now); next != 0 {
			t.Fatalf("ticks again in %v", next)
		}
	}
}

// A subscription that is over before it was told of announces no leave: nobody
// was told that it came.
func TestWhoHasNotComeDoesNotLeave(t *testing.T) {
	d := &Door{closed: true}
	d.news.door = d
	c := d.newConn(jsonSocket)
	s := &started{sub: &subscription{conn: c, name: "chat", flags: announces}, joined: session.Joined{Subscription: new(hub.Subscription)}}
	s.start() // the session's end has taken it out
	s.sub.left()
	if len(d.news.waiting) != 0 {
		t.Errorf("announced: %+v", d.news.waiting)
	}
}
