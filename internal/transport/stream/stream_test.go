package stream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/transport/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server whose handler opens a stream, hands it to the test and
// waits as doors do. h2 makes it speak HTTP/2 over TLS.
func serve(t *testing.T, h2 bool) (url string, client *http.Client, conns chan *stream.Conn, ended chan struct{}) {
	t.Helper()
	conns, ended = make(chan *stream.Conn, 1), make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Test", "1")
		c, err := stream.New(w, 500*time.Millisecond)
		if err != nil {
			t.Error(err)
			return
		}
		conns <- c
		c.Wait(r.Context())
		ended <- struct{}{}
	}))
	if h2 {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.Client().CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL, s.Client(), conns, ended
}

func TestFramesArriveAtOnce(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		url, client, conns, ended := serve(t, h2)
		res, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || res.Header.Get("X-Test") != "1" || (res.ProtoMajor == 2) != h2 {
			t.Errorf("%s %s %v", res.Proto, res.Status, res.Header)
		}
		c := <-conns
		body := bufio.NewReader(res.Body)
		for _, want := range []string{"one\n", "two\n"} {
			if n, err := c.TryWrite([]byte(want)); n != 0 || err != nil {
				t.Errorf("TryWrite took %d, %v", n, err)
			}
			if err := c.Write([][]byte{[]byte(want[:1]), []byte(want[1:])}); err != nil {
				t.Fatal(err)
			}
			if got, err := body.ReadString('\n'); got != want || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		}
		c.Close()
		c.Close()
		if rest, err := io.ReadAll(body); len(rest) != 0 || err != nil {
			t.Errorf("an orderly end gives %q, %v", rest, err)
		}
		<-ended
		if err := c.Write([][]byte{[]byte("x")}); !errors.Is(err, stream.ErrClosed) {
			t.Errorf("write after the end: %v", err)
		}
		res.Body.Close()
	}
}

func TestAClientThatGoesEndsTheStream(t *testing.T) {
	url, client, conns, ended := serve(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-conns
	cancel()
	<-ended
}

// A client that takes nothing is given up after the timeout (D8), and a Close
// meanwhile does not wait for it.
func TestAClientThatTakesNothing(t *testing.T) {
	url, _, conns, ended := serve(t, false)
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := nc.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	c := <-conns
	frame := make([]byte, 1<<20)
	for err == nil {
		err = c.Write([][]byte{frame})
	}
	if !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout") {
		t.Errorf("gave up with %v", err)
	}
	c.Close()
	<-ended
}

// The last word comes behind what was written, and the answer ends in order.
func TestFinishSaysALastWord(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		url, client, conns, ended := serve(t, h2)
		res, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		c := <-conns
		if err := c.Write([][]byte{[]byte("one,")}); err != nil {
			t.Fatal(err)
		}
		c.Finish([]byte("last"))
		c.Finish([]byte("not this")) // the first counts
		c.Close()
		if all, err := io.ReadAll(res.Body); string(all) != "one,last" || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		<-ended
	}
}
