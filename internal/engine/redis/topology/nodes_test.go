package topology

import (
	"strings"
	"testing"
)

const nodesText = `07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004,host4 slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 127.0.0.1:30002@31002,host2 master - 0 1426238316232 2 connected 5461-10922
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 127.0.0.1:30003@31003,host3 master,fail - 0 1426238318243 3 disconnected 10923-16383
824fe116063bc5fcf9f4ffd895bc17aee7731ac3 ::1:30006@31006,host6 master,fail? - 0 1426238317741 6 connected 10923-16383
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca :30001@31001,host1 myself,master - 0 0 1 connected 0-5459 5460 [5461->-67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1]
a7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:30009@31009 master - 0 0 9 connected
`

func TestParseNodes(t *testing.T) {
	claims, err := parseNodes(nodesText, "10.0.0.1:7", false)
	if err != nil || len(claims) != 3 {
		t.Fatalf("%+v, %v", claims, err)
	}
	var o ownership
	o.merge(claims)
	if len(o.going) != 1 || !o.going[5461] {
		t.Errorf("going %v", o.going)
	}
	for slot, want := range map[int]string{0: "10.0.0.1:30001", 5460: "10.0.0.1:30001", 5461: "127.0.0.1:30002", 16383: "[::1]:30006"} {
		if o.addr[slot] != want {
			t.Errorf("slot %d: %q, want %q", slot, o.addr[slot], want)
		}
	}
	claims, _ = parseNodes(nodesText, "10.0.0.1:7", true)
	if claims[0].addr != "host2:30002" {
		t.Errorf("by name: %q", claims[0].addr)
	}
	for _, bad := range []string{"x", strings.Replace(nodesText, "5461-10922", "5461-x", 1), strings.Replace(nodesText, "5461-10922", "5461-16384", 1),
		strings.Replace(nodesText, " 2 connected", " two connected", 1), strings.Replace(nodesText, "127.0.0.1:30002@31002,host2", "nowhere", 1)} {
		if _, err := parseNodes(bad, "h:1", false); err == nil {
			t.Errorf("taken: %.60q", bad)
		}
	}
}

// Of two masters that both claim a slot the one with the newer configuration
// has it, in whatever order they are heard.
func TestTheNewerClaimHolds(t *testing.T) {
	old, now := claim{addr: "old:1", epoch: 3, slots: [][2]int{{0, 9}}}, claim{addr: "new:1", epoch: 7, slots: [][2]int{{5, 9}}}
	for _, order := range [][]claim{{old, now}, {now, old}} {
		var o ownership
		o.merge(order)
		if o.addr[4] != "old:1" || o.addr[5] != "new:1" || o.addr[10] != "" {
			t.Errorf("%q %q %q", o.addr[4], o.addr[5], o.addr[10])
		}
	}
}
