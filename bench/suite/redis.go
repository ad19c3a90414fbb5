//go:build linux

package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"magpie/internal/bench"
)

// redisFigures is what was measured with nodes on one redis-server.
type redisFigures struct {
	Nodes   []nodeFigure    `json:"nodes"`
	Rates   []publishFigure `json:"publish_to_browser"`
	Doors   []publishFigure `json:"door_to_door"`
	Carried []carriedFigure `json:"carried"`
	Idle    []idleFigure    `json:"idle"`
	Cluster *clusterFigures `json:"cluster,omitempty"`
}

// nodeFigure is one of two nodes with half of the receivers.
type nodeFigure struct {
	Node          int     `json:"node"`
	DeliveryCPUUs float64 `json:"delivery_cpu_us"`
}

// publishFigure is a rate of messages through Redis.
type publishFigure struct {
	Way        string        `json:"way"` // PUBLISH, FCALL, or a server's name
	Receivers  int           `json:"receivers"`
	Rate       float64       `json:"rate"`
	CPUUs      float64       `json:"cpu_us"` // of all nodes, for each delivery
	RedisCores float64       `json:"redis_cores"`
	Latency    bench.Latency `json:"latency_us"`
	Lost       int           `json:"lost"`
	Repeated   int           `json:"repeated"`
	Reordered  int           `json:"reordered"`
}

func measureRedis(o options, f *figures) error {
	f.Redis = new(redisFigures)
	for _, part := range []func(options, *redisFigures) error{measureNodes, measureDoors, measureCarried, measureIdle, measureCluster} {
		if err := part(o, f.Redis); err != nil {
			return err
		}
	}
	return nil
}

