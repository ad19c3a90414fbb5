package hub

import "iter"

// Census yields every channel that this node listens to with the number of
// its subscriptions here, which may be none for a moment after the last left.
func (h *Hub) Census() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for i := range h.shards {
			for _, r := range h.shards[i].rooms() {
				if !yield(r.name, r.count()) {
					return
				}
			}
		}
	}
}

func (r *room) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, len(r.subs)-r.dead)
}
