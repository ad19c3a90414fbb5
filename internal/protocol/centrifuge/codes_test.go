package centrifuge

import (
	"fmt"
	"magpie/internal/fault"
	"os"
	"strings"
	"testing"
)

// Every code that clients can meet is explained to their developers.
func TestEveryCodeIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../../docs/centrifuge.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	codes := map[uint32]bool{forceNoReconnect: true}
	for _, a := range []*errorReply{errMethod, errSubscribed, errBadRequest, errNotAvailable, errExpired, errTooMany, errUnrecoverable} {
		codes[a.code] = true
	}
	for _, r := range errorReplies {
		codes[r.code] = true
	}
	for _, f := range closeMessages {
		codes[f.code] = true
	}
	for _, f := range []closeMessage{closeSubExpired, closeChannels, closeErrors, closeType} {
		codes[f.code] = true
	}
	for _, e := range []unsubscribeMessage{unsubscribeServer, unsubscribeInsufficient, unsubscribeExpired} {
		codes[e.code] = true
	}
	for code := range codes {
		if !strings.Contains(doc, fmt.Sprint(code)) {
			t.Errorf("docs/centrifuge.md does not explain %d", code)
		}
	}
}

// A close message is counted under the reason that it stands for.
func TestEveryEndHasItsCode(t *testing.T) {
	for reason, f := range closeMessages {
		if f.reason != reason && reason != fault.ReasonUnavailable {
			t.Errorf("%s ends as %s", reason, f.reason)
		}
		if len(f.text) > 123 {
			t.Errorf("%s: the text does not fit into a close frame", reason)
		}
	}
}

// Whatever a body holds, it is a request with a session and commands, or an
// error.
func FuzzEmulationRequest(f *testing.F) {
	f.Add([]byte(`{"session":"00000000000000000000000000000000","node":"n","data":"{}\n{}"}`), false)
	f.Add([]byte(`{"session":"00000000000000000000000000000000","data":{"a":1}}`), false)
	f.Add([]byte("\x0a\x01n\x12\x2000000000000000000000000000000000\x1a\x01x"), true)
	f.Fuzz(func(t *testing.T, body []byte, binary bool) {
		req, err := emulationRequest(body, binary)
		if err == nil && (len(req.Session) != 2*secretBytes || len(req.Data) == 0 || len(req.Node) > maxNode) {
			t.Fatalf("%q gives %v", body, req)
		}
	})
}
