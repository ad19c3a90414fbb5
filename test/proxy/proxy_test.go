package proxy

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// The origin of a page that a proxy serves, and that of one somewhere else.
const own, other = "http://chat.example.com:8000", "https://app.example"

// settings of all nodes here. No ping comes in time to push on what a proxy
// holds back.
var settings = []string{"--open", "--allowed-origins", other, "--ping-interval", "10m"}

// What people do works behind every proxy that docs/operations.md shows, and
// while Redis is away Magpie's own answer comes through.
func TestBehindEachProxy(t *testing.T) {
	r := redistest.Start(t)
	n := kit.Start(t, append([]string{"--redis", r.URL}, settings...)...)
	fronts := map[string]front{}
	for _, k := range kinds {
		fronts[k.name] = start(t, k, n.Addr, false)
	}
	for name, f := range fronts {
		for what, try := range map[string]func(*testing.T, kit.Doors, string){
			"page": page, "publish": publish, "preflight": preflight, "long": long,
			"raw": raw, "sse": sse, "return": comeBack, "centrifuge": socket, "streams": streams,
		} {
			t.Run(name+"/"+what, func(t *testing.T) { try(t, kit.At(t, f.addr), name) })
		}
	}
	r.Kill()
	kit.Eventually(t, "HAProxy finds that the node is not ready", func() bool {
		return strings.Contains(fronts["haproxy"].Output(), "Server magpie/node1 is DOWN")
	})
	for name, f := range fronts {
		t.Run(name+"/unavailable", func(t *testing.T) {
			t.Parallel()
			unavailable(t, kit.At(t, f.addr))
		})
	}
}

// Behind each proxy the address is that of whoever speaks to it, whatever they
// make up.
func TestProxiesTellWhoComes(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			n := kit.Start(t, "--open", "--trusted-proxies", "127.0.0.1", "--max-guesses", "1", "--api-key", strings.Repeat("k", 32))
			f := start(t, k, n.Addr, false)
			client := &http.Client{Transport: &http.Transport{
				DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext, DisableKeepAlives: true,
			}}
			kit.Eventually(t, "the limit is reached", func() bool {
				r, err := http.NewRequest("POST", "http://"+f.addr+"/api/info", strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-API-Key", strings.Repeat("x", 32))
				r.Header.Set("X-Forwarded-For", "203.0.113.7")
				status, _ := kit.Read(client.Do(r))
				return status == http.StatusTooManyRequests
			})
			kit.Eventually(t, "the log names who it is", func() bool { return strings.Contains(n.Output(), `"address":"`) })
			if log := n.Output(); !strings.Contains(log, `"address":"127.0.0.2"`) {
				t.Errorf("somebody else: %s", log)
			}
		})
	}
}

// One that passes connections through says in a PROXY header who comes, over plain
// HTTP and TLS.
func TestPassedThrough(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			t.Parallel()
			args := []string{"--open", "--trusted-proxies", "127.0.0.1", "--proxy-protocol", "--max-guesses", "1", "--api-key", strings.Repeat("k", 32)}
			scheme := "http"
			if secure {
				args = append(args, kit.Certificate(t)...)
				scheme = "https"
			}
			n := kit.Launch(t, args...)
			addr := kit.FreeAddr(t)
			text := "defaults\n    timeout connect 5s\n    timeout client 75s\n    timeout server 75s\n" +
				replace(t, shown(t, "haproxy-tcp"), "bind :443\n", "bind "+addr+"\n", "127.0.0.1:8080", n.Addr)
			kit.Run(t, exec.Command(program(t, "haproxy"), "-db", "-f", file(t, t.TempDir(), "haproxy.cfg", text)))
			client := &http.Client{Transport: &http.Transport{
				DialContext:     (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext,
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
			}}
			kit.Eventually(t, "the log names who it is", func() bool {
				r, err := http.NewRequest("POST", scheme+"://"+addr+"/api/info", strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-API-Key", strings.Repeat("x", 32))
				if res, err := client.Do(r); err == nil {
					res.Body.Close()
				}
				return strings.Contains(n.Output(), `"address":"`)
			})
			if log := n.Output(); !strings.Contains(log, `"address":"127.0.0.2"`) {
				t.Errorf("somebody else: %s", log)
			}
			// A stranger's header counts for nothing, and a proxy's connection without one ends.
			if res, err := http.Get(scheme + "://" + n.Addr + "/livez"); err == nil {
				res.Body.Close()
				t.Errorf("a connection of the proxy's without a header: %s", res.Status)
			}
		})
	}
}

