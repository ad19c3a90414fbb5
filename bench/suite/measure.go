//go:build linux

package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"magpie/internal/bench"
)

// On a machine that does other things, too, latency tells of them. A load
// that others took more than tooMuch of the machine from is run again, and
// the quieter run counts; spare bounds how often in all, so that a machine
// that never is quiet gets an end.
const tooMuch = 0.1

var spare = 12

// measure runs the loads of a part in turn. What -match leaves out stays as it
// was, and so does what other parts measured.
func (p part) measure(o options, f *figures) error {
	for turn, more := 1, true; more; turn++ {
		more = false
		for _, l := range p.Loads {
			turns := l.turns(o.rounds)
			more = more || turn < turns
			for _, t := range l.on() {
				if turn > turns || !o.match.MatchString(l.key(t)) {
					continue
				}
				v, err := l.runQuietly(o, t)
				if err != nil {
					return fmt.Errorf("%s: %w", l.key(t), err)
				}
				f.Figures = slices.DeleteFunc(f.Figures, func(old figure) bool { return turn == 1 && old.is(l.Table, l.Name, t.name) })
				f.Figures = append(f.Figures, figure{l.Table, l.Name, t.name, turn, v})
				log.Printf("%s, turn %d:%s", l.key(t), turn, v)
			}
		}
	}
	if p.Name == "bytes" {
		return measureBytes(o, f)
	}
	return nil
}

func (v values) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if v[name] != 0 {
			fmt.Fprintf(&b, " %s %s", name, three(v[name]))
		}
	}
	return b.String()
}

func (l load) runQuietly(o options, t target) (values, error) {
	if o.short {
		l = l.shorten()
	}
	best, err := l.run(t)
	for err == nil && best["others"] > tooMuch && l.Hold == 0 && spare > 0 && !o.short {
		spare--
		log.Printf("other programs took %.0f %% of the machine: once more", 100*best["others"])
		var again values
		if again, err = l.run(t); err == nil && again["others"] < best["others"] {
			best = again
		}
	}
	return best, err
}

// run measures a load once.
func (l load) run(t target) (v values, err error) {
	err = onSite(func(s *site) {
		s.start(l, t)
		// A server has its own moment to start up before it is looked at.
		time.Sleep(300 * time.Millisecond)
		if l.Carry != "" {
			v = s.carry(l)
		} else {
			v = s.follow(l, t)
		}
	})
	return v, err
}

// follow measures a load of connections: what it takes to open them, to hold
// them where the load says so, and to publish to them.
func (s *site) follow(l load, t target) values {
	p := s.plan(l, t)
	var others []string
	for _, n := range s.nodes[1:] {
		others = append(others, n.addr)
	}
	var err error
	s.load, err = bench.NewLoad(context.Background(), p, others...)
	s.must(err)
	s.Cleanup(s.load.Close)
	if l.Memory && t.isMagpie() {
		s.byMemory = &p.Target
	}
	s.counters() // what asking takes is no connection's
	spent := s.during(func() {
		s.must(s.load.Connect())
		s.load.Settle()
	})
	connections := float64(p.Connections)
	v := values{"kernel_kb": spent["kernel"] / (2 * connections) / 1024} // both ends of each are in this kernel
	if s.byMemory != nil {
		maps.Copy(v, split(connections, spent))
		s.byMemory = nil
	}
	if l.Hold > 0 {
		spent := s.during(func() { s.must(s.load.Hold(l.Hold)) })
		second := spent["seconds"]
		maps.Copy(v, values{
			"hold_s": second, "hold_cores": spent["node"] / second, "hold_percent": 100 * spent["node"] / second, "hold_redis_cores": spent["redis"] / second,
			"pings":    spent["pings"] / connections,
			"commands": spent["total_commands_processed"] / second, "redis_in": spent["total_net_input_bytes"] / second, "redis_out": spent["total_net_output_bytes"] / second,
		})
	}
	maps.Copy(v, s.publish(l, p.Name+"-0"))
	return v
}

// plan completes a load's plan for the servers that run.
func (s *site) plan(l load, t target) bench.Plan {
	p := l.Plan
	p.Size, p.PID, p.Name = payload, s.nodes[0].PID(), "bench"
	if p.Dialing == 0 {
		p.Dialing = 500
	}
	p.Target = bench.Target{URL: "http://" + s.nodes[0].addr, Door: t.door, Recoverable: l.Resumable}
	if l.TLS {
		text, err := os.ReadFile(s.setup.cert)
		s.must(err)
		p.Target.URL, p.Target.Roots = "https://"+s.nodes[0].addr, x509.NewCertPool()
		p.Target.Roots.AppendCertsFromPEM(text)
	}
	return p
}

