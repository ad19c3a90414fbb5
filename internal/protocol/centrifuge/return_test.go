package centrifuge_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// A client comes back with everything it may have: SDKs put connect and every
// subscribe of a reconnect into one frame, each with a token of its own, which
// is far longer than one message may be.
func TestAClientComesBackWithAllItMayHave(t *testing.T) {
	everyWay(t, func(t *testing.T, e *endpoint, w way) {
		if w.events {
			return // its first command is in a URL, and subscribes follow one by one
		}
		padding := strings.Repeat("x", 5<<10)
		commands := []string{`{"id":1,"connect":{"token":"` + token(map[string]any{"sub": "42", "info": padding}) + `"}}`}
		for i := range limits.Subscriptions - 1 { // one is the personal channel

			name := fmt.Sprintf("$%s%d", strings.Repeat("c", 200), i)
			commands = append(commands, fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q,"recover":true,"epoch":"e","offset":17,"token":%q}}`,
				i+2, name, token(map[string]any{"sub": "42", "channel": name, "info": padding})))
		}
		c := e.dial(w)
		c.say(commands...)
		for i := range commands {
			if r := c.reply(); r.Error != nil || r.Connect == nil && r.Subscribe == nil {
				t.Fatalf("reply %d: %v", i+1, r)
			}
		}
	})
}

// One frame more than that is refused.
func TestAFrameOverTheLimitIsRefused(t *testing.T) {
	e := listen(t)
	c := e.dial(ways[0])
	c.frame([]byte(strings.Repeat(" ", 17<<20)))
	for {
		if _, err := c.next(); err != nil {
			if code := websocket.CloseStatus(err); code != 1009 && code != -1 {
				t.Errorf("closed with %d: %v", code, err)
			}
			return
		}
	}
}