// redisServer starts a redis-server that writes nothing to disk.
func redisServer() (*server, error) {
	dir, err := os.MkdirTemp("", "magpie-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // nothing is ever written there
	addr := freeAddr()
	_, port, _ := net.SplitHostPort(addr)
	return start("redis-server", addr, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no")
}

// twoNodes starts a redis-server and two nodes on it.
func twoNodes() (redis *server, nodes []*server, stop func(), err error) {
	var all []*server
	stop = func() {
		for i := len(all) - 1; i >= 0; i-- {
			all[i].stop()
		}
	}
	if redis, err = redisServer(); err != nil {
		return nil, nil, stop, err
	}
	all = append(all, redis)
	for range 2 {
		node, err := magpie("--redis", "redis://"+redis.addr)
		if err != nil {
			stop()
			return nil, nil, stop, err
		}
		all, nodes = append(all, node), append(nodes, node)
	}
	return redis, nodes, stop, nil
}

// publisher writes commands to Redis and wants no answers, so that a rate
// stays a rate.
type publisher struct {
	conn    net.Conn
	command []string // before channel and payload
}

func newPublisher(addr string, command ...string) (*publisher, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &publisher{conn, command}
	return p, p.write("CLIENT", "REPLY", "OFF")
}

func (p *publisher) send(channel string, payload []byte) error {
	return p.write(append(p.command[:len(p.command):len(p.command)], channel, string(payload))...)
}

func (p *publisher) write(words ...string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	_, err := p.conn.Write(b.Bytes())
	return err
}

// measureNodes publishes in Redis and receives on two nodes: what a delivery
// costs on each, and how long it takes at several rates.
func measureNodes(o options, f *redisFigures) error {
	redis, nodes, stop, err := twoNodes()
	if err != nil {
		return err
	}
	defer stop()
	wide := bench.Plan{Connections: 1000, Settle: 2 * time.Second, Rate: 20, Duration: 5 * time.Second, Name: "wide"}
	figure, err := throughRedis(o, redis, nodes, wide, "PUBLISH")
	if err != nil {
		return err
	}
	f.Rates = append(f.Rates, figure.publishFigure)
	for i, spent := range figure.spent {
		cost := float64(spent.Microseconds()) / (float64(figure.received) / float64(len(nodes)))
		f.Nodes = append(f.Nodes, nodeFigure{i + 1, cost})
		log.Printf("node %d: %.1f µs a delivery", i+1, cost)
	}
	for _, way := range []string{"PUBLISH", "FCALL magpie_publish 1"} {
		for _, rate := range []float64{100, 1000, 5000} {
			name := strings.ToLower(way[:4]) + strconv.Itoa(int(rate))
			p := bench.Plan{Connections: 20, Settle: time.Second, Rate: rate, Duration: 4 * time.Second, Name: name}
			figure, err := throughRedis(o, redis, nodes, p, strings.Fields(way)...)
			if err != nil {
				return err
			}
			f.Rates = append(f.Rates, figure.publishFigure)
		}
	}
	return nil
}

type throughFigure struct {
	publishFigure
	spent    []time.Duration // of each node
	received int
}

// throughRedis runs a plan whose messages enter by a command in Redis and
// leave by all nodes.
func throughRedis(o options, redis *server, nodes []*server, p bench.Plan, command ...string) (throughFigure, error) {
	var f throughFigure
	pub, err := newPublisher(redis.addr, command...)
	if err != nil {
		return f, err
	}
	defer pub.conn.Close()
	p.Size, p.Dialing = payload, 500
	p.Target = bench.Target{URL: "http://" + nodes[0].addr, Door: "raw"}
	var others []string
	for _, n := range nodes[1:] {
		others = append(others, n.addr)
	}
	l, err := bench.NewLoad(shorten(o, p), others...)
	if err != nil {
		return f, err
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		return f, err
	}
	l.Settle()
	before, redisBefore := usages(append(nodes[:len(nodes):len(nodes)], redis))
	if err := l.Publish(pub.send); err != nil {
		return f, err
	}
	after, redisAfter := usages(append(nodes[:len(nodes):len(nodes)], redis))
	r := l.Result()
	f.publishFigure = publishFigure{
		Way: command[0], Receivers: r.Connections, Rate: r.Rate, Latency: r.Latency, Lost: r.Lost, Repeated: r.Repeated, Reordered: r.Reordered,
		RedisCores: (redisAfter - redisBefore).Seconds() / r.PublishSeconds,
	}
	f.received = r.Received
	var all time.Duration
	for i := range nodes {
		f.spent = append(f.spent, after[i]-before[i])
		all += after[i] - before[i]
	}
	if r.Received > 0 {
		f.CPUUs = float64(all.Microseconds()) / float64(r.Received)
	}
	log.Printf("%s %.0f/s to %d receivers on %d nodes: %.1f µs a delivery, p50 %d µs, p99 %d µs, lost %d, repeated %d", f.Way, f.Rate, f.Receivers, len(nodes), f.CPUUs, r.Latency.P50, r.Latency.P99, r.Lost, r.Repeated)
	return f, nil
}

// usages reads the CPU time of all servers, and that of the last.
func usages(servers []*server) (all []time.Duration, last time.Duration) {
	for _, s := range servers {
		u, _ := bench.UsageOf(s.pid())
		all, last = append(all, u.CPU), u.CPU
	}
	return all, last
}

// measureDoors compares Magpie with the peer where both go through Redis with
// a log: published by one client, received by 200.
func measureDoors(o options, f *redisFigures) error {
	for _, t := range []struct {
		name, door string
		start      func(redis string) (*server, error)
	}{
		{"peer, tuned", "centrifuge", func(redis string) (*server, error) { return peer("-tuned", "-history", "1000", "-redis", redis) }},
		{"Magpie, raw", "raw", func(redis string) (*server, error) { return magpie("--redis", "redis://"+redis) }},
		{"Magpie, Centrifuge", "centrifuge", func(redis string) (*server, error) { return magpie("--redis", "redis://"+redis) }},
	} {
		redis, err := redisServer()
		if err != nil {
			return err
		}
		figure, err := runQuietly(o, target{t.name, t.door, func() (*server, error) { return t.start(redis.addr) }, true},
			bench.Plan{Connections: 200, Settle: 2 * time.Second, Rate: 200, Duration: 5 * time.Second})
		redis.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		r := figure.Result
		f.Doors = append(f.Doors, publishFigure{Way: t.name, Receivers: r.Connections, Rate: r.Rate, CPUUs: r.Server.DeliveryCPUUs, Latency: r.Latency, Lost: r.Lost, Repeated: r.Repeated, Reordered: r.Reordered})
		log.Printf("through Redis with a log, %s: %.1f µs a delivery, p50 %d µs, p99 %d µs", t.name, r.Server.DeliveryCPUUs, r.Latency.P50, r.Latency.P99)
	}
	return nil
}
