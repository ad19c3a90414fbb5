package problem

import (
	"net/http/httptest"
	"testing"
	"time"

	"magpie/internal/fault"
)

// A refused handshake has one word for clients, and the status and the header
// field that RFC 9110 and RFC 6455 ask for.
func TestRefusedHandshakes(t *testing.T) {
	for _, test := range []struct {
		fault         *fault.Fault
		status        int
		header, value string
	}{
		{fault.New(fault.Handshake, "x"), 400, "", ""},
		{fault.New(fault.HandshakeMethod, "x"), 405, "Allow", "GET"},
		{fault.New(fault.HandshakeHTTP, "x"), 505, "", ""},
		{fault.New(fault.HandshakeVersion, "x"), 426, "Sec-WebSocket-Version", "13"},
		{&fault.Fault{Kind: fault.HandshakeShutdown, Message: "x", Wait: time.Second}, 503, "Retry-After", "1"},
		{fault.New(fault.HandshakeInternal, "x"), 500, "", ""},
	} {
		w := httptest.NewRecorder()
		Write(w, test.fault)
		if w.Code != test.status || w.Header().Get(test.header) != test.value {
			t.Errorf("%s: %d %v", test.fault.Kind, w.Code, w.Header())
		}
		if body := w.Body.String(); body != `{"error":{"code":"bad_handshake","message":"x"}}`+"\n" {
			t.Errorf("%s: %s", test.fault.Kind, body)
		}
	}
}
