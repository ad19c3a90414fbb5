package message_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"magpie/internal/fault"
	"magpie/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An encoding is made once per message and shared by all its receivers.
func TestEncodingsAreMadeOnceAndShared(t *testing.T) {
	var made atomic.Int32
	upper := message.NewEncoding(func(m *message.Message) []byte {
		made.Add(1)
		return bytes.ToUpper(m.Payload)
	})
	same := message.NewEncoding(func(m *message.Message) []byte { return m.Payload })
	m := &message.Message{Payload: []byte("hi")}
	first, again := upper.Of(m), upper.Of(m)
	if string(same.Of(m)) != "hi" || string(first) != "HI" || &first[0] != &again[0] || made.Load() != 1 {
		t.Errorf("%q %q, made %d times", same.Of(m), upper.Of(m), made.Load())
	}
	if n := testing.AllocsPerRun(100, func() { upper.Of(m); same.Of(m) }); n != 0 {
		t.Errorf("%v allocations per receiver", n)
	}
}

func TestEncodingsUnderConcurrency(t *testing.T) {
	forms := make([]*message.Encoding, 4)
	for i := range forms {
		forms[i] = message.NewEncoding(func(*message.Message) []byte { return []byte{byte(i)} })
	}
	for range 200 {
		m := &message.Message{}
		b := &message.Batch{Messages: []*message.Message{m, m}}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i, f := range forms {
					if f.Of(m)[0] != byte(i) || !bytes.Equal(f.OfBatch(b), []byte{byte(i), byte(i)}) {
						t.Errorf("form %d: %v, batch %v", i, f.Of(m), f.OfBatch(b))
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestBatchIsJoinedOnce(t *testing.T) {
	same := message.NewEncoding(func(m *message.Message) []byte { return m.Payload })
	a, b := &message.Message{Payload: []byte("a")}, &message.Message{Payload: []byte("b")}
	batch := &message.Batch{Messages: []*message.Message{a, b}}
	if got := same.OfBatch(batch); string(got) != "ab" || &got[0] != &same.OfBatch(batch)[0] {
		t.Errorf("joined %q", got)
	}
	alone := &message.Batch{Messages: []*message.Message{a}}
	if &same.OfBatch(alone)[0] != &a.Payload[0] {
		t.Error("a batch of one was copied")
	}
}

// Two that make the same form at once have one slice in the end.
func TestAFormThatWasMadeMeanwhileIsTaken(t *testing.T) {
	m, first := &message.Message{}, true
	var form *message.Encoding
	var inner []byte
	form = message.NewEncoding(func(m *message.Message) []byte {
		if first {
			first = false
			inner = form.Of(m)
		}
		return []byte("x")
	})
	if outer := form.Of(m); &outer[0] != &inner[0] {
		t.Error("two slices of one form")
	}
}

func TestAFormOfBatchesIsMadeOnce(t *testing.T) {
	made := 0
	form := message.NewBatchEncoding(func(b *message.Batch) []byte {
		made++
		return bytes.ToUpper(b.Before)
	})
	joined := message.NewEncoding(func(m *message.Message) []byte { return m.Payload })
	m := &message.Message{Payload: []byte("a")}
	b := &message.Batch{Messages: []*message.Message{m, m}, Before: []byte("hi")}
	for range 2 {
		if string(form.Of(b)) != "HI" || string(joined.OfBatch(b)) != "aa" || made != 1 {
			t.Errorf("%q and %q, made %d times", form.Of(b), joined.OfBatch(b), made)
		}
	}
	if n := testing.AllocsPerRun(100, func() { form.Of(b); joined.OfBatch(b) }); n != 0 {
		t.Errorf("%v allocations per receiver", n)
	}
}

func TestPosition(t *testing.T) {
	for _, good := range []string{"a1b2.0", "a.18446744073709551615", "azAZ09-_.7", strings.Repeat("a", message.MaxEpoch) + ".1"} {
		p, err := message.ParsePosition(good)
		if err != nil || p.String() != good {
			t.Errorf("%q: %v, %v", good, p, err)
		}
	}
	for _, bad := range []string{"", ".", "a", "a.", ".1", "a.-1", "a.+1", "a.1.2", "a.x", "a b.1", "ä.1", "a.18446744073709551616",
		strings.Repeat("a", message.MaxEpoch+1) + ".1", "a.1\n", "a\r\n.1",
		"`.1", "{.1", "@.1", "[.1", "/.1", ":.1"} {
		if p, err := message.ParsePosition(bad); fault.KindOf(err) != fault.BadPosition {
			t.Errorf("%q was read as %v (%v)", bad, p, err)
		}
	}
}

func FuzzPosition(f *testing.F) {
	f.Add("a1b2c3d4.42")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := message.ParsePosition(s)
		if err != nil {
			return
		}
		if q, err := message.ParsePosition(p.String()); err != nil || q != p {
			t.Errorf("%q became %v, then %v (%v)", s, p, q, err)
		}
	})
}

func TestEnvelope(t *testing.T) {
	at := message.Position{Epoch: "e1", Offset: 7}
	for _, c := range []struct {
		what string
		m    *message.Message
		want string
	}{
		{"JSON as it is", &message.Message{Channel: "chat", Position: at, Payload: []byte(`{"content": "hi"}`), Time: 5, Via: message.ViaRaw},
			`{"channel":"chat","offset":7,"epoch":"e1","data":{"content": "hi"},"time":5,"via":"raw"}`},
		{"text as a string", &message.Message{Channel: "chat", Payload: []byte("a\"b\n")}, `{"channel":"chat","data":"a\"b\n"}`},
		{"empty", &message.Message{Channel: "chat"}, `{"channel":"chat","data":""}`},
		{"two JSON values are text", &message.Message{Channel: "c", Payload: []byte("1 2")}, `{"channel":"c","data":"1 2"}`},
		{"bytes", &message.Message{Channel: "c", Payload: []byte{0xff, 0}}, `{"channel":"c","b64":"/wA="}`},
		{"broken UTF-8 inside JSON", &message.Message{Channel: "c", Payload: []byte("\"\xff\"")}, `{"channel":"c","b64":"Iv8i"}`},
		{"publisher and tags", &message.Message{Channel: "c", Payload: []byte("1"), Tags: map[string]string{"k": "v"},
			By: &message.Publisher{User: "42", Session: "s", ConnInfo: []byte(`{"n":1}`), ChanInfo: []byte("no JSON")}},
			`{"channel":"c","data":1,"info":{"user":"42","client":"s","conn_info":{"n":1}},"tags":{"k":"v"}}`},
		{"what is known of the publisher in the channel", &message.Message{Channel: "c", Payload: []byte("1"), By: &message.Publisher{ChanInfo: []byte("[2]")}},
			`{"channel":"c","data":1,"info":{"user":"","client":"","chan_info":[2]}}`},
	} {
		if got := string(message.AppendEnvelope(nil, c.m)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.what, got, c.want)
		}
	}
}

// Whatever a payload holds, the envelope is JSON.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "chat", "u")
	f.Add([]byte("\xff"), "a\u2028b", "\x00")
	f.Fuzz(func(t *testing.T, payload []byte, name, user string) {
		m := &message.Message{Channel: name, Payload: payload, Position: message.Position{Epoch: "e", Offset: 1},
			By: &message.Publisher{User: user, ConnInfo: payload}}
		if b := message.AppendEnvelope(nil, m); !json.Valid(b) {
			t.Errorf("not JSON: %s", b)
		}
	})
}

func TestGapAsJSON(t *testing.T) {
	g := message.Gap{Channel: "chat", Reason: message.GapLost, From: message.Position{Epoch: "a", Offset: 1}, Now: message.Position{Epoch: "b", Offset: 2}}
	want := `{"channel":"chat","reason":"lost","from":{"epoch":"a","offset":1},"now":{"epoch":"b","offset":2}}`
	if got := string(g.AppendJSON(nil)); got != want {
		t.Errorf("got %s", got)
	}
}
