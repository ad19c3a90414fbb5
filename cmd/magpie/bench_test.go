package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"magpie/internal/bench"
)

// Every door carries a small load without loss, repeat or reorder (D1), and
// the command says so to people and to programs.
func TestBenchThroughEveryDoor(t *testing.T) {
	_, url := serve(t)
	for _, door := range bench.Doors {
		t.Run(door, func(t *testing.T) {
			r := magpie(t, nil, "bench", "--url", url, "--door", door, "-n", "20", "--channels", "4", "--publishers", "2",
				"--rate", "100", "--duration", "500ms", "--settle", "50ms", "--pid", strconv.Itoa(os.Getpid()), "--json")
			if r.code != exitOK {
				t.Fatalf("%+v", r)
			}
			var got bench.Result
			if err := json.Unmarshal([]byte(r.out), &got); err != nil {
				t.Fatalf("%v: %s", err, r.out)
			}
			if got.Door != door || got.Joined != 20 || got.Sent != 50 || got.Received != 250 || got.Expected != 250 || got.Lost+got.Repeated+got.Reordered+got.Refused != 0 {
				t.Errorf("%+v", got)
			}
			if got.Latency.P50 <= 0 || got.Latency.Max < got.Latency.P99 {
				t.Errorf("%+v", got.Latency)
			}
		})
	}
	r := magpie(t, nil, "bench", "--url", url, "-n", "3", "--duration", "100ms", "--settle", "0s")
	if r.code != exitOK || !strings.Contains(r.out, "0 lost, 0 repeated, 0 reordered") || !strings.Contains(r.out, "p99") {
		t.Errorf("%+v", r)
	}
}

// With a rate of nothing connections are held, and nothing is published.
func TestBenchHoldsConnections(t *testing.T) {
	_, url := serve(t)
	r := magpie(t, nil, "bench", "--url", url, "-n", "10", "--rate", "0", "--duration", "100ms", "--settle", "0s")
	if r.code != exitOK || !strings.Contains(r.out, "10 in ") || !strings.Contains(r.out, "0 sent") {
		t.Errorf("%+v", r)
	}
}

// A server that hangs up is a failure of the run, with its reason.
func TestBenchFailsWhenConnectionsEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			conn.Close(4001, "too slow")
		}
	}))
	defer server.Close()
	r := magpie(t, nil, "bench", "--url", server.URL, "-n", "3", "--rate", "0", "--duration", "300ms", "--settle", "0s")
	if r.code != exitFailed || !strings.Contains(r.out, "3 failed or ended") || !strings.Contains(r.out, "4001 too slow") {
		t.Errorf("%+v", r)
	}
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--door back", exitUsage, "choose raw, centrifuge, sse"},
		{"-n 5 --channels 6", exitUsage, "6 channels"},
		{"--size 10", exitUsage, "bytes"},
		{"--rate NaN", exitUsage, "rate"},
		{"--url http://127.0.0.1:1 -n 2", exitFailed, "nothing listens at http://127.0.0.1:1"},
	} {
		r := magpie(t, nil, append([]string{"bench"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.errOut, c.want) {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
}

// What a run says while it goes: where it is, and rates since the last line.
func TestBenchTellsHowItGoes(t *testing.T) {
	plan := bench.Plan{Connections: 100, PID: 1}
	last := bench.Progress{Elapsed: time.Second, Counts: bench.Counts{Received: 100}, Usage: bench.Usage{CPU: time.Second}}
	now := bench.Progress{Phase: "publishing", Elapsed: 3 * time.Second, Counts: bench.Counts{Joined: 99, Disconnected: 1, Sent: 30, Received: 2100},
		P50: 1500 * time.Microsecond, P99: 2 * time.Second, Usage: bench.Usage{CPU: 2 * time.Second, RSS: 3 << 20}}
	line := benchLine(now, last, plan)
	for _, want := range []string{"publishing", "99/100", "1 gone", "received 2100 (1000/s)", "p50 1.5ms p99 2s", "50% CPU", "3.0 MB"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q has no %q", line, want)
		}
	}
}
