package ws

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// RFC 7692 section 5 and 7.1: the first offer that can be kept is taken, whatever
// stands around it; what cannot be kept to the letter is not.
func TestDeflateIsAgreedOn(t *testing.T) {
	const yes = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for offer, want := range map[string]string{
		"permessage-deflate":                                                                         yes,
		"PERMESSAGE-Deflate":                                                                         yes,
		"permessage-deflate; client_max_window_bits":                                                 yes,
		"permessage-deflate; client_max_window_bits=9":                                               yes,
		`permessage-deflate; client_max_window_bits="15"`:                                            yes,
		"permessage-deflate;server_no_context_takeover ; client_no_context_takeover":                 yes,
		"permessage-deflate; server_max_window_bits=15":                                              yes + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=9":                                               "",
		"permessage-deflate; server_max_window_bits=9, permessage-deflate":                           yes,
		"permessage-deflate; server_max_window_bits=9,permessage-deflate; server_max_window_bits=15": yes + "; server_max_window_bits=15",
		"x-webkit-deflate-frame, permessage-deflate; client_max_window_bits":                         yes,
		"foo; a; b=c; d=\"e\", ,, permessage-deflate":                                                yes,
		"permessage-deflate; server_max_window_bits":                                                 "",
		"permessage-deflate; server_max_window_bits=16":                                              "",
		"permessage-deflate; server_max_window_bits=015":                                             "",
		"permessage-deflate; client_max_window_bits=7":                                               "",
		"permessage-deflate; client_max_window_bits=+9":                                              "",
		"permessage-deflate; client_max_window_bits=\"\"":                                            "",
		"permessage-deflate; server_no_context_takeover=1":                                           "",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover":                 "",
		"permessage-deflate; mystery":                                                                "",
		"permessage-deflate; =":                                                                      "",
		"permessage-deflate;":                                                                        "",
		"permessage-deflate foo":                                                                     "",
		`permessage-deflate; client_max_window_bits="15`:                                             "",
		`foo="a,permessage-deflate`:                                                                  "",
		"":                                                                                           "",
	} {
		s := &Server{cfg: Config{Deflate: true}}
		if got := s.agree(&http.Request{Header: http.Header{"Sec-Websocket-Extensions": {offer}}}); got != want {
			t.Errorf("%s\n got %q\nwant %q", offer, got, want)
		}
		if got := s.agree(&http.Request{Header: http.Header{"Sec-Websocket-Extensions": {"foo; =", offer}}}); got != want {
			t.Errorf("in a second line %s\n got %q\nwant %q", offer, got, want)
		}
		s.cfg.Deflate = false
		if got := s.agree(&http.Request{Header: http.Header{"Sec-Websocket-Extensions": {offer}}}); got != "" {
			t.Errorf("where it is off: %q", got)
		}
	}
}

func octets(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 7692 section 7.2.3, and what is wrong.
func TestInflate(t *testing.T) {
	for name, c := range map[string]struct {
		msg, want string
		code      uint16
	}{
		"7.2.3.1":                      {"f2 48 cd c9 c9 07 00", "Hello", 0},
		"7.2.3.3, a stored block":      {"00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello", 0},
		"7.2.3.4, a last block":        {"f3 48 cd c9 c9 07 00 00", "Hello", 0},
		"7.2.3.5, two blocks":          {"f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello", 0},
		"7.2.3.6, empty":               {"00", "", 0},
		"no octet":                     {"", "", codeUTF8},
		"a last block and no more":     {"f3 48 cd c9 c9 07 00", "Hello", 0},
		"behind a last block":          {"f3 48 cd c9 c9 07 00 00 00", "", codeUTF8},
		"another message behind it":    {"f3 48 cd c9 c9 07 00 f2 48 cd c9 c9 07 00", "", codeUTF8},
		"a block that breaks off":      {"f2 48 cd", "", codeUTF8},
		"no block":                     {"ff ff ff ff", "", codeUTF8},
		"a length that lies":           {"00 05 00 fa fe 48 65 6c 6c 6f 00", "", codeUTF8},
		"a stored block that is short": {"00 ff 00 00 ff 48", "", codeUTF8},
		"no text":                      {"00 02 00 fd ff c3 28 00", "", codeUTF8},
		"the tail is sent, too":        {"f2 48 cd c9 c9 07 00 00 00 ff ff", "", codeUTF8},
	} {
		got, v := inflate(Text, octets(t, c.msg), 100)
		switch {
		case c.code == 0 && (v != nil || string(got) != c.want):
			t.Errorf("%s: %q, %v", name, got, v)
		case c.code != 0 && (v == nil || v.code != c.code):
			t.Errorf("%s: %q, %v", name, got, v)
		}
	}
	if got, v := inflate(Binary, octets(t, "00 02 00 fd ff c3 28 00"), 100); v != nil || string(got) != "\xc3\x28" {
		t.Errorf("binary: %q, %v", got, v)
	}
}

// deflate is what a client sends, without the frame.
func deflate(t testing.TB, payload []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(payload)
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte(syncTail))
}

