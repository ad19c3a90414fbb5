package redis

import (
	"fmt"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

// D3: who comes first to a channel costs one SUBSCRIBE and one reading, and
// both are on their way before Redis answers either: one round trip. Who comes
// later costs one reading.
func TestASubscribeIsOneRoundTrip(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	n := startNode(t, server, p.use)
	for i := range 10 {
		n.publish("chat", fmt.Sprint(i))
	}
	top := n.history("chat", engine.Query{}).Top // Redis knows the script from here on
	since := message.Position{Epoch: top.Epoch, Offset: 4}
	read, positions := n.env.Scripts.Read.Digest(), n.env.Scripts.Positions.Digest()
	const subscribe = "\r\nSUBSCRIBE\r\n"
	for _, c := range []struct {
		what string
		q    engine.Query
		want int
	}{
		{"without a position", engine.Query{}, 0},
		{"with a position", engine.Query{Since: &since, Limit: engine.All, Resume: true}, 6},
	} {
		ask := func(again string) {
			page, err := n.Subscribe(t.Context(), "chat", c.q)
			if err != nil || page.Top != top || len(page.Messages) != c.want {
				t.Errorf("%s%s: %+v, %v", c.what, again, page, err)
			}
		}
		p.count(subscribe, read, positions)
		p.mute(true)
		done := make(chan struct{})
		go func() { defer close(done); ask("") }()
		eventually(t, c.what+": all is asked for at once", func() bool {
			return p.counted(subscribe) == 1 && p.counted(read) == 1
		})
		p.unmute(true)
		<-done
		ask(", again")
		if s, r, other := p.counted(subscribe), p.counted(read), p.counted(positions); s != 1 || r != 2 || other != 0 {
			t.Errorf("%s: %d times SUBSCRIBE, %d readings, %d of positions", c.what, s, r, other)
		}
		n.Unsubscribe("chat")
		eventually(t, "the channel is left", func() bool {
			return server.Do("PUBSUB", "NUMSUB", "chat", "magpie:{chat}:live") == "chat\n0\nmagpie:{chat}:live\n0"
		})
	}
}

// D3: what is asked for behind a SUBSCRIBE that Redis refuses, or that it does
// not know how to read any more, is asked for again; a refused one fails.
func TestASubscribeReadsAgainWhenItMust(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	n.publish("a", "1")
	server.Do("SCRIPT", "FLUSH")
	page, err := n.Subscribe(t.Context(), "a", engine.Query{Limit: engine.All})
	if err != nil || len(page.Messages) != 1 {
		t.Errorf("without the script: %+v, %v", page, err)
	}
	server.Do("SET", "magpie:{b}:meta", "mine")
	if _, err := n.Subscribe(t.Context(), "b", engine.Query{}); err == nil {
		t.Error("a channel whose key is not ours has a position")
	}
	eventually(t, "the spoilt channel is let go of", func() bool {
		return server.Do("PUBSUB", "NUMSUB", "b", "magpie:{b}:live") == "b\n0\nmagpie:{b}:live\n0"
	})
}
