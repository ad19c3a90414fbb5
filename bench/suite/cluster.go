//go:build linux

package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"magpie/internal/bench"
)

// clusterFigures is what was measured over several masters.
type clusterFigures struct {
	Masters int             `json:"masters"`
	Rates   []publishFigure `json:"publish_to_browser"`
	Carried []spreadFigure  `json:"carried"`
	Idle    idleFigure      `json:"idle"`
}

// spreadFigure is how many publications a second several masters carried.
type spreadFigure struct {
	Log       bool    `json:"log"`
	Magpie    float64 `json:"magpie"`         // publications a second through a node
	BusiestUs float64 `json:"busiest_cpu_us"` // of one master, for each publication in the cluster
	NodeCPUUs float64 `json:"node_cpu_us"`
}

const clusterMasters = 3

// cluster is a Redis Cluster without replicas.
type cluster struct {
	masters []*server
	dirs    []string
}

func startCluster() (*cluster, error) {
	c := new(cluster)
	command := []string{"--cluster", "create"}
	for range clusterMasters {
		dir, err := os.MkdirTemp("", "magpie-bench-")
		if err != nil {
			c.stop()
			return nil, err
		}
		c.dirs = append(c.dirs, dir)
		addr, bus := freeAddr(), freeAddr()
		s, err := start("redis-server", addr, "redis-server", "--port", port(addr), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
			"--cluster-enabled", "yes", "--cluster-port", port(bus))
		if err != nil {
			c.stop()
			return nil, err
		}
		c.masters = append(c.masters, s)
		command = append(command, addr)
	}
	if out, err := exec.Command("redis-cli", append(command, "--cluster-yes")...).CombinedOutput(); err != nil {
		c.stop()
		return nil, fmt.Errorf("redis-cli --cluster create: %w: %s", err, out)
	}
	return c, c.whole()
}

// whole waits until every master knows all slots.
func (c *cluster) whole() error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !slices.ContainsFunc(c.masters, func(s *server) bool { return !strings.Contains(ask(s, "CLUSTER", "INFO"), "cluster_state:ok") }) {
			return nil
		}
	}
	c.stop()
	return fmt.Errorf("the cluster does not come together")
}

func (c *cluster) stop() {
	for _, s := range c.masters {
		s.stop()
	}
	for _, dir := range c.dirs {
		os.RemoveAll(dir)
	}
}

