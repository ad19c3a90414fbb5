package session

import "magpie/internal/hub"

// Hub lets tests see whether subscriptions end.
func (n *Node) Hub() *hub.Hub { return n.hub }