// Z1: what a message is once inflated has the limit of messages, to the octet, and
// nothing is inflated beyond it.
func TestInflatingStopsAtTheLimit(t *testing.T) {
	bomb := deflate(t, make([]byte, 64<<20), flate.BestCompression)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 10
	for range times {
		if _, v := inflate(Binary, bomb, 64<<10); v != errInflated {
			t.Fatal(v)
		}
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / times; n > 512<<10 {
		t.Errorf("%d bytes are allocated for one", n)
	}
	if got, v := inflate(Binary, deflate(t, make([]byte, 1000), 9), 1000); v != nil || len(got) != 1000 || cap(got) > 1100 {
		t.Errorf("at the limit: %d in %d, %v", len(got), cap(got), v)
	}
	if _, v := inflate(Binary, deflate(t, make([]byte, 1001), 9), 1000); v != errInflated {
		t.Errorf("over the limit: %v", v)
	}
}

// A frame is deflated when that makes it shorter, and says so.
func TestDeflatedFrame(t *testing.T) {
	text := bytes.Repeat([]byte(`{"user":"42","text":"hello"}`), 40)
	noise := make([]byte, 4000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for name, payload := range map[string][]byte{"text": text, "noise": noise, "short": text[:leastDeflated-1]} {
		frame := DeflatedFrame(Text, payload)
		if name != "text" {
			if !bytes.Equal(frame, Frame(Text, payload)) {
				t.Errorf("%s: %x", name, frame[:8])
			}
			continue
		}
		head := len(frame) - len(deflate(t, payload, flate.BestSpeed))
		got, v := inflate(Text, frame[head:], len(payload))
		if frame[0] != bitFIN|bitRSV1|byte(Text) || len(frame) > len(payload)/5 || v != nil || !bytes.Equal(got, payload) {
			t.Errorf("%s: %x, %d octets of %d, %v", name, frame[:2], len(frame), len(payload), v)
		}
	}
}

// A connection that agreed on it may send messages in either form; RSV1 stands on
// the first frame of a message and nowhere else.
func TestDeflatedMessages(t *testing.T) {
	const offer = "Sec-WebSocket-Extensions: permessage-deflate"
	hello := deflate(t, []byte("hello"), 9)
	raw := func(first byte, payload []byte) []byte { return masked(first, string(payload)) }
	for name, x := range map[string]struct {
		send []byte
		want string // what comes back before the end
		code uint16
	}{
		"deflated":                 {raw(0xc1, hello), "hello", 1000},
		"as it is":                 {raw(0x81, []byte("hello")), "hello", 1000},
		"in fragments":             {join(raw(0x41, hello[:2]), raw(0x00, hello[2:3]), raw(0x80, hello[3:])), "hello", 1000},
		"RSV1 on a continuation":   {join(raw(0x41, hello[:2]), raw(0xc0, hello[2:])), "", codeProtocol},
		"RSV1 on a later fragment": {join(raw(0x01, []byte("he")), raw(0xc0, []byte("llo"))), "", codeProtocol},
		"RSV1 on a ping":           {raw(0xc9, hello), "", codeProtocol},
		"RSV1 on a close":          {raw(0xc8, nil), "", codeProtocol},
		"RSV2":                     {raw(0xe1, hello), "", codeProtocol},
		"not to be inflated":       {raw(0xc1, []byte("\xff\xff\xff")), "", codeUTF8},
		"no text":                  {raw(0xc1, deflate(t, []byte("\xc3\x28"), 9)), "", codeUTF8},
		"too long":                 {raw(0xc1, deflate(t, make([]byte, 2000), 9)), "", codeTooBig},
		"too long as it comes":     {raw(0xc2, make([]byte, 3000)), "", codeTooBig},
		"one behind a bad one":     {join(raw(0xc1, []byte("\xff\xff\xff")), raw(0x81, []byte("hello"))), "", codeUTF8},
		"one before a bad one":     {join(raw(0x81, []byte("hello")), raw(0xc1, []byte("\xff\xff\xff"))), "hello", codeUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, portable bool) {
				e := listen(t, Config{Deflate: true, MaxMessage: 1000, forcePortable: portable}, newEcho(nil))
				c := dialRaw(t, e.addr)
				c.send([]byte(upgrade(offer)))
				res, err := http.ReadResponse(c.r, nil)
				if err != nil || !strings.HasPrefix(res.Header.Get("Sec-WebSocket-Extensions"), extensionName) {
					t.Fatalf("%v, %v", res, err)
				}
				c.send(x.send)
				var got []string
				if x.code == 1000 {
					c.expect(byte(Text), x.want)
					got = append(got, x.want)
					c.send(bye(1000))
				}
				for _, frame := range c.all() {
					got = append(got, frame.payload)
				}
				want := []string{closing(x.code, "").payload}
				if x.want != "" {
					want = append([]string{x.want}, want...)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q came, want %q", got, want)
				}
			})
		})
	}
}

