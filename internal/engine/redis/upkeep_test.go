package redis

import (
	"hash/maphash"
	"slices"
	"strconv"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

// Whoever reads at names to which nothing was ever published leaves nothing that
// stays: the identity of an empty log lives for minutes. What is told within
// them holds, and the first message makes it stay.
func TestReadingLeavesNothingThatStays(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server, nil)
	ttl := func() int {
		ms, _ := strconv.Atoi(server.Do("PTTL", "magpie:{nobody}:meta"))
		return ms
	}
	top := n.history("nobody", engine.Query{Limit: 1}).Top
	if ms := ttl(); ms == -1 || ms > 180_000 {
		t.Errorf("a history leaves a key for %d ms", ms)
	}
	server.Do("PEXPIRE", "magpie:{nobody}:meta", "1000")
	n.subscribe("nobody")
	if ms := ttl(); ms <= 60_000 || ms > 180_000 {
		t.Errorf("a subscription leaves a key for %d ms", ms)
	}
	if tops, err := n.Positions(t.Context(), []string{"nobody"}); err != nil || tops[0] != top || top.Epoch == "" {
		t.Errorf("%v is at %v now, %v", top, tops, err)
	}
	if got := n.publish("nobody", "1").Position; got.Epoch != top.Epoch || got.Offset != 1 {
		t.Errorf("the first message is at %v after %v", got, top)
	}
	if ms := ttl(); ms < 600_000_000 {
		t.Errorf("with a message the key stays for %d ms", ms)
	}
	n.history("nobody", engine.Query{Limit: 1})
	if page := n.history("nobody", engine.Query{Since: &top, Limit: 1}); page.Gap != "" || len(page.Messages) != 1 {
		t.Errorf("since the empty log: %+v", page)
	}
}

// An empty log is refreshed at every turn, any other once in upkeepShares.
func TestEmptyLogsAreRefreshedInTime(t *testing.T) {
	turns := turns{seed: maphash.MakeSeed()}
	held := slices.Values([]string{"empty", "full", "none"})
	tops := map[string]message.Position{"empty": {Epoch: "e"}, "full": {Epoch: "e", Offset: 1}}
	count := map[string]int{}
	for range 1 + upkeepShares {
		due := turns.next(held)
		var at []message.Position
		for _, ch := range due {
			count[ch]++
			at = append(at, tops[ch])
		}
		turns.done(due, at)
	}
	if count["empty"] != 1+upkeepShares || count["full"] > 2 || count["none"] > 2 {
		t.Errorf("refreshed %v", count)
	}
	turns.next(slices.Values([]string{"empty"}))
	if len(turns.kept) != 0 {
		t.Errorf("channels that are not held any more are remembered: %v", turns.kept)
	}
}
