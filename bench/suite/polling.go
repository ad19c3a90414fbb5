//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"sync"
	"time"

	"magpie/internal/bench"
)

// pollingFigure is one way to follow a room.
type pollingFigure struct {
	Way       string        `json:"way"`
	Clients   int           `json:"clients"`
	Messages  int           `json:"messages"`
	Requests  int           `json:"requests"` // while the room was followed
	BytesUp   int64         `json:"bytes_up"`
	BytesDown int64         `json:"bytes_down"`
	CPU       float64       `json:"cpu_seconds"`
	Seconds   float64       `json:"seconds"`
	Latency   bench.Latency `json:"latency_us"`
	Lost      int           `json:"lost"`
}

// measurePolling follows one room with 1,000 clients in three ways. Polling
// is answered by a bare net/http server that holds the room in memory: less
// work than any real one has, so the comparison favours it.
func measurePolling(o options, f *figures) error {
	plan := shorten(o, bench.Plan{Connections: 1000, Settle: 2 * time.Second, Rate: 1, Duration: 10 * time.Second, Size: payload, Dialing: 200, Name: "polling"})
	f.Polling = nil
	for _, way := range []func(bench.Plan) (pollingFigure, error){
		func(p bench.Plan) (pollingFigure, error) {
			return poll(p, "HTTP polling, every second", "/messages?after=", time.Second)
		},
		func(p bench.Plan) (pollingFigure, error) { return poll(p, "long polling", "/wait?after=", 0) },
		socket,
	} {
		one, err := way(plan)
		if err != nil {
			return err
		}
		f.Polling = append(f.Polling, one)
		log.Printf("%s: %d requests, %d bytes up, %d down, %.2f s CPU, p50 %d µs, p99 %d µs, lost %d", one.Way, one.Requests, one.BytesUp, one.BytesDown, one.CPU, one.Latency.P50, one.Latency.P99, one.Lost)
	}
	return nil
}

func poll(p bench.Plan, way, path string, every time.Duration) (pollingFigure, error) {
	addr := freeAddr()
	s, err := start("polling", addr, "bin/bench-suite", "-serve-polling", addr)
	if err != nil {
		return pollingFigure{}, err
	}
	defer s.stop()
	p.PID, p.Target = s.pid(), bench.Target{URL: "http://" + addr, Door: "raw"}
	l, err := bench.NewPolling(p, path, every)
	if err != nil {
		return pollingFigure{}, err
	}
	defer l.Close()
	if err := l.Start(); err != nil {
		return pollingFigure{}, err
	}
	l.Settle()
	up, down, requests := l.Reactor().Out, l.Reactor().In, l.Requests
	// In a goroutine of its own: the client must not wait for it.
	publish := func(_ string, payload []byte) error {
		go func() {
			resp, err := http.Post("http://"+addr+"/publish", "application/json", bytes.NewReader(payload))
			if err == nil {
				resp.Body.Close()
			}
		}()
		return nil
	}
	if err := l.Publish(publish); err != nil {
		return pollingFigure{}, err
	}
	return pollingResult(way, l.Result(), l.Requests-requests, l.Reactor().Out-up, l.Reactor().In-down), nil
}

func socket(p bench.Plan) (pollingFigure, error) {
	s, err := magpie()
	if err != nil {
		return pollingFigure{}, err
	}
	defer s.stop()
	p.PID, p.Target = s.pid(), bench.Target{URL: "http://" + s.addr, Door: "raw"}
	l, err := bench.NewLoad(p)
	if err != nil {
		return pollingFigure{}, err
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		return pollingFigure{}, err
	}
	l.Settle()
	up, down := l.Reactor().Out, l.Reactor().In
	if err := l.Publish(nil); err != nil {
		return pollingFigure{}, err
	}
	return pollingResult("WebSocket, Magpie", l.Result(), 0, l.Reactor().Out-up, l.Reactor().In-down), nil
}

func pollingResult(way string, r bench.Result, requests int, up, down int64) pollingFigure {
	return pollingFigure{Way: way, Clients: r.Connections, Messages: r.Sent, Requests: requests, BytesUp: up, BytesDown: down,
		CPU: r.Server.CPUShare * r.PublishSeconds, Seconds: r.PublishSeconds, Latency: r.Latency, Lost: r.Lost}
}

// waitAtMost is how long a long poll is held, below the timeouts of proxies.
const waitAtMost = 25 * time.Second

// followed is a room that is polled.
type followed struct {
	mu       sync.Mutex
	messages [][]byte
	more     chan struct{} // closed when there is one more
}

func servePolling(addr string) error {
	room := &followed{more: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", room.publish)
	mux.HandleFunc("GET /messages", func(w http.ResponseWriter, r *http.Request) {
		messages, _ := room.after(r)
		answerMessages(w, messages)
	})
	mux.HandleFunc("GET /wait", room.wait)
	return http.ListenAndServe(addr, mux)
}

func (f *followed) publish(_ http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages = append(f.messages, payload)
	close(f.more)
	f.more = make(chan struct{})
}

// after returns what came after the number that the request has, and what is
// closed when there is more.
func (f *followed) after(r *http.Request) ([][]byte, <-chan struct{}) {
	n, _ := strconv.Atoi(r.URL.Query().Get("after"))
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(max(n, 0), len(f.messages))
	return f.messages[n:], f.more
}

func (f *followed) wait(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), waitAtMost)
	defer cancel()
	messages, more := f.after(r)
	if len(messages) == 0 {
		select {
		case <-more:
			messages, _ = f.after(r)
		case <-ctx.Done():
		}
	}
	answerMessages(w, messages)
}

func answerMessages(w http.ResponseWriter, messages [][]byte) {
	body := fmt.Appendf(nil, "[%s]", bytes.Join(messages, []byte(",")))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}
