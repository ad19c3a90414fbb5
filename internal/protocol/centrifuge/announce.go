package centrifuge

import (
	"context"
	"sync"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// announcer publishes joins and leaves, in order, on a goroutine of its own: a
// thousand clients that go at once are a few round trips. Joins and leaves are
// delivered at most once (D9); presence is what holds.
type announcer struct {
	door *Door

	mu      sync.Mutex // guards what follows; memory only
	waiting []engine.Publication
	working bool
}

const (
	// announceMost bounds what waits: past it they are dropped.
	announceMost = 100_000
	// announceBatch is how many are published in one go.
	announceBatch = 256
)

// tell queues one join or leave. It does not block.
func (a *announcer) tell(p engine.Publication) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) >= announceMost {
		a.door.Metrics.News.Add(1)
		return
	}
	a.waiting = append(a.waiting, p)
	if !a.working {
		a.working = a.door.start(a.run)
	}
}

func (a *announcer) run() {
	for {
		batch := a.take()
		if len(batch) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), a.door.Timeout)
		for _, o := range a.door.Gate.Announce(ctx, batch) {
			if o.Err != nil {
				a.door.Metrics.News.Add(1)
			}
		}
		cancel()
	}
}

func (a *announcer) take() []engine.Publication {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(announceBatch, len(a.waiting))
	if n == 0 {
		a.working, a.waiting = false, nil
		return nil
	}
	batch := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	return batch
}

// announce tells the channel that the session came or left, where its rule
// wants that. The announcer's lock and the door's may be taken under conn.mu.
func (s *subscription) announce(kind message.Kind, by *message.Publisher) {
	if by != nil {
		s.conn.door.news.tell(engine.Publication{Channel: s.name, Kind: kind, Via: message.ViaSDK, By: by})
	}
}

// publisher is who a join or leave is about; nil where there are none.
func (s *subscription) publisher() *message.Publisher {
	if !s.has(announces) {
		return nil
	}
	return publisher(s.Member())
}

func publisher(m engine.Member) *message.Publisher {
	return &message.Publisher{User: m.User, Session: m.Session, ConnInfo: m.ConnInfo, ChanInfo: m.ChanInfo}
}
