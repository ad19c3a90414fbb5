package names

import "testing"

func TestLiveNamesAreRecognized(t *testing.T) {
	n := Names{Prefix: "my:app"}
	for _, ch := range []string{"chat", "a:b", "x}y"} {
		if got, ok := n.ChannelOf(n.Of(ch).Live()); !ok || got != ch {
			t.Errorf("%q: %q %v", ch, got, ok)
		}
	}
	for _, name := range []string{"chat", "my:app", "my:app:{chat}:log", "my:app:bus", "magpie:{chat}:live"} {
		if ch, ok := n.ChannelOf(name); ok {
			t.Errorf("%q is the live name of %q", name, ch)
		}
	}
}

func TestReservedNames(t *testing.T) {
	n := Names{Prefix: "magpie"}
	for name, want := range map[string]bool{
		"chat": false, "magpie": false, "magpies:x": false, n.Bus(""): true, n.Bus("n"): true, n.Probe("n", ""): true, "__keyevent@0__:set": true,
	} {
		if n.Reserved(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
