//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"magpie/internal/bench"
	"magpie/test/kit"
	"magpie/test/kit/redistest"
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
	args := []string{binary, "serve", "--addr", addr, "--log-level", "error"}
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

// site is all that runs for one load. Package kit takes it for a test: it ends
// its processes with it, and what fails ends what runs in it.
type site struct {
	testing.TB // nil: its other methods are not called
	ends       []func()

	setup    setup
	redis    []*redistest.Server
	nodes    []*node
	load     *bench.Load
	byMemory *bench.Target // where the first node is asked what its memory is made of; nil: nowhere
}

// node is one process under measurement.
type node struct {
	*kit.Process
	addr string
}

// failure is what a site ends with before its time.
type failure struct{ error }

// onSite calls f, ends what f started on the site, and returns what failed.
func onSite(f func(s *site)) (err error) {
	s := new(site)
	defer func() {
		switch failed := recover().(type) {
		case nil:
		case failure:
			err = failed.error
		default:
			panic(failed)
		}
	}()
	defer func() {
		for _, end := range slices.Backward(s.ends) {
			end()
		}
	}()
	f(s)
	return nil
}

func (s *site) Helper()                           {}
func (s *site) Cleanup(end func())                { s.ends = append(s.ends, end) }
func (s *site) Fatalf(format string, args ...any) { s.must(fmt.Errorf(format, args...)) }
func (s *site) Fatal(args ...any)                 { s.Fatalf("%s", fmt.Sprint(args...)) }

// must ends what runs on the site when err is an error.
func (s *site) must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func (s *site) TempDir() string {
	dir, err := os.MkdirTemp("", "magpie-bench-")
	s.must(err)
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start starts the redis-servers of a load, more than one of them as a cluster,
// and the nodes of a target on them.
func (s *site) start(l load, t target) {
	s.setup = l.setup()
	if l.TLS {
		dir := s.TempDir()
		s.setup.cert, s.setup.key = dir+"/cert.pem", dir+"/key.pem"
		s.must(certify(s.setup.cert, s.setup.key))
	}
	switch l.Redis {
	case 0:
	case 1:
		s.redis = append(s.redis, redistest.Start(s))
		s.setup.redis = s.redis[0].URL
	default:
		cluster := redistest.StartCluster(s, l.Redis)
		s.redis, s.setup.redis = cluster.Masters, cluster.URL
		for _, one := range s.redis { // tests want to see a failure soon; this is what Redis does by itself
			one.Do("CONFIG", "SET", "cluster-node-timeout", "15000")
		}
	}
	for range max(l.Nodes, 1) {
		s.startNode(t)
	}
}

// startNode starts a node and waits until it listens.
func (s *site) startNode(t target) {
	addr := kit.FreeAddr(s)
	words := t.command(addr, s.setup)
	n := &node{kit.Run(s, exec.Command(words[0], words[1:]...)), addr}
	kit.Eventually(s, words[0]+" listens", func() bool {
		if n.Ended() {
			s.Fatalf("%s ended:\n%s", words[0], n.Output())
		}
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	s.nodes = append(s.nodes, n)
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

// owner is the redis-server that has a channel.
func (s *site) owner(channel string) *redistest.Server {
	i := slices.IndexFunc(s.redis, func(one *redistest.Server) bool {
		_, err := one.Try("EXISTS", channel) // others answer MOVED
		return err == nil
	})
	return s.redis[i]
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
