//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"magpie/test/kit"
)

const (
	// carriedChannels are the channels of both drivers.
	carriedChannels = 1000
	// carriedCallers keep enough on the way that Redis never waits.
	carriedCallers = 4
)

// carry drives the publish script through a node, by broadcasts over the
// server API, which is how a server that has much to publish would do it; and
// before that by redis-benchmark, where there is one redis-server.
func (s *site) carry(l load) values {
	v, calls := values{}, 100_000
	if l.short {
		calls = 10_000
	}
	each := 1e6 / float64(calls)
	if len(s.redis) == 1 {
		spent := s.during(func() { v["benchmark"] = s.redisBenchmark(l.Carry, calls) })
		v["benchmark_redis_us"] = each * spent["redis"]
	}
	spent := s.during(func() { s.must(broadcast(s.nodes[0].addr, l.Carry, calls)) })
	// What a publication takes of Redis's one core: its reciprocal is what Redis
	// carries when the nodes have cores of their own.
	redis := each * spent["redis"]
	maps.Copy(v, values{"magpie": float64(calls) / spent["seconds"], "magpie_redis_us": redis, "node_us": each * spent["node"], "whole_core": 1e6 / max(redis, 1e-9)})
	if v["benchmark"] > 0 {
		v["share_percent"] = 100 * v["magpie"] / v["benchmark"]
	}
	return v
}

// redisBenchmark calls the function that holds the publish script, on the
// channels and with the payload of broadcast, and returns how often a second.
func (s *site) redisBenchmark(name string, calls int) float64 {
	out, err := exec.Command("redis-benchmark", "-p", port(s.redis[0].Addr), "-c", "50", "-P", "16", "-n", strconv.Itoa(calls), "-r", strconv.Itoa(carriedChannels), "--csv",
		"FCALL", "magpie_publish", "1", name+"__rand_int__", filler).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], `","`)
	if err != nil || len(fields) < 2 || strings.Contains(string(out), "ERR") {
		s.Fatalf("redis-benchmark: %v: %s", err, out)
	}
	perSecond, err := strconv.ParseFloat(fields[1], 64)
	s.must(err)
	return perSecond
}

var filler = `{"p":"` + strings.Repeat("x", payload-8) + `"}`

func broadcast(addr, name string, calls int) error {
	var channels []string
	for i := range carriedChannels {
		channels = append(channels, fmt.Sprintf("%s%012d", name, i)) // as redis-benchmark writes them
	}
	body, err := json.Marshal(map[string]any{"channels": channels, "data": json.RawMessage(filler)})
	if err != nil {
		return err
	}
	var callers sync.WaitGroup
	var failed [carriedCallers]error
	for i := range failed {
		callers.Go(func() {
			for n := i; n < calls/carriedChannels && failed[i] == nil; n += carriedCallers {
				failed[i] = call(addr, body)
			}
		})
	}
	callers.Wait()
	return errors.Join(failed[:]...)
}

func call(addr string, body []byte) error {
	resp, err := http.Post("http://"+addr+"/api/broadcast", "application/json", bytes.NewReader(body))
	if status, answer := kit.Read(resp, err); status != http.StatusOK || strings.Contains(answer, `"error"`) {
		return fmt.Errorf("broadcast: %d: %.200s", status, answer)
	}
	return nil
}
