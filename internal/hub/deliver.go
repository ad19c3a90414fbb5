package hub

import (
	"runtime"
	"sync"

	"magpie/internal/message"
)

// walkAlone is the number of receivers per walker. With 1,000 receivers on two
// cores a second walker makes nothing faster: the receivers' own kernel work
// is what fills the other core.
const walkAlone = 2048

// deliver hands the steps to all receivers. Each receiver gets all messages
// of a step in one call, so a burst costs it one write.
func (r *room) deliver(steps []step, to []*Subscription) {
	for i := range steps {
		s := &steps[i]
		if s.gap != nil {
			for _, sub := range to {
				sub.gap(s.gap)
			}
			continue
		}
		batch := &message.Batch{Messages: s.batch, Before: s.before}
		r.hub.Metrics.Deliveries.Add(len(s.batch) * len(to))
		walk(to, batch)
	}
}

// walk delivers one batch and returns when all receivers have it: the next
// batch must not overtake it at any of them (D1).
func walk(to []*Subscription, batch *message.Batch) {
	walkers := min(runtime.GOMAXPROCS(0), len(to)/walkAlone+1)
	if walkers == 1 {
		deliverAll(to, batch)
		return
	}
	var others sync.WaitGroup
	part := (len(to) + walkers - 1) / walkers
	for len(to) > part {
		mine := to[:part]
		to = to[part:]
		others.Go(func() { deliverAll(mine, batch) })
	}
	deliverAll(to, batch)
	others.Wait()
}

func deliverAll(to []*Subscription, batch *message.Batch) {
	for _, sub := range to {
		sub.deliver(batch)
	}
}
