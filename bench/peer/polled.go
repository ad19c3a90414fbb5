package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// longestPoll is how long a long poll is held, below the timeouts of proxies.
const longestPoll = 25 * time.Second

// polled is a channel in memory that is followed by polling: POST
// /publish/{channel}, GET /messages?after=N and, held until there is one more,
// GET /wait?after=N. An answer is a JSON array of messages, and a line end.
type polled struct {
	mu       sync.Mutex
	messages [][]byte
	more     chan struct{} // closed when there is one more
}

func servePolled(addr string) error {
	p := &polled{more: make(chan struct{})}
	http.HandleFunc("POST /publish/{channel}", p.publish)
	http.HandleFunc("GET /messages", func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, 0) })
	http.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, longestPoll) })
	return http.ListenAndServe(addr, nil)
}

func (p *polled) publish(_ http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, payload)
	close(p.more)
	p.more = make(chan struct{})
}

// answer tells what came after the number that the request has, and waits at
// most for so long until there is something.
func (p *polled) answer(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	messages, more := p.after(after)
	if len(messages) == 0 {
		select {
		case <-more:
			messages, _ = p.after(after)
		case <-time.After(wait):
		case <-r.Context().Done():
		}
	}
	body := fmt.Appendf(nil, "[%s]\n", bytes.Join(messages, []byte(",")))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (p *polled) after(n int) (messages [][]byte, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.messages[min(max(n, 0), len(p.messages)):], p.more
}
