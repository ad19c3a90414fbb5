//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/bench"
)

// carriedFigure is how many publications a second one redis-server carried.
type carriedFigure struct {
	Log       bool    `json:"log"`
	Benchmark float64 `json:"redis_benchmark"` // calls a second of the script
	Magpie    float64 `json:"magpie"`          // publications a second through a node
	// What a publication takes of Redis's one core; the reciprocal is what it
	// carries when the nodes have cores of their own.
	BenchmarkCPUUs float64 `json:"redis_benchmark_redis_cpu_us"`
	MagpieCPUUs    float64 `json:"magpie_redis_cpu_us"`
	NodeCPUUs      float64 `json:"node_cpu_us"`
}

// idleFigure is what goes between a node and Redis while nobody publishes.
type idleFigure struct {
	Subscriptions int     `json:"subscriptions"`
	Channels      int     `json:"channels"`
	Commands      float64 `json:"commands_per_second"`
	In            float64 `json:"to_redis_bytes_per_second"`
	Out           float64 `json:"from_redis_bytes_per_second"`
	RedisCores    float64 `json:"redis_cores"`
	NodeCores     float64 `json:"node_cores"`
}

const (
	// carriedChannels are the channels of both drivers.
	carriedChannels = 1000
	// carriedCallers keep enough on the way that Redis never waits.
	carriedCallers = 4
)

// measureCarried drives the publish script by redis-benchmark, and then
// through a node: broadcasts over the server API, which is how a server that
// has much to publish would do it.
func measureCarried(o options, f *redisFigures) error {
	for _, withLog := range []bool{true, false} {
		one, err := carry(o, withLog)
		if err != nil {
			return err
		}
		f.Carried = append(f.Carried, one)
		log.Printf("publications a second, log %t: redis-benchmark %.0f (%.1f µs of Redis), Magpie %.0f (%.1f µs of Redis, %.1f µs of the node)",
			withLog, one.Benchmark, one.BenchmarkCPUUs, one.Magpie, one.MagpieCPUUs, one.NodeCPUUs)
	}
	return nil
}

func carry(o options, withLog bool) (carriedFigure, error) {
	f := carriedFigure{Log: withLog}
	redis, err := redisServer()
	if err != nil {
		return f, err
	}
	defer redis.stop()
	node, err := magpie("--redis", "redis://"+redis.addr, "--rules", `[{match: "off:*", log: off}]`)
	if err != nil {
		return f, err
	}
	defer node.stop()
	name := "on:"
	if !withLog {
		name = "off:"
	}
	calls := 100_000
	if o.short {
		calls = 10_000
	}
	// In turn, so that a slow minute hits both; the medians of three.
	var turns [3]carriedFigure
	for i := range turns {
		if err := turns[i].take(redis, node, name, calls); err != nil {
			return f, err
		}
	}
	median := func(of func(carriedFigure) float64) float64 {
		return slices.Sorted(func(yield func(float64) bool) {
			for _, t := range turns {
				yield(of(t))
			}
		})[1]
	}
	f.Benchmark = median(func(t carriedFigure) float64 { return t.Benchmark })
	f.Magpie = median(func(t carriedFigure) float64 { return t.Magpie })
	f.BenchmarkCPUUs = median(func(t carriedFigure) float64 { return t.BenchmarkCPUUs })
	f.MagpieCPUUs = median(func(t carriedFigure) float64 { return t.MagpieCPUUs })
	f.NodeCPUUs = median(func(t carriedFigure) float64 { return t.NodeCPUUs })
	return f, nil
}

// take measures one turn of each driver.
func (f *carriedFigure) take(redis, node *server, name string, calls int) (err error) {
	both := []*server{node, redis}
	before, _ := usages(both)
	if f.Benchmark, err = redisBenchmark(redis.addr, name, calls); err != nil {
		return err
	}
	between, _ := usages(both)
	n, took, err := broadcast(node.addr, name, calls)
	if err != nil {
		return err
	}
	after, _ := usages(both)
	f.Magpie = float64(n) / took.Seconds()
	f.BenchmarkCPUUs = float64((between[1] - before[1]).Microseconds()) / float64(calls)
	f.MagpieCPUUs = float64((after[1] - between[1]).Microseconds()) / float64(n)
	f.NodeCPUUs = float64((after[0] - between[0]).Microseconds()) / float64(n)
	return nil
}

