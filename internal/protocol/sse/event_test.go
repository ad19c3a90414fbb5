package sse

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"magpie/internal/fault"
	"magpie/internal/message"
)

// decode reads an event stream as WHATWG HTML section 9.2.6 says, and returns
// the data of its events.
func decode(t *testing.T, stream []byte) (events []string) {
	t.Helper()
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(stream))
	scanner.Buffer(nil, 1<<20)
	scanner.Split(anyLine)
	for scanner.Scan() {
		line := scanner.Text()
		switch field, value, _ := strings.Cut(line, ":"); {
		case line == "":
			if lines != nil {
				events = append(events, strings.Join(lines, "\n"))
			}
			lines = nil
		case field == "data":
			lines = append(lines, strings.TrimPrefix(value, " "))
		}
	}
	return events
}

// anyLine splits at \n, \r\n and \r.
func anyLine(data []byte, atEOF bool) (int, []byte, error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0 && atEOF && len(data) > 0:
		return len(data), data, nil
	case i < 0:
		return 0, nil, nil
	case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	}
	return i + 1, data[:i], nil
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Whatever a payload holds, it comes out as one event, whose lines are the
// payload's.
func FuzzData(f *testing.F) {
	for _, s := range []string{"", "a", "a\nb", "\n", "\r\n\r", ": no comment", "data: x", "id: 1\n\nevent: y", " leading"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		got := decode(t, appendData(nil, []byte(payload)))
		if len(got) != 1 || got[0] != lineEnds.Replace(payload) {
			t.Errorf("%q came out as %q", payload, got)
		}
	})
}

func TestIDsCarryEveryChannel(t *testing.T) {
	c := &conn{}
	at := func(epoch string, offset uint64) message.Position {
		return message.Position{Epoch: epoch, Offset: offset}
	}
	c.subs = []*subscription{
		{conn: c, channel: "chat", at: at("a1", 7)}, {conn: c, channel: "no log"},
		{conn: c, channel: "a&b=c/聊#天\n", at: at("b2", 0)},
	}
	line := string(c.appendID(nil))
	id, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "id: ")
	if !ok || strings.ContainsAny(id, "\r\n") {
		t.Fatalf("line %q", line)
	}
	got, err := parsePositions(id)
	if err != nil || len(got) != 2 || got["chat"] != at("a1", 7) || got["a&b=c/聊#天\n"] != at("b2", 0) {
		t.Errorf("%q is read as %v, %v", id, got, err)
	}
}

// A message without a place of its own leaves the id where it was: the shared
// event, which has none, would take the place to come back to away.
func TestEventsKeepThePlace(t *testing.T) {
	c := &conn{}
	p := &subscription{conn: c, channel: "chat", at: message.Position{Epoch: "a1", Offset: 7}}
	c.subs = []*subscription{p}
	passing := &message.Message{Channel: "chat", Payload: []byte("passing")}
	logged := &message.Message{Channel: "chat", Payload: []byte("logged"), Position: message.Position{Epoch: "a1", Offset: 8}}
	got := string(p.events(&message.Batch{Messages: []*message.Message{passing, logged, passing}}))
	if want := "id: chat=a1.7\ndata: passing\n\nid: chat=a1.8\ndata: logged\n\nid: chat=a1.8\ndata: passing\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBrokenIDs(t *testing.T) {
	for _, bad := range []string{"x", "chat", "chat=", "chat=a.", "chat=a.1&chat=a.2", "chat=a.1;b", "%zz=a.1", strings.Repeat("a", maxID+1)} {
		if got, err := parsePositions(bad); fault.KindOf(err) != fault.BadPosition {
			t.Errorf("%.40q was read as %v (%v)", bad, got, err)
		}
	}
	if got, err := parsePositions(""); err != nil || len(got) != 0 {
		t.Errorf("no id: %v, %v", got, err)
	}
}

func FuzzPositions(f *testing.F) {
	f.Add("chat=a1b2.42&b=c.0")
	f.Fuzz(func(t *testing.T, id string) {
		all, err := parsePositions(id)
		if err != nil {
			return
		}
		c := &conn{}
		for name, at := range all {
			c.subs = append(c.subs, &subscription{conn: c, channel: name, at: at})
		}
		line := strings.TrimSuffix(strings.TrimPrefix(string(c.appendID(nil)), "id: "), "\n")
		again, err := parsePositions(line)
		if err != nil || len(again) != len(all) {
			t.Fatalf("%q was written as %q: %v, %v", id, line, again, err)
		}
		for name, at := range all {
			if again[name] != at {
				t.Errorf("%q: %v became %v", name, at, again[name])
			}
		}
	})
}