// Whatever is inflated, it is what compress/flate makes of it, within the limit.
func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), true)
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, msg []byte, text bool) {
		op := Binary
		if text {
			op = Text
		}
		got, v := inflate(op, msg, fuzzLimit)
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(strings.NewReader(string(msg)+lastTail)), fuzzLimit+1))
		switch {
		case v == nil && !bytes.Equal(got, want):
			t.Errorf("%x: %q, want %q", msg, got, want)
		case v == errInflated && len(want) <= fuzzLimit:
			t.Errorf("%x: over the limit with %d", msg, len(want))
		case len(want) > fuzzLimit && v != errInflated:
			t.Errorf("%x: %v, and it has more than the limit", msg, v)
		case v == nil && err != nil:
			t.Errorf("%x: %v", msg, err)
		case v == nil && text && !utf8.Valid(got):
			t.Errorf("%x: no text", msg)
		}
		again, v := inflate(op, deflate(t, msg[:min(len(msg), fuzzLimit)], flate.BestSpeed), fuzzLimit)
		if ok := !text || utf8.Valid(msg[:min(len(msg), fuzzLimit)]); ok != (v == nil) || ok && !bytes.Equal(again, msg[:min(len(msg), fuzzLimit)]) {
			t.Errorf("there and back: %x, %v", again, v)
		}
	})
}

// Work for one message of an ordinary size, whatever the number of its receivers.
func BenchmarkDeflatedFrame(b *testing.B) {
	payload := []byte(`{"channel":"chat","offset":4711,"epoch":"df79148f","data":{"user":"42","name":"Ann","text":"` + strings.Repeat("We meet at noon, as we always do. ", 20) + `"}}`)
	b.ReportAllocs()
	for b.Loop() {
		b.ReportMetric(float64(len(DeflatedFrame(Text, payload)))/float64(len(payload)), "of-octets")
	}
}

func BenchmarkInflate(b *testing.B) {
	msg := deflate(b, bytes.Repeat([]byte("We meet at noon, as we always do. "), 20), 9)
	b.ReportAllocs()
	for b.Loop() {
		if _, v := inflate(Text, msg, 64<<10); v != nil {
			b.Fatal(v)
		}
	}
}
