package attack

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"magpie/test/kit"
)

// J6: a message as long as may be is published, one octet more is not, and neither
// is one that says it has 64 MB: nothing is kept for that.
func TestTheLongestMessage(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	const most = 64 << 10
	witness := n.Dial("channel=chat")
	s := n.Dial("channel=chat")
	longest := strings.Repeat("a", most)
	s.Send(longest)
	witness.WaitFor(longest)
	s.Send(longest + "a")
	if code, _ := s.CloseCode(); code != 1009 {
		t.Errorf("one octet more: closed with %d", code)
	}
	if code := closeAfter(t, n, []byte{0x82, 0xff, 0, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4, 'x'}); code != 1009 {
		t.Errorf("64 MB: closed with %d", code)
	}
	if got := witness.All(); len(got) != 1 {
		t.Errorf("%d messages came", len(got))
	}
}

// closeAfter sends octets to the raw door and returns the code that it closes with.
func closeAfter(t *testing.T, n *kit.Node, octets []byte) int {
	t.Helper()
	c := n.Connect()
	defer c.Close()
	if _, err := io.WriteString(c, n.Handshake("/websocket?channel=chat")+string(octets)); err != nil {
		t.Fatal(err)
	}
	all := make([]byte, 0, 1000)
	for {
		b := make([]byte, 500)
		k, err := c.Read(b)
		all = append(all, b[:k]...)
		if _, rest, ok := bytes.Cut(all, []byte("\r\n\r\n")); ok && len(rest) >= 4 && rest[0] == 0x88 {
			return int(rest[2])<<8 | int(rest[3])
		}
		if err != nil {
			t.Fatalf("no close frame: %v, %q", err, all)
		}
	}
}

// J10: what a client may not do is an error and no more: the connection stays, and
// what it may do goes on. Names are no paths.
func TestWhatOneMayNotDo(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--token-secret", secret)
	c := n.Centrifuge(signed(t, "ann"))
	for id, command := range []string{
		`"publish":{"channel":"user:bob","data":1}`, `"history":{"channel":"user:bob","limit":1}`, `"presence":{"channel":"user:bob"}`,
		`"subscribe":{"channel":"user:bob"}`, `"rpc":{"method":"../../api/info","data":{}}`, `"rpc":{"method":"..%2f..%2fapi","data":{}}`,
		`"publish":{"channel":"user:bob/../user:ann","data":1}`,
	} {
		c.Send(fmt.Sprintf(`{"id":%d,%s}`, 10+id, command))
		c.WaitFor(fmt.Sprintf(`"id":%d,`, 10+id), `"error"`)
	}
	c.Send(`{"id":99,"publish":{"channel":"user:ann","data":1}}`)
	c.WaitFor(`"id":99,`, `"publish"`)
	if !c.Open() {
		t.Error("the connection has ended")
	}
}

// J11: subscribing and leaving in any order leaves nothing behind.
func TestSubscribeRaces(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--max-requests", "100000", "--max-new-channels", "100000")
	c := n.Centrifuge("")
	id := 10
	command := func(text string) {
		id++
		c.Send(fmt.Sprintf(`{"id":%d,%s}`, id, text))
	}
	command(`"unsubscribe":{"channel":"never"}`)
	c.WaitFor(fmt.Sprintf(`"id":%d,`, id))
	command(`"subscribe":{"channel":"twice"}`)
	command(`"subscribe":{"channel":"twice"}`)
	c.WaitFor(fmt.Sprintf(`"id":%d,`, id), `"code":105`)
	command(`"unsubscribe":{"channel":"twice"}`)
	for i := range 5000 {
		channel := fmt.Sprint("race", i%7)
		command(`"subscribe":{"channel":"` + channel + `"}`)
		command(`"unsubscribe":{"channel":"` + channel + `"}`)
	}
	c.WaitFor(fmt.Sprintf(`"id":%d,`, id))
	kit.Eventually(t, "nothing is left", func() bool {
		return measure(t, n, "magpie_subscriptions") == 0 && measure(t, n, "magpie_channels") == 0
	})
	n.Publish("race1", "x")
	command(`"publish":{"channel":"race1","data":1}`)
	c.WaitFor(fmt.Sprintf(`"id":%d,`, id))
}

// S11: HTTP/2 requests that are taken back as they begin, headers without end and
// settings again and again end their connection or cost nothing; others go on.
func TestHTTP2Floods(t *testing.T) {
	t.Parallel()
	n := kit.Launch(t, kit.Certificate(t)...)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	alive := func() bool {
		res, err := client.Get("https://" + n.Addr + "/livez")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	kit.Eventually(t, "it answers", alive)
	var head bytes.Buffer
	fields := hpack.NewEncoder(&head)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", n.Addr}, {":path", "/history/chat"}} {
		_ = fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	for name, flood := range map[string]func(f *http2.Framer, i uint32) error{
		"reset": func(f *http2.Framer, i uint32) error {
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
				return err
			}
			return f.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		},
		"continuation": func(f *http2.Framer, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes()})
			}
			return f.WriteContinuation(1, false, append([]byte{0, 1, 'a', 127}, make([]byte, 1000)...))
		},
		"settings": func(f *http2.Framer, _ uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
		},
	} {
		before := resident(t, n)
		c, err := tls.Dial("tcp", n.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(kit.Patience))
		go io.Copy(io.Discard, c)
		_, _ = io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, nil)
		_ = f.WriteSettings()
		sent := uint32(0)
		for sent < 20_000 && flood(f, sent) == nil { // an error: the server has ended it
			sent++
		}
		if !alive() {
			t.Errorf("%s: it does not answer others", name)
		}
		c.Close()
		if grown := resident(t, n) - before; grown > 64<<20 {
			t.Errorf("%s: %d MB more after %d", name, grown>>20, sent)
		}
		t.Logf("%s: %d", name, sent)
	}
	kit.Eventually(t, "it answers", alive)
}