// A proxy that compresses holds no stream back.
func TestBehindProxiesThatCompress(t *testing.T) {
	n := kit.Start(t, settings...)
	n.Publish("large", strings.Repeat("x", 4000))
	for _, k := range append(kinds, kind{"node", compression}) {
		t.Run(k.name, func(t *testing.T) {
			p := kit.At(t, start(t, k, n.Addr, true).addr)
			res := p.Ask("GET", "/history/large", "", "Accept-Encoding: gzip")
			res.Body.Close()
			if got := res.Header.Get("Content-Encoding"); got != "gzip" {
				t.Fatalf("the proxy does not compress: %q", got)
			}
			sse(t, p, k.name)
			streams(t, p, k.name)
		})
	}
}

// page does what the chat page does when somebody opens it.
func page(t *testing.T, p kit.Doors, _ string) {
	from := []string{"Host: " + strings.TrimPrefix(own, "http://"), "Origin: " + own}
	status, body := p.Get("/", from[0])
	script := regexp.MustCompile(`src="(/[^"]+\.js)"`).FindStringSubmatch(body)
	if status != http.StatusOK || script == nil && !strings.Contains(body, "make build") {
		t.Fatalf("GET /: %d %.300s", status, body)
	}
	if script != nil {
		if status, body := p.Get(script[1], from...); status != http.StatusOK {
			t.Errorf("GET %s: %d %.300s", script[1], status, body)
		}
	}
	if status, body := p.Post("/guest", "{}", append(from, "Content-Type: application/json")...); status != http.StatusOK {
		t.Errorf("a guest of the page: %d %s", status, body)
	}
	for origin, want := range map[string]int{own: 101, other: 101, "https://evil.example": 403, "http://chat.example.com": 403} {
		for _, path := range []string{"/websocket", "/connection/websocket"} {
			res := p.Ask("GET", path, "", append([]string{from[0], "Origin: " + origin}, kit.Upgrade...)...)
			if res.Body.Close(); res.StatusCode != want {
				t.Errorf("%s from %s: %d, want %d", path, origin, res.StatusCode, want)
			}
		}
	}
}

// publish sends bodies that a proxy may change, and looks for them in the log.
func publish(t *testing.T, p kit.Doors, name string) {
	for i, path := range []string{"/publish/%s-post", "//publish/%s-post", "/publish/%s-a%%2F%%2Fb%%3B"} {
		path = fmt.Sprintf(path, name)
		payload := strings.Repeat("\r\n\t%0A\\u00e9é", 3000+i)
		status, body := p.Post(path, payload, "Content-Type: application/x-www-form-urlencoded")
		if status != http.StatusOK || !strings.Contains(body, `"offset"`) {
			t.Errorf("POST %s: %d %s", path, status, body)
		}
		status, body = p.Get("/history/" + strings.SplitAfter(path, "publish/")[1] + "?limit=1&reverse=true")
		var log struct{ Messages []struct{ Data string } }
		if err := json.Unmarshal([]byte(body), &log); err != nil || len(log.Messages) != 1 || log.Messages[0].Data != payload {
			t.Errorf("the log of %s: %d %.300s", path, status, body)
		}
	}
}

