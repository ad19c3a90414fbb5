package hub

import (
	"runtime"
	"sync"

	"magpie/internal/message"
)

// receivers are a channel's subscriptions. Guarded by channelState.mu.
type receivers struct {
	list []*Subscription // appended to, never changed in place: snapshots stay valid
	left int             // how many of them have left
}

// snapshotLocked is the list as it is now.
func (r *receivers) snapshotLocked() []*Subscription { return r.list[:len(r.list):len(r.list)] }

// removeLocked counts one subscription that has left. The list is made anew
// only when half of it has, so that ten thousand that leave cost no more than
// their number.
func (r *receivers) removeLocked() {
	r.left++
	if r.left < len(r.list) && (r.left <= 16 || r.left <= len(r.list)/2) {
		return
	}
	stay := make([]*Subscription, 0, len(r.list)-r.left)
	for _, s := range r.list {
		if s.state.Load() != left {
			stay = append(stay, s)
		}
	}
	// Some may have left since: they will be counted by a call of their own.
	r.left -= len(r.list) - len(stay)
	r.list = stay
}

// step is one thing to hand to all receivers: messages, or a gap.
type step struct {
	batch  []*message.Message
	before []byte // message.Batch.Before
	gap    *message.Gap
}

// receiversPerWorker is how many receivers one goroutine serves. With 1,000
// receivers on two cores a second one makes nothing faster: the kernel's work
// for the receivers uses the other core.
const receiversPerWorker = 2048

// deliver hands the steps to all receivers, in order. Each receiver gets all
// messages of a step in one call, so a burst costs it one write.
func (c *channelState) deliver(steps []step, to []*Subscription) {
	for i := range steps {
		s := &steps[i]
		if s.gap != nil {
			for _, sub := range to {
				sub.gap(s.gap)
			}
			continue
		}
		c.hub.Metrics.Deliveries.Add(len(s.batch) * len(to))
		fanOut(to, &message.Batch{Messages: s.batch, Before: s.before})
	}
}

// fanOut delivers one batch and returns when all receivers have it: the next
// batch must not overtake it at any of them (D1).
func fanOut(to []*Subscription, batch *message.Batch) {
	workers := min(runtime.GOMAXPROCS(0), len(to)/receiversPerWorker+1)
	if workers == 1 {
		deliverTo(to, batch)
		return
	}
	var others sync.WaitGroup
	part := (len(to) + workers - 1) / workers
	for len(to) > part {
		mine := to[:part]
		to = to[part:]
		others.Go(func() { deliverTo(mine, batch) })
	}
	deliverTo(to, batch)
	others.Wait()
}

func deliverTo(to []*Subscription, batch *message.Batch) {
	for _, sub := range to {
		if sub.state.Load() == live {
			sub.to.Deliver(batch) // no call in between: this is what is done most often
		} else {
			sub.deliverEarly(batch)
		}
	}
}
