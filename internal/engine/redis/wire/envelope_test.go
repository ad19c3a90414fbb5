package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"magpie/internal/message"
)

func TestEnvelopeOfMessage(t *testing.T) {
	env, err := Decode("chat", "m1 42 a1b2c3d4 1700000000123 http 38\n"+`{"by":{"user":"7"},"tags":{"k":"v w"}}`+"\x00pay\nload")
	if err != nil {
		t.Fatal(err)
	}
	m := env.Message
	if env.Kind != KindMessage || m.Channel != "chat" || m.Position != (message.Position{Epoch: "a1b2c3d4", Offset: 42}) ||
		m.Time != 1700000000123 || m.Via != message.ViaHTTP || string(m.Payload) != "\x00pay\nload" || m.By.User != "7" || m.Tags["k"] != "v w" {
		t.Errorf("got %+v", m)
	}
	if cap(m.Payload) != len(m.Payload) {
		t.Error("an append to the payload would write into shared bytes")
	}
}

func TestEnvelopeWithoutLogHasNoPosition(t *testing.T) {
	env, err := Decode("chat", "m1 0 - 5 raw 0\n")
	if err != nil || env.Message.Logged() || env.Message.Position != (message.Position{}) || len(env.Message.Payload) != 0 {
		t.Errorf("got %+v %v", env.Message, err)
	}
}

func TestEnvelopeNotices(t *testing.T) {
	for text, want := range map[string]Envelope{
		"f1 n-1 t.2":  {Kind: KindFence, Node: "n-1", Token: "t.2"},
		"r1 n-1":      {Kind: KindRelease, Node: "n-1"},
		"w1 n-1":      {Kind: KindWant, Node: "n-1"},
		"x1 a1b2c3d4": {Kind: KindRemoved, Epoch: "a1b2c3d4"},
	} {
		if got, err := Decode("chat", text); err != nil || got != want {
			t.Errorf("%q: got %+v %v", text, got, err)
		}
	}
}

// A later version must not take this one down, nor be half understood.
func TestEnvelopeOfAnotherVersionIsUnknown(t *testing.T) {
	for _, text := range []string{"", "m2 1 e 5 http 0\n", "m", "q1 x", "{\"a\":1}", "m1", "M1 1 e 5 http 0\n"} {
		_, err := Decode("chat", text)
		if text == "m1" && errors.Is(err, ErrBroken) {
			continue
		}
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBrokenEnvelopesAreRefused(t *testing.T) {
	for _, text := range []string{
		"m1 1 e 5 http 0", "m1 1 e 5 http\n", "m1 1 e 5 http 0 0\n", "m1 1 e 5 http 1\n", "m1 -1 e 5 http 0\n", "m1 +1 e 5 http 0\n",
		"m1 0 e 5 http 0\n", "m1 1 - 5 http 0\n", "m1  e 5 http 0\n", "m1 1 e 5 http 2\n{]", "m1 99999999999999999999 e 5 http 0\n",
		"m1 1 e 99999999999999999999 http 0\n", "m1 1 " + strings.Repeat("e", 300) + " 5 http 0\n", "m1 1 \xff 5 http 0\n",
		"f1 n", "f1 n t x", "f1 n t\n", "r1 ", "r1 a b", "w1 ", "w1 a b", "x1", "x1 a b",
	} {
		if env, err := Decode("chat", text); !errors.Is(err, ErrBroken) {
			t.Errorf("%q: %+v %v", text, env, err)
		}
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	for _, seed := range []string{"m1 42 a1b2 17 http 2\n{}x", "m1 0 - 5 raw 0\n", "f1 n t", "r1 n", "x1 e", "m1 1 e 5 http 9223372036854775807\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		env, err := Decode("chat", text)
		if err != nil {
			if !errors.Is(err, ErrBroken) && !errors.Is(err, ErrUnknown) {
				t.Fatalf("unexpected kind of error: %v", err)
			}
			return
		}
		if env.Kind != KindMessage {
			return
		}
		m := env.Message
		if !strings.HasSuffix(text, string(m.Payload)) || m.Time < 0 || m.Logged() == (m.Epoch == "") {
			t.Fatalf("%q decoded to %+v", text, m)
		}
		meta, err := EncodeMeta(m.By, m.Tags, m.Binary)
		if err != nil {
			t.Fatal(err)
		}
		epoch := m.Epoch
		if epoch == "" {
			epoch = "-"
		}
		again := fmt.Sprintf("m1 %d %s %d %s %d\n%s%s", m.Offset, epoch, m.Time, m.Via, len(meta), meta, m.Payload)
		if back, err := Decode("chat", again); err != nil || back.Message.Position != m.Position || string(back.Message.Payload) != string(m.Payload) || back.Message.Binary != m.Binary {
			t.Fatalf("%q written again as %q: %v", text, again, err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add("1700", "http", "{}", "x")
	f.Add("-", "", "{\"by\":{\"conn_info\":\"!\"}}", "")
	f.Fuzz(func(t *testing.T, time, via, meta, payload string) {
		at := message.Position{Epoch: "e", Offset: 1}
		m, err := DecodeEntry("chat", at, []string{"t", time, "v", via, "m", meta, "d", payload})
		if err == nil && (string(m.Payload) != payload || m.Position != at || m.Time < 0) {
			t.Fatalf("decoded to %+v", m)
		}
	})
}

func TestLogEntriesOfOthersAreRefused(t *testing.T) {
	for _, fields := range [][]string{nil, {"t", "1"}, {"d", "x", "t", "1", "v", "", "m", ""}, {"t", "x", "v", "", "m", "", "d", ""}} {
		if m, err := DecodeEntry("chat", message.Position{}, fields); err == nil {
			t.Errorf("%q: %+v", fields, m)
		}
	}
}

func TestDecodeAllocatesLittle(t *testing.T) {
	text := "m1 42 a1b2c3d4 1700000000123 http 0\n" + strings.Repeat("x", 4096)
	// The message and its epoch: the payload is not copied.
	if n := testing.AllocsPerRun(100, func() { Decode("chat", text) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
