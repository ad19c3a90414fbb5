package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"magpie/internal/build"
	"magpie/internal/channel"
	"magpie/internal/session"
)

// Info is what a node says about itself.
type Info struct {
	UID         string `json:"uid"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	NumClients  int    `json:"num_clients"`
	NumUsers    int    `json:"num_users"` // guests count as one
	NumChannels int    `json:"num_channels"`
	NumSubs     int    `json:"num_subs"`
	Uptime      int64  `json:"uptime"` // seconds
}

// Info asks all nodes about themselves, in the order of their names. missing
// is how many of them did not answer in time.
func (n *Peers) Info(ctx context.Context) (list []Info, missing int, err error) {
	a, err := n.ask(ctx, kindInfo, nil)
	if err != nil {
		return nil, 0, err
	}
	for _, part := range a.parts {
		var i Info
		if err := json.Unmarshal(part, &i); err != nil {
			return nil, 0, fmt.Errorf("info: %w", err)
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b Info) int {
		return strings.Compare(a.Name+"\x00"+a.UID, b.Name+"\x00"+b.UID)
	})
	n.tell(kindInfo, a)
	return list, a.missing, nil
}

// Channels asks all nodes which channels somebody is subscribed to and by how
// many sessions. pattern is a glob over their names; empty means all. missing
// is how many nodes did not answer in time.
func (n *Peers) Channels(ctx context.Context, pattern string) (sessions map[string]int, missing int, err error) {
	a, err := n.ask(ctx, kindChannels, []byte(pattern))
	if err != nil {
		return nil, 0, err
	}
	all := map[string]int{}
	for _, part := range a.parts {
		var some map[string]int
		if err := json.Unmarshal(part, &some); err != nil {
			return nil, 0, fmt.Errorf("channels: %w", err)
		}
		for name, count := range some {
			all[name] += count
		}
	}
	n.tell(kindChannels, a)
	return all, a.missing, nil
}

func (n *Peers) tell(kind string, a answers) {
	if a.missing > 0 {
		n.Log.Warn("some nodes did not answer; what was told is partial", "question", kind, "nodes", a.reached, "silent", a.missing)
	}
}

func (n *Peers) answerInfo(t task) {
	users := map[string]struct{}{}
	clients := 0
	n.Node.Each(func(s *session.Session) bool {
		clients++
		users[s.Who().User] = struct{}{}
		return true
	})
	channels := 0
	for _, count := range n.Hub.Census() {
		if count > 0 {
			channels++
		}
	}
	body, _ := json.Marshal(Info{ // strings and numbers: cannot fail
		UID: n.ID(), Name: n.Name, Version: build.Version(),
		NumClients: clients, NumUsers: len(users), NumChannels: channels,
		NumSubs: int(n.Hub.Metrics.Subscriptions.Value()),
		Uptime:  int64(time.Since(n.began) / time.Second),
	})
	n.answer(t.From, t.IDs, body, false)
}

// answerChannels answers in parts, each a JSON object of names and counts.
func (n *Peers) answerChannels(t task) {
	pattern := string(t.body)
	part, size := map[string]int{}, 0
	for name, count := range n.Hub.Census() {
		if count == 0 || pattern != "" && !channel.Match(pattern, name) {
			continue
		}
		part[name] = count
		if size += len(name) + 8; size < partBytes {
			continue
		}
		if !n.answer(t.From, t.IDs, object(part), true) {
			return
		}
		part, size = map[string]int{}, 0
	}
	n.answer(t.From, t.IDs, object(part), false)
}

func object(part map[string]int) []byte {
	b, _ := json.Marshal(part) // strings and numbers: cannot fail
	return b
}
