//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"magpie/internal/bench"
)

// binary is the Magpie under measurement.
var binary = "bin/magpie"

// target is one kind of server and the door that is measured.
type target struct {
	name, door string
	command    func(addr string, s setup) []string
}

// setup is what a server is started with. What is empty is left to it.
type setup struct {
	redis     string // URL
	ping      time.Duration
	resumable bool // keep a log of each channel
	cert, key string
}

func magpie(addr string, s setup) []string {
	args := []string{binary, "serve", "--addr", addr, "--log-level", "error", "--drain-timeout", "1s"}
	if s.redis != "" {
		args = append(args, "--redis", s.redis, "--rules", `[{match: "off:*", log: off}]`)
	}
	if s.ping > 0 {
		args = append(args, "--ping-interval", s.ping.String())
	}
	if s.cert != "" {
		args = append(args, "--tls-cert", s.cert, "--tls-key", s.key)
	}
	return args
}

func peer(addr string, s setup) []string {
	args := []string{"bin/bench-peer", "-addr", addr, "-redis", strings.TrimPrefix(s.redis, "redis://"), "-ping", s.ping.String(), "-cert", s.cert, "-key", s.key}
	if s.resumable {
		args = append(args, "-history", "1000")
	}
	return args
}

func peerTuned(addr string, s setup) []string { return append(peer(addr, s), "-tuned") }

func floor(addr string, s setup) []string {
	return []string{"bin/bench-floor", port(addr), fmt.Sprint(s.ping.Seconds())}
}

func polled(addr string, _ setup) []string {
	return []string{"bin/bench-peer", "-polled", "-addr", addr}
}

var targets = []target{
	{"floor", "raw", floor},
	{"peer", "centrifuge", peer},
	{"peer, tuned", "centrifuge", peerTuned},
	{"Magpie, raw", "raw", magpie},
	{"Magpie, Centrifuge", "centrifuge", magpie},
}

var (
	curved  = targets[2:] // in the plots
	doors   = targets[3:] // of Magpie
	polling = target{"polling", "sse", polled}
)

func (t target) isMagpie() bool { return strings.HasPrefix(t.name, "Magpie") }

// server is one process under measurement. The kernel ends it with ours: the
// thread that starts it is main's, which lives as long as the process.
type server struct {
	addr string
	cmd  *exec.Cmd
}

// patience bounds a server's start and its end.
const patience = 15 * time.Second

// site is all that runs for one load.
type site struct {
	redis   []*server
	nodes   []*server
	servers []*server // all of them, in the order in which they were started
	dir     string    // for their files
	load    *bench.Load
}

// start runs a program that listens on addr and waits until it does.
func (s *site) start(addr string, command ...string) (*server, error) {
	var out bytes.Buffer
	one := &server{addr, exec.Command(command[0], command[1:]...)}
	one.cmd.Stdout, one.cmd.Stderr = &out, &out
	one.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := one.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	s.servers = append(s.servers, one)
	err := waitUntil("it listens on "+addr, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if err != nil {
		one.stop()
		return nil, fmt.Errorf("%s: %w:\n%s", command[0], err, &out)
	}
	return one, nil
}

// waitUntil returns when something is so, or with an error after patience.
func waitUntil(what string, isSo func() bool) error {
	for end := time.Now().Add(patience); !isSo(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited %s in vain until %s", patience, what)
		}
	}
	return nil
}

// stop ends the process, by force when it does not end by itself.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(patience, func() { s.cmd.Process.Kill() })
	s.cmd.Wait()
	force.Stop()
}

func (s *site) stop() {
	for _, one := range slices.Backward(s.servers) {
		one.stop()
	}
	os.RemoveAll(s.dir)
}

// newSite starts so many redis-servers, more than one of them as a cluster,
// and so many nodes of a target on them.
func newSite(t target, redis, nodes int, w setup, secure bool) (s *site, err error) {
	s = new(site)
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "magpie-bench-"); err != nil {
		return s, err
	}
	if secure {
		w.cert, w.key = s.dir+"/cert.pem", s.dir+"/key.pem"
		if err = certify(w.cert, w.key); err != nil {
			return s, err
		}
	}
	if redis > 0 {
		if w.redis, err = s.startRedis(redis); err != nil {
			return s, err
		}
	}
	for range nodes {
		addr := freeAddr()
		node, err := s.start(addr, t.command(addr, w)...)
		if err != nil {
			return s, err
		}
		s.nodes = append(s.nodes, node)
	}
	return s, nil
}

// certify writes a certificate for 127.0.0.1 that signs itself, and its key, on
// P-256, which public authorities issue by default, too.
func certify(cert, key string) error {
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=magpie bench", "-addext", "subjectAltName=IP:127.0.0.1", "-out", cert, "-keyout", key).CombinedOutput()
	if err != nil {
		return fmt.Errorf("openssl: %w: %s", err, out)
	}
	return nil
}

// startRedis starts redis-servers that write nothing to disk, and returns
// their URL.
func (s *site) startRedis(count int) (string, error) {
	var addrs []string
	for i := range count {
		addr := freeAddr()
		args := []string{"redis-server", "--port", port(addr), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no"}
		if count > 1 {
			args = append(args, "--cluster-enabled", "yes", "--cluster-port", port(freeAddr()), "--cluster-config-file", fmt.Sprintf("nodes-%d.conf", i))
		}
		one, err := s.start(addr, args...)
		if err != nil {
			return "", err
		}
		s.redis, addrs = append(s.redis, one), append(addrs, addr)
	}
	if count == 1 {
		return "redis://" + addrs[0], nil
	}
	create := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.Command("redis-cli", append(create, "--cluster-yes")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("redis-cli --cluster create: %w: %s", err, out)
	}
	return "redis+cluster://" + strings.Join(addrs, ","), waitUntil("all masters of the cluster know all slots", func() bool {
		return !slices.ContainsFunc(s.redis, func(one *server) bool { return !strings.Contains(one.ask("CLUSTER", "INFO"), "cluster_state:ok") })
	})
}

// owner is the redis-server that has a channel: redis-cli gives each the same
// share of the slots, in order.
func (s *site) owner(channel string) *server {
	slot, _ := strconv.Atoi(strings.TrimSpace(s.redis[0].ask("CLUSTER", "KEYSLOT", channel)))
	return s.redis[slot*len(s.redis)/16384]
}

// ask returns what a redis-server answers to a command.
func (s *server) ask(words ...string) string {
	out, _ := exec.Command("redis-cli", append([]string{"-p", port(s.addr)}, words...)...).Output()
	return string(out)
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0" // the server says what is wrong
	}
	defer l.Close()
	return l.Addr().String()
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