func preflight(t *testing.T, p kit.Doors, _ string) {
	res := p.Ask("OPTIONS", "/publish/chat", "", "Origin: "+other, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,traceparent")
	res.Body.Close()
	for name, want := range map[string]string{"Origin": other, "Headers": "authorization,traceparent", "Methods": "OPTIONS, POST", "Credentials": "true"} {
		if got := res.Header.Get("Access-Control-Allow-" + name); got != want || res.StatusCode != http.StatusNoContent {
			t.Errorf("%d, Access-Control-Allow-%s: %q, want %q", res.StatusCode, name, got, want)
		}
	}
}

// long sends heads as long as tokens and positions can make them.
func long(t *testing.T, p kit.Doors, _ string) {
	text := strings.Repeat("x", 12<<10)
	if status, body := p.Get("/history/chat?_token=" + text); status != http.StatusOK {
		t.Errorf("a long URL: %d %.200s", status, body)
	}
	if status, body := p.Get("/history/chat", "Last-Event-ID: "+text); status != http.StatusOK {
		t.Errorf("a long header field: %d %.200s", status, body)
	}
}

func raw(t *testing.T, p kit.Doors, name string) {
	s := p.Dial("channel=" + name + "-raw")
	s.Send("hello")
	if got := s.Wait(1)[0]; got != "hello" {
		t.Errorf("got %q", got)
	}
	s.Close()
}

// sse gets each event at once while the stream goes on (some proxies wait 200 ms
// for more to send with it), and after a return what came meanwhile.
func sse(t *testing.T, p kit.Doors, name string) {
	channel := name + "-sse"
	s := p.Events("channel="+channel, "")
	var took []time.Duration
	for i := range 9 {
		began := time.Now()
		p.Publish(channel, strconv.Itoa(i))
		if got := s.Wait(i + 1)[i].Data; got != strconv.Itoa(i) {
			t.Errorf("got %q", got)
		}
		took = append(took, time.Since(began))
	}
	// Most, as one or two go at once in any case; not all, as this machine may be busy.
	if slices.Sort(took); took[3] > 150*time.Millisecond {
		t.Errorf("events took %s", took)
	}
	s.Close()
	p.Publish(channel, "missed")
	again := p.Events("channel="+channel, s.LastID())
	p.Publish(channel, "live")
	if got := again.Wait(2); got[0].Data != "missed" || got[1].Data != "live" {
		t.Errorf("after the return: %v", got)
	}
	again.Close()
}

// comeBack returns to as many channels as one stream may have, with the long
// header field that this takes.
func comeBack(t *testing.T, p kit.Doors, name string) {
	var query []string
	for i := range 128 {
		query = append(query, fmt.Sprintf("channel=%s%0*d", name, 23-len(name), i))
	}
	s := p.Events(strings.Join(query, "&"), "")
	p.Publish(query[127][len("channel="):], "first")
	s.Wait(1)
	s.Close()
	p.Publish(query[0][len("channel="):], "missed")
	again := p.Events(strings.Join(query, "&"), s.LastID())
	if got := again.Wait(1)[0].Data; got != "missed" {
		t.Errorf("got %q", got)
	}
	again.Close()
}

func socket(t *testing.T, p kit.Doors, name string) {
	s := p.Centrifuge("")
	s.Send(`{"id":2,"subscribe":{"channel":"` + name + `-socket"}}`)
	s.Wait(2)
	p.Publish(name+"-socket", `"hello"`)
	s.WaitFor(`"pub"`, `"hello"`)
	s.Close()
}

// streams are the ways of the Centrifuge protocol where no WebSocket passes.
func streams(t *testing.T, p kit.Doors, name string) {
	const connect = `{"id":1,"connect":{}}`
	for way, res := range map[string]*http.Response{
		"http_stream": p.Ask("POST", "/connection/http_stream", connect, "Content-Type: application/json"),
		"sse":         p.Ask("GET", "/connection/sse?cf_connect="+url.QueryEscape(connect), ""),
	} {
		lines := bufio.NewScanner(res.Body)
		next := func(word string) string {
			t.Helper()
			for lines.Scan() {
				if strings.Contains(lines.Text(), word) {
					return strings.TrimPrefix(lines.Text(), "data: ")
				}
			}
			t.Fatalf("%s ended before a line with %s: %v", way, word, lines.Err())
			return ""
		}
		var reply struct {
			Connect struct{ Session, Node string }
		}
		if err := json.Unmarshal([]byte(next("connect")), &reply); err != nil {
			t.Fatal(err)
		}
		channel := name + "-" + way
		command := strconv.Quote(`{"id":2,"subscribe":{"channel":"` + channel + `"}}`)
		status, body := p.Post("/emulation", fmt.Sprintf(`{"session":%q,"node":%q,"data":%s}`, reply.Connect.Session, reply.Connect.Node, command))
		if status != http.StatusNoContent {
			t.Fatalf("%s: the emulation answers %d %s", way, status, body)
		}
		next("subscribe")
		p.Publish(channel, `"hello"`)
		next(`"hello"`)
		res.Body.Close()
	}
}

// unavailable: publishers get Magpie's own sentence, and an EventSource a
// stream that lets it come back.
func unavailable(t *testing.T, p kit.Doors) {
	res := p.Ask("POST", "/publish/chat", "x")
	if status, body := kit.Read(res, nil); status != 503 || !strings.Contains(body, `"error"`) || res.Header.Get("Retry-After") == "" {
		t.Errorf("POST /publish: %d %s", status, body)
	}
	if status, body := p.Get("/sse?channel=new", "Accept: text/event-stream"); status != 200 || !strings.Contains(body, "event: unavailable") {
		t.Errorf("GET /sse: %d %s", status, body)
	}
	if status, body := p.Get("/readyz"); status != 503 || strings.Contains(body, "<html>") {
		t.Errorf("GET /readyz: %d %s", status, body)
	}
}