// redisBenchmark calls the function that holds the publish script, on the
// channels and with the payload of broadcast.
func redisBenchmark(addr, name string, calls int) (perSecond float64, err error) {
	_, port, _ := net.SplitHostPort(addr)
	out, err := exec.Command("redis-benchmark", "-p", port, "-c", "50", "-P", "16", "-n", strconv.Itoa(calls), "-r", strconv.Itoa(carriedChannels), "--csv",
		"FCALL", "magpie_publish", "1", name+"__rand_int__", filler()).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], `","`)
	if len(fields) < 2 || strings.Contains(string(out), "ERR") {
		return 0, fmt.Errorf("redis-benchmark said: %s", out)
	}
	return strconv.ParseFloat(fields[1], 64)
}

func filler() string { return `{"p":"` + strings.Repeat("x", payload-8) + `"}` }

func broadcast(addr, name string, calls int) (n int64, took time.Duration, err error) {
	var channels []string
	for i := range carriedChannels {
		channels = append(channels, fmt.Sprintf("%s%012d", name, i)) // as redis-benchmark writes them
	}
	body, err := json.Marshal(map[string]any{"channels": channels, "data": json.RawMessage(filler())})
	if err != nil {
		return 0, 0, err
	}
	var (
		left    atomic.Int64
		callers sync.WaitGroup
		once    sync.Once
		failed  error
	)
	left.Store(int64(calls / carriedChannels))
	began := time.Now()
	for range carriedCallers {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				if err := call(addr, body); err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	callers.Wait()
	return int64(calls / carriedChannels * carriedChannels), time.Since(began), failed
}

func call(addr string, body []byte) error {
	resp, err := http.Post("http://"+addr+"/api/broadcast", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"error"`))) {
		err = fmt.Errorf("broadcast: %s: %.200s", resp.Status, answer)
	}
	return err
}

// measureIdle holds ten thousand subscriptions that could all be resumed, and
// asks Redis what the node said meanwhile.
func measureIdle(o options, f *redisFigures) error {
	for _, channels := range []int{1, 10_000} {
		redis, err := redisServer()
		if err != nil {
			return err
		}
		one, err := idle(o, redis, "redis://"+redis.addr, channels)
		redis.stop()
		if err != nil {
			return err
		}
		f.Idle = append(f.Idle, one)
		log.Printf("%d idle subscriptions in %d channels: %.1f commands/s, %.0f B/s to Redis, %.0f B/s back, Redis %.3f cores, node %.3f cores",
			one.Subscriptions, one.Channels, one.Commands, one.In, one.Out, one.RedisCores, one.NodeCores)
	}
	return nil
}

// idle asks one redis-server of those at the URL.
func idle(o options, redis *server, url string, channels int) (idleFigure, error) {
	node, err := magpie("--redis", url)
	if err != nil {
		return idleFigure{}, err
	}
	defer node.stop()
	p := bench.Plan{Connections: 10_000, Channels: channels, Dialing: 500, Size: payload, Name: "idle", Settle: 4 * time.Second,
		Target: bench.Target{URL: "http://" + node.addr, Door: "raw"}}
	rest := 15 * time.Second
	if o.short {
		p.Connections, p.Channels, p.Settle, rest = 1000, min(channels, 1000), time.Second, 2*time.Second
	}
	l, err := bench.NewLoad(p)
	if err != nil {
		return idleFigure{}, err
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		return idleFigure{}, err
	}
	l.Settle()
	before, err := traffic(redis.addr)
	if err != nil {
		return idleFigure{}, err
	}
	cpu, _ := usages([]*server{redis, node})
	l.Reactor().For(rest)
	after, err := traffic(redis.addr)
	if err != nil {
		return idleFigure{}, err
	}
	spent, _ := usages([]*server{redis, node})
	s := rest.Seconds()
	return idleFigure{Subscriptions: p.Connections, Channels: p.Channels,
		Commands: float64(after[0]-before[0]-1) / s, In: float64(after[1]-before[1]) / s, Out: float64(after[2]-before[2]) / s,
		RedisCores: (spent[0] - cpu[0]).Seconds() / s, NodeCores: (spent[1] - cpu[1]).Seconds() / s}, nil
}

// traffic asks Redis for its counters: commands, bytes in, bytes out. The
// question itself is among them.
func traffic(addr string) (n [3]int64, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return n, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "INFO stats\r\nQUIT\r\n"); err != nil {
		return n, err
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		for i, field := range []string{"total_commands_processed:", "total_net_input_bytes:", "total_net_output_bytes:"} {
			if text, ok := strings.CutPrefix(lines.Text(), field); ok {
				if n[i], err = strconv.ParseInt(text, 10, 64); err != nil {
					return n, err
				}
			}
		}
	}
	return n, nil
}
