package centrifuge

import (
	"testing"

	"magpie/internal/message"
)

// A delta is sent to a client alone that has the payload it starts from: the
// same bytes, not just as many.
func TestADeltaNeedsItsBase(t *testing.T) {
	for _, c := range []struct {
		what   string
		client delta
		before []byte
		want   bool
	}{
		{"equal bytes", delta{last: []byte("abc")}, []byte("abc"), true},
		{"as many other bytes", delta{last: []byte("abc")}, []byte("abd"), false},
		{"longer", delta{last: []byte("abc")}, []byte("abcd"), false},
		{"both empty", delta{last: []byte{}}, []byte{}, true},
		{"the client has nothing", delta{}, []byte{}, false},
		{"what came before is not known", delta{last: []byte{}}, nil, false},
	} {
		if got := c.client.primed(&message.Batch{Before: c.before}); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