func (c *cluster) url() string {
	var addrs []string
	for _, s := range c.masters {
		addrs = append(addrs, s.addr)
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// owner is the master of a channel.
func (c *cluster) owner(channel string) *server {
	slot, _ := strconv.Atoi(strings.TrimSpace(ask(c.masters[0], "CLUSTER", "KEYSLOT", channel)))
	for _, s := range c.masters {
		for line := range strings.Lines(ask(s, "CLUSTER", "NODES")) {
			var first, last int
			words := strings.Fields(line)
			fmt.Sscanf(words[len(words)-1], "%d-%d", &first, &last)
			if strings.Contains(line, "myself") && first <= slot && slot <= last {
				return s
			}
		}
	}
	return c.masters[0]
}

func ask(s *server, words ...string) string {
	out, _ := exec.Command("redis-cli", append([]string{"-p", port(s.addr)}, words...)...).Output()
	return string(out)
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// measureCluster measures over three masters what the other parts measure with
// one redis-server.
func measureCluster(o options, f *redisFigures) error {
	f.Cluster = &clusterFigures{Masters: clusterMasters}
	for _, part := range []func(options, *clusterFigures) error{clusterRates, clusterCarried, clusterIdle} {
		if err := part(o, f.Cluster); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	return nil
}

// onCluster runs f with a cluster and that many nodes on it.
func onCluster(count int, f func(c *cluster, nodes []*server) error, more ...string) error {
	c, err := startCluster()
	if err != nil {
		return err
	}
	defer c.stop()
	var nodes []*server
	for range count {
		node, err := magpie(append([]string{"--redis", c.url()}, more...)...)
		if err != nil {
			return err
		}
		defer node.stop()
		nodes = append(nodes, node)
	}
	return f(c, nodes)
}

func clusterRates(o options, f *clusterFigures) error {
	return onCluster(2, func(c *cluster, nodes []*server) error {
		for _, rate := range []float64{100, 1000, 5000} {
			p := bench.Plan{Connections: 20, Settle: time.Second, Rate: rate, Duration: 4 * time.Second, Name: "rate" + strconv.Itoa(int(rate))}
			figure, err := throughRedis(o, c.owner(p.Name+"-0"), nodes, p, "FCALL", "magpie_publish", "1")
			if err != nil {
				return err
			}
			f.Rates = append(f.Rates, figure.publishFigure)
		}
		return nil
	})
}

func clusterCarried(o options, f *clusterFigures) error {
	calls := 100_000
	if o.short {
		calls = 10_000
	}
	return onCluster(1, func(c *cluster, nodes []*server) error {
		all := append(nodes[:1:1], c.masters...)
		for _, name := range []string{"on:", "off:"} {
			before, _ := usages(all)
			n, took, err := broadcast(nodes[0].addr, name, calls)
			if err != nil {
				return err
			}
			after, _ := usages(all)
			one := spreadFigure{Log: name == "on:", Magpie: float64(n) / took.Seconds(), NodeCPUUs: float64((after[0] - before[0]).Microseconds()) / float64(n)}
			for i := range c.masters {
				one.BusiestUs = max(one.BusiestUs, float64((after[i+1]-before[i+1]).Microseconds())/float64(n))
			}
			log.Printf("publications a second over %d masters, log %t: %.0f; of the busiest %.1f µs for each", len(c.masters), one.Log, one.Magpie, one.BusiestUs)
			f.Carried = append(f.Carried, one)
		}
		return nil
	}, "--rules", `[{match: "off:*", log: off}]`)
}

// clusterIdle asks one master: all are alike.
func clusterIdle(o options, f *clusterFigures) error {
	c, err := startCluster()
	if err != nil {
		return err
	}
	defer c.stop()
	f.Idle, err = idle(o, c.masters[0], c.url(), 10_000)
	log.Printf("10,000 idle subscriptions over %d masters: %.1f commands/s on one of them", clusterMasters, f.Idle.Commands)
	return err
}

func clusterTables(b *strings.Builder, f *clusterFigures) {
	fmt.Fprintf(b, "\n### Redis Cluster: the same over %d masters\n\n", f.Masters)
	b.WriteString("Two nodes, FCALL at the channel's master, 20 receivers:\n\n")
	b.WriteString("| messages a second | CPU of both nodes per delivery, µs | the channel's master, cores | p50, ms | p99, ms | lost, repeated, reordered |\n|---|---|---|---|---|---|\n")
	for _, r := range f.Rates {
		fmt.Fprintf(b, "| %.0f | %s | %.2f | %s | %d, %d, %d |\n", r.Rate, digits3(r.CPUUs), r.RedisCores, percentiles(r.Latency), r.Lost, r.Repeated, r.Reordered)
	}
	b.WriteString("\nPublications through a node (`POST /api/broadcast`) on 1,000 channels. All servers share this machine's cores, so what counts is the\nbusiest master's part of a publication: the cluster carries as many as fill that master's core.\n\n")
	b.WriteString("| log | publications/s here | CPU of the busiest master for each, µs | node CPU, µs | the cluster would carry |\n|---|---|---|---|---|\n")
	for _, c := range f.Carried {
		fmt.Fprintf(b, "| %s | %.0f | %s | %s | %.0f |\n", map[bool]string{true: "yes", false: "no"}[c.Log], c.Magpie, digits3(c.BusiestUs), digits3(c.NodeCPUUs), 1e6/c.BusiestUs)
	}
	i := f.Idle
	fmt.Fprintf(b, "\nWith %d idle subscriptions in %d channels one master hears %s commands a second and takes %.3f cores for it, the node %.3f.\n",
		i.Subscriptions, i.Channels, digits3(i.Commands), i.RedisCores, i.NodeCores)
}
