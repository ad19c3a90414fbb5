package redis

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/redis/topology"
	"magpie/internal/message"
	"magpie/test/kit/redistest"
)

// BenchmarkPublishSpread publishes to 300 channels that nobody listens to, at
// one Redis and over the masters of a cluster on this machine. It means little
// with fewer cores than masters and publisher: then only the ns of CPU that each
// Redis reports (cpu-ns/op, of all of them) can be compared.
func BenchmarkPublishSpread(b *testing.B) {
	for _, masters := range []int{1, 3} {
		b.Run(fmt.Sprintf("masters=%d", masters), func(b *testing.B) {
			var servers []*redistest.Server
			var url string
			if masters == 1 {
				servers = []*redistest.Server{redistest.Start(b)}
				url = servers[0].URL
			} else {
				c := redistest.StartCluster(b, masters)
				servers, url = c.Masters, c.URL
			}
			e := newEngine(b, nil, func(c *Config) { c.URL = url })
			if err := e.Start(b.Context(), enginetest.NewRecorder().Node()); err != nil {
				b.Fatal(err)
			}
			defer e.Close(context.Background())
			publishSpread(b, e, servers)
		})
	}
}

func publishSpread(b *testing.B, e *Engine, servers []*redistest.Server) {
	payload := []byte(strings.Repeat("x", 128))
	before := cpuOf(servers)
	var next atomic.Int64
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		ch := "room" + fmt.Sprint(next.Add(1)%300)
		for pb.Next() {
			if _, err := e.Publish(context.Background(), engine.Publication{Channel: ch, Payload: payload, Via: message.ViaHTTP}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	total, busiest := 0.0, 0.0
	for i, after := range cpuOf(servers) {
		used := (after - before[i]) * 1e9 / float64(b.N)
		total, busiest = total+used, max(busiest, used)
	}
	b.ReportMetric(total, "cpu-ns/op")
	b.ReportMetric(busiest, "busiest-cpu-ns/op")
	b.ReportMetric(1e9/busiest, "publishes/s-at-full-core")
}

// cpuOf is how many seconds of CPU each server has used.
func cpuOf(servers []*redistest.Server) (seconds []float64) {
	for _, s := range servers {
		info := s.Do("INFO", "cpu")
		var user, system float64
		fmt.Sscan(topology.InfoField(info, "used_cpu_user"), &user)
		fmt.Sscan(topology.InfoField(info, "used_cpu_sys"), &system)
		seconds = append(seconds, user+system)
	}
	return seconds
}