// publish publishes what the plan says and returns what came of it.
func (s *site) publish(l load, channel string) values {
	var send bench.Send
	if len(l.Command) > 0 {
		send = s.publisher(channel, l.Command)
	}
	spent := s.during(func() { s.must(s.load.Publish(send)) })
	r := s.load.Result()
	if r.Refused > 0 {
		s.Fatalf("%d messages were refused; %v", r.Refused, r.Trouble)
	}
	v := values{
		"connections": float64(r.Connections), "channels": float64(r.Channels), "rate": r.Rate, "messages": float64(r.Sent), "seconds": r.PublishSeconds,
		"connect_us": r.Server.ConnectCPUUs, "rss_kb": r.Server.RSSPerConn / 1024, "rss_mb": float64(r.Server.RSSIdle) / (1 << 20),
		"p50_ms": float64(r.Latency.P50) / 1000, "p99_ms": float64(r.Latency.P99) / 1000,
		"lost": float64(r.Lost), "repeated": float64(r.Repeated), "reordered": float64(r.Reordered),
		"others": spent["others"], "cpu_percent": 100 * spent["node"] / spent["seconds"], "redis_cores": spent["redis"] / spent["seconds"],
		"cpu_s": spent["node"], "up": spent["up"], "down": spent["down"], "requests": spent["requests"],
	}
	if r.Received > 0 {
		each := 1e6 / float64(r.Received)
		nodes := float64(len(s.nodes))
		v["cpu_us"], v["cpu0_us"], v["cpu1_us"] = each*spent["node"], each*nodes*spent["node0"], each*nodes*spent["node1"]
	}
	return v
}

// publisher returns what writes commands to the Redis that has the channel, and
// wants no answers, so that a rate stays a rate.
func (s *site) publisher(channel string, command []string) bench.Send {
	conn, err := net.Dial("tcp", s.owner(channel).Addr)
	s.must(err)
	s.Cleanup(func() { conn.Close() })
	write := func(words ...string) error {
		b := fmt.Appendf(nil, "*%d\r\n", len(words))
		for _, w := range words {
			b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
		}
		_, err := conn.Write(b)
		return err
	}
	s.must(write("CLIENT", "REPLY", "OFF"))
	return func(channel string, payload []byte) error {
		return write(append(slices.Clone(command), channel, string(payload))...)
	}
}

// during tells what was used and counted while f ran. CPU is in seconds; that
// of Redis is of the busiest redis-server.
func (s *site) during(f func()) values {
	before := s.counters()
	f()
	spent := s.counters()
	// The first question to Redis counted itself in part.
	spent["total_commands_processed"] -= float64(min(len(s.redis), 1))
	spent["total_net_output_bytes"] -= before["answer"]
	for name, was := range before {
		spent[name] -= was
	}
	own := spent["client"] + spent["node"]
	for i := range s.redis {
		one := spent[fmt.Sprint("redis", i)]
		own += one
		spent["redis"] = max(spent["redis"], one)
	}
	spent["others"] = max((spent["machine"]-own)/(spent["seconds"]*float64(runtime.NumCPU())), 0)
	return spent
}

// counters are the state of all that grows: counters of Redis under its own
// names, and what memory is made of where that is asked for.
func (s *site) counters() values {
	v := values{"machine": processorSeconds(), "kernel": kernelMemory(), "seconds": float64(time.Now().UnixNano()) / 1e9, "client": used(os.Getpid()).CPU.Seconds()}
	for i, n := range s.nodes {
		of := used(n.PID())
		v[fmt.Sprint("node", i)] = of.CPU.Seconds()
		v["node"] += of.CPU.Seconds()
		v["rss"] += float64(of.RSS)
	}
	for i, one := range s.redis {
		v[fmt.Sprint("redis", i)] = used(one.PID()).CPU.Seconds()
	}
	if s.load != nil {
		r := s.load.Result()
		down, up := s.load.Traffic()
		v["down"], v["up"], v["requests"], v["pings"] = float64(down), float64(up), float64(r.Requests), float64(r.Pings)
	}
	if len(s.redis) > 0 {
		answer := s.redis[0].Do("INFO", "stats")
		v["answer"] = float64(len(answer))
		for line := range strings.Lines(answer) {
			name, text, _ := strings.Cut(strings.TrimSpace(line), ":")
			if n, err := strconv.ParseFloat(text, 64); err == nil {
				v[name] = n
			}
		}
	}
	if s.byMemory != nil {
		maps.Copy(v, s.memory())
	}
	return v
}

func used(pid int) bench.Usage {
	u, _ := bench.UsageOf(pid) // none of a process that has ended, which is told otherwise
	return u
}
