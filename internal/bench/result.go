package bench

import "time"

// Usage is what a process has used up to now.
type Usage struct {
	CPU time.Duration // user and system
	RSS int64         // bytes of resident memory
}

// Result is what a run measured. In JSON durations are in microseconds.
type Result struct {
	Door        string  `json:"door"`
	Connections int     `json:"connections"`
	Channels    int     `json:"channels"`
	Publishers  int     `json:"publishers_per_channel"`
	Rate        float64 `json:"rate"`
	Size        int     `json:"size"`

	ConnectSeconds float64 `json:"connect_seconds"`
	Joined         int     `json:"joined"`
	Pings          int     `json:"pings"`        // of the server, each answered
	Disconnected   int     `json:"disconnected"` // or never connected

	Sent      int `json:"sent"`
	Refused   int `json:"refused"`
	Expected  int `json:"expected"`
	Received  int `json:"received"` // each delivery once
	Lost      int `json:"lost"`
	Repeated  int `json:"repeated"`
	Reordered int `json:"reordered"`

	PublishSeconds float64 `json:"publish_seconds"`
	DeliveryRate   float64 `json:"deliveries_per_second"`
	LagUs          int64   `json:"publisher_lag_us"` // the furthest that publishing fell behind

	Latency Latency  `json:"latency_us"`
	Server  *Server  `json:"server,omitempty"`
	Trouble []string `json:"trouble,omitempty"`
}

// Latency is from the moment at which a message was due to its arrival.
type Latency struct {
	Mean int64 `json:"mean"`
	P50  int64 `json:"p50"`
	P90  int64 `json:"p90"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p999"`
	Max  int64 `json:"max"`
}

// Server is what the server's process used.
type Server struct {
	ConnectCPUUs  float64 `json:"connect_cpu_us"`  // for each connection
	DeliveryCPUUs float64 `json:"delivery_cpu_us"` // for each delivery
	CPUShare      float64 `json:"cpu_cores"`       // cores in use while publishing
	RSSBefore     int64   `json:"rss_before"`
	RSSIdle       int64   `json:"rss_idle"` // all connected, nothing published
	RSSAfter      int64   `json:"rss_after"`
	RSSPerConn    float64 `json:"rss_per_connection"`
}

// marks are the readings between the phases of a run.
type marks struct {
	connect, connected, publish, end time.Duration
	before, joined, idle, done       Usage
}

func (r *run) result(m marks) Result {
	p := r.plan
	h := &r.latency
	us := func(d time.Duration) int64 { return d.Microseconds() }
	out := Result{
		Door: p.Target.Door, Connections: p.Connections, Channels: p.Channels, Publishers: p.Publishers, Rate: p.Rate, Size: p.Size,
		ConnectSeconds: (m.connected - m.connect).Seconds(),
		Joined:         int(r.joined.Load()), Pings: int(r.pings.Load()), Disconnected: int(r.lost.Load()),
		Sent: int(r.sent.Load()), Refused: int(r.refusals.Load()), Expected: int(r.expected.Load()), Received: int(r.received.Load()),
		Repeated: int(r.repeated.Load()), Reordered: int(r.reordered.Load()),
		PublishSeconds: (m.end - m.publish).Seconds(), LagUs: us(time.Duration(r.lag.Load())),
		Latency: Latency{Mean: us(h.Mean()), P50: us(h.Quantile(.5)), P90: us(h.Quantile(.9)), P99: us(h.Quantile(.99)), P999: us(h.Quantile(.999)), Max: us(h.Max())},
	}
	out.Lost = max(out.Expected-out.Received, 0)
	if out.PublishSeconds > 0 {
		out.DeliveryRate = float64(out.Received) / out.PublishSeconds
	}
	r.mu.Lock()
	out.Trouble = r.trouble
	r.mu.Unlock()
	if p.PID != 0 {
		out.Server = m.server(out)
	}
	return out
}

func (m marks) server(r Result) *Server {
	s := &Server{RSSBefore: m.before.RSS, RSSIdle: m.idle.RSS, RSSAfter: m.done.RSS}
	if r.Joined > 0 {
		s.ConnectCPUUs = float64((m.joined.CPU - m.before.CPU).Microseconds()) / float64(r.Joined)
		s.RSSPerConn = float64(m.idle.RSS-m.before.RSS) / float64(r.Joined)
	}
	spent := m.done.CPU - m.idle.CPU
	if r.Received > 0 {
		s.DeliveryCPUUs = float64(spent.Microseconds()) / float64(r.Received)
	}
	if wall := m.end - m.publish; wall > 0 {
		s.CPUShare = spent.Seconds() / wall.Seconds()
	}
	return s
}
