package redistest

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"magpie/test/kit"
)

// Slots is how many slots a cluster has.
const Slots = 16384

// Cluster is a Redis Cluster of real servers. Like Server it is for one
// goroutine, but for what says otherwise.
type Cluster struct {
	URL     string
	Masters []*Server // as they were at the start
	t       testing.TB
}

// StartCluster starts a cluster of that many masters without replicas and waits
// until every node serves all slots.
func StartCluster(t testing.TB, masters int) *Cluster {
	t.Helper()
	firsts := make([]int, masters)
	for i := range firsts {
		firsts[i] = i * Slots / masters
	}
	return StartClusterAt(t, firsts...)
}

// StartClusterAt is StartCluster with one master from each of these slots on.
func StartClusterAt(t testing.TB, firsts ...int) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range firsts {
		c.Masters = append(c.Masters, startMember(t))
	}
	first := c.Masters[0]
	ends := append(firsts[1:len(firsts):len(firsts)], Slots)
	var addrs []string
	for i, s := range c.Masters {
		addrs = append(addrs, s.Addr)
		s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(firsts[i]), strconv.Itoa(ends[i]-1))
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		first.meet(s)
	}
	c.URL = "redis+cluster://" + strings.Join(addrs, ",")
	c.WaitUntilWhole()
	return c
}

// startMember starts one node. A dead one is noticed after a second.
func startMember(t testing.TB) *Server {
	t.Helper()
	return Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
		"--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0")
}

// meet makes two nodes know each other.
func (s *Server) meet(other *Server) {
	s.t.Helper()
	if s == other {
		return
	}
	host, port, _ := net.SplitHostPort(other.Addr)
	s.Do("CLUSTER", "MEET", host, port)
}

// ID is what the cluster calls the node.
func (s *Server) ID() string { return s.Do("CLUSTER", "MYID") }

// WaitUntilWhole waits until all nodes that were masters at the start serve all
// slots.
func (c *Cluster) WaitUntilWhole() {
	c.t.Helper()
	for _, s := range c.Masters {
		kit.Eventually(c.t, "the cluster is whole", func() bool {
			info, err := s.Try("CLUSTER", "INFO")
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d", Slots)) && strings.Contains(info, fmt.Sprintf("cluster_size:%d", len(c.Masters)))
		})
	}
}

// AddReplica starts a replica of a master and waits until it is in step.
func (c *Cluster) AddReplica(master *Server) *Server {
	c.t.Helper()
	r := startMember(c.t)
	master.meet(r)
	id := master.ID()
	kit.Eventually(c.t, "the replica is taken", func() bool {
		_, err := r.Try("CLUSTER", "REPLICATE", id)
		return err == nil
	})
	kit.Eventually(c.t, "the replica is in step", func() bool {
		info, err := r.Try("INFO", "replication")
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	for _, s := range c.Masters {
		kit.Eventually(c.t, "all know the replica", func() bool {
			nodes, err := s.Try("CLUSTER", "NODES")
			return err == nil && strings.Contains(nodes, r.Addr) && strings.Contains(nodes, "slave "+id)
		})
	}
	return r
}

// WaitReplicated waits until the server's only replica has all that the server
// wrote so far. (WAIT counts for the writes of its own connection alone.)
func (s *Server) WaitReplicated() {
	s.t.Helper()
	written := regexp.MustCompile(`master_repl_offset:(\d+)`)
	has := regexp.MustCompile(`slave0:.*offset=(\d+)`)
	kit.Eventually(s.t, "the replica has all", func() bool {
		info := s.Do("INFO", "replication")
		a, b := written.FindStringSubmatch(info), has.FindStringSubmatch(info)
		return a != nil && b != nil && a[1] == b[1]
	})
}

// Owner is the master that has the slot of a key now.
func (c *Cluster) Owner(key string) *Server {
	c.t.Helper()
	for _, s := range c.Masters {
		// Others answer MOVED; ASK is the owner's answer while the slot moves.
		if _, err := s.Try("EXISTS", key); err == nil || strings.HasPrefix(err.Error(), "ASK ") {
			return s
		}
	}
	c.t.Fatalf("nobody has the slot of %q", key)
	return nil
}

// Move moves the slot of a key with all its keys to another master, as an
// operator's tool does. pause, if given, is called when the first key is there,
// and when all are and the slot is not yet.
func (c *Cluster) Move(key string, to *Server, pause func()) {
	c.t.Helper()
	from, slot := c.Owner(key), c.Masters[0].Do("CLUSTER", "KEYSLOT", key)
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.ID())
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID())
	host, port, _ := net.SplitHostPort(to.Addr)
	for first := true; ; first = false {
		keys := strings.Fields(from.Do("CLUSTER", "GETKEYSINSLOT", slot, "1"))
		if len(keys) == 0 {
			break
		}
		from.Do("MIGRATE", host, port, keys[0], "0", "5000")
		if first && pause != nil {
			pause()
		}
	}
	if pause != nil {
		pause()
	}
	to.Do("CLUSTER", "SETSLOT", slot, "NODE", to.ID())
	from.Do("CLUSTER", "SETSLOT", slot, "NODE", to.ID())
	for _, s := range c.Masters {
		if s != from && s != to {
			s.Do("CLUSTER", "SETSLOT", slot, "NODE", to.ID())
		}
	}
}
