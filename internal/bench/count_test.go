package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A percentile is the value of the nearest rank, or at most 0.1 % or 1 µs more.
// A latency below nothing counts as none, one beyond the longest as that.
func TestPercentilesAreRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(-5, 2*longest.Microseconds()), 1, 200).Draw(t, "values")
		l := &Load{latency: newHistogram()}
		for i, v := range values {
			l.record(time.Duration(v) * time.Microsecond)
			values[i] = min(max(v, 0), longest.Microseconds())
		}
		slices.Sort(values)
		latency := l.Result().Latency
		for q, got := range map[float64]int64{.5: latency.P50, .9: latency.P90, .99: latency.P99, .999: latency.P999, 1: latency.Max} {
			want := values[max(int(q*float64(len(values))+.5), 1)-1]
			if got < want || float64(got) > float64(want)*1.001+1 {
				t.Fatalf("quantile %v of %v: %d, want %d", q, values, got, want)
			}
		}
	})
	if empty := (&Load{latency: newHistogram()}).Result().Latency; empty != (Latency{}) {
		t.Errorf("nothing was delivered, and latency is %+v", empty)
	}
}

// Whatever a server does to the numbers 1..n is told apart: missing ones are
// never fresh, late ones never repeated within the window.
func TestTallyTellsFreshLateAndRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		numbers []uint32
		want    []verdict
	}{
		"in order":       {[]uint32{1, 2, 3}, []verdict{fresh, fresh, fresh}},
		"one lost":       {[]uint32{1, 3}, []verdict{fresh, fresh}},
		"one late":       {[]uint32{1, 3, 2, 4}, []verdict{fresh, fresh, late, fresh}},
		"late and again": {[]uint32{3, 2, 2, 3}, []verdict{fresh, late, repeated, repeated}},
		"twice":          {[]uint32{1, 1}, []verdict{fresh, repeated}},
		"far ahead":      {[]uint32{1, 1000, 999, 1}, []verdict{fresh, fresh, late, repeated}},
		"out of it":      {[]uint32{1, 65, 1, 2}, []verdict{fresh, fresh, repeated, late}},
		"window's edge":  {[]uint32{1, 64, 1, 2}, []verdict{fresh, fresh, repeated, late}},
	} {
		t.Run(name, func(t *testing.T) {
			var y tally
			for i, n := range c.numbers {
				if got := y.take(n); got != c.want[i] {
					t.Errorf("%d of %v is %d, want %d", n, c.numbers, got, c.want[i])
				}
			}
		})
	}
}

func TestPayloadsHaveTheirSizeAndTellTheirStamp(t *testing.T) {
	for _, s := range []stamp{{0, 1, 0}, {59_999, math.MaxUint32, 1e17}, {7, 3, 1234567}} {
		for _, size := range []int{minSize, 128, 5000} {
			p := appendPayload(nil, s, size)
			if len(p) != size {
				t.Errorf("%d bytes, want %d: %s", len(p), size, p)
			}
			got, rest, ok := nextStamp(append([]byte(`{"push":{"pub":{"data":`), p...))
			if !ok || got != s {
				t.Errorf("%+v came back as %+v", s, got)
			}
			if _, _, more := nextStamp(rest); more {
				t.Error("one message is two")
			}
		}
	}
}

// Nobody publishes a message 0: numbers count from 1.
func TestWhatIsNoStampIsPassedOver(t *testing.T) {
	for _, text := range []string{`{"mb":[0,0,1]`, `{"mb":[0,1]`, `{"mb":[60001,1,1]`, `{"mb":[,1,1]`, `{"mb":[-1,1,1]`, `{"mb":[0,4294967296,1]`} {
		if s, _, ok := nextStamp([]byte(text)); ok {
			t.Errorf("%s is %+v", text, s)
		}
		if s, _, ok := nextStamp([]byte(text + `{"mb":[1,2,3]`)); !ok || s != (stamp{1, 2, 3}) {
			t.Errorf("behind %s: %+v", text, s)
		}
	}
}

func FuzzStamp(f *testing.F) {
	f.Add(appendPayload(nil, stamp{1, 2, 3}, minSize))
	f.Add([]byte(`{"mb":[1,2{"mb":[1,2,3]`))
	f.Add([]byte(`{"mb":[99999999999999999999,1,1]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for n := len(data); ; {
			s, rest, ok := nextStamp(data)
			if !ok {
				return
			}
			if len(rest) >= n || s.publisher < 0 || s.publisher > maxConnections || s.number == 0 || s.due < 0 {
				t.Fatalf("%+v of %q", s, data)
			}
			n, data = len(rest), rest
		}
	})
}

// Every message has one publisher, and every connection of a channel counts
// among its receivers.
func TestPlanSpreadsMessagesAndReceivers(t *testing.T) {
	p := Plan{Connections: 1003, Channels: 10, Publishers: 7, Rate: 100, Size: minSize, Target: Target{URL: "http://localhost:1"}}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	sum, sent := 0, make(map[int]int)
	for channel := range p.Channels {
		sum += p.receivers(channel)
	}
	if sum != p.Connections {
		t.Errorf("%d receivers of %d connections", sum, p.Connections)
	}
	for k := range 70 {
		conn, number := p.publisher(k)
		sent[conn]++
		if number >= p.Publishers || conn%p.Channels+number*p.Channels != conn {
			t.Errorf("message %d: connection %d as publisher %d", k, conn, number)
		}
	}
	if len(sent) != 70 {
		t.Errorf("70 messages from %d connections, want one each", len(sent))
	}
}

func TestPlansThatCannotBeMeantAreRefused(t *testing.T) {
	good := Plan{Connections: 10, Rate: 1, Size: 128, Target: Target{URL: "http://localhost:1", Door: "raw"}}
	for name, change := range map[string]func(*Plan){
		"no connections":      func(p *Plan) { p.Connections = 0 },
		"too many":            func(p *Plan) { p.Connections = maxConnections + 1 },
		"channels":            func(p *Plan) { p.Channels = 11 },
		"publishers":          func(p *Plan) { p.Channels, p.Publishers = 5, 3 },
		"to remember":         func(p *Plan) { p.Connections, p.Publishers = 60_000, 60_000 },
		"small":               func(p *Plan) { p.Size = minSize - 1 },
		"large":               func(p *Plan) { p.Size = maxSize + 1 },
		"rate":                func(p *Plan) { p.Rate = -1 },
		"duration":            func(p *Plan) { p.Duration = -1 },
		"name":                func(p *Plan) { p.Name = "not a name" },
		"door":                func(p *Plan) { p.Target.Door = "back" },
		"URL":                 func(p *Plan) { p.Target.URL = "localhost:8080" },
		"token with line end": func(p *Plan) { p.Target.Token = "a\r\nHost: b" },
	} {
		p := good
		change(&p)
		if p.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
