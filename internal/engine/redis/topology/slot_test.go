package topology

import (
	"strconv"
	"testing"

	"magpie/internal/engine/redis/names"
	"magpie/test/kit/redistest"
)

func TestSlots(t *testing.T) {
	for name, want := range map[string]int{"": 0, "foo": 12182, "magpie:{foo}:log": 12182, "123456789": 12739} {
		if got := SlotOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
	for _, slot := range []int{0, 1, 5460, 16383} {
		if got := SlotOf("x:{" + Tag(slot) + "}"); got != slot {
			t.Errorf("the tag of %d lies in %d", slot, got)
		}
	}
	if n := (names.Names{Prefix: "magpie", Sharded: true}); SlotOf(n.Bus("")) != SlotOf(n.Bus("n-1")) {
		t.Error("the bus of all and that of one node have no common order")
	}
	server := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", "0")
	for _, name := range []string{"{}foo", "a{b}c{d}", "a{b", "}{x}", "ünï{cödé}"} {
		if want := server.Do("CLUSTER", "KEYSLOT", name); strconv.Itoa(SlotOf(name)) != want {
			t.Errorf("%q: %d, Redis says %s", name, SlotOf(name), want)
		}
	}
}
