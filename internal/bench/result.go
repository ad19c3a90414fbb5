package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Counts are what a load counts from its start.
type Counts struct {
	Joined       int `json:"joined"`
	Pings        int `json:"pings"`        // of the server, each answered
	Requests     int `json:"-"`            // of clients that poll
	Disconnected int `json:"disconnected"` // or never connected

	Sent      int `json:"sent"`
	Refused   int `json:"refused"`
	Expected  int `json:"expected"` // deliveries of what was sent
	Received  int `json:"received"` // each delivery once
	Lost      int `json:"lost"`     // known at the end
	Repeated  int `json:"repeated"`
	Reordered int `json:"reordered"`
}

// Progress is a load at one moment.
type Progress struct {
	Counts
	Phase    string // connecting, settling, publishing, draining
	Elapsed  time.Duration
	P50, P99 time.Duration
	Usage    Usage
}

// Result is what a load measured. In JSON durations are in microseconds.
type Result struct {
	Door        string  `json:"door"`
	Connections int     `json:"connections"`
	Channels    int     `json:"channels"`
	Publishers  int     `json:"publishers_per_channel"`
	Rate        float64 `json:"rate"`
	Size        int     `json:"size"`

	ConnectSeconds float64 `json:"connect_seconds"`
	Counts
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

// longest is the latency that is told from a longer one. A percentile is that
// of the nearest rank, or at most 0.1 % or 1 µs more.
const longest = time.Hour

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), 3)
}

// record counts one delivery that took so long.
func (l *Load) record(took time.Duration) {
	l.latency.RecordValue(min(max(took, 0), longest).Microseconds())
}

// moment is what a load's clock says and what the server has used by then.
type moment struct {
	at   time.Duration
	used Usage
}

func (l *Load) moment() moment {
	used, _ := UsageOf(l.plan.PID) // none of a process that has ended
	return moment{l.now(), used}
}

// phases are the moments between the phases of a load.
type phases struct{ start, joined, idle, end moment }

// Result is what was measured, after Publish or instead of it.
func (l *Load) Result() Result {
	m, p, h := l.phases, l.plan, l.latency
	if m.end.at == 0 {
		m.end = m.idle
	}
	out := Result{
		Door: p.Target.Door, Connections: p.Connections, Channels: p.Channels, Publishers: p.Publishers, Rate: p.Rate, Size: p.Size,
		ConnectSeconds: (m.joined.at - m.start.at).Seconds(), Counts: l.counts,
		PublishSeconds: (m.end.at - m.idle.at).Seconds(), LagUs: l.lag.Microseconds(), Trouble: l.trouble,
		Latency: Latency{
			Mean: int64(h.Mean()), P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max(),
		},
	}
	out.Lost = max(out.Expected-out.Received, 0)
	if out.PublishSeconds > 0 {
		out.DeliveryRate = float64(out.Received) / out.PublishSeconds
	}
	if p.PID != 0 {
		out.Server = m.server(out)
	}
	return out
}

func (m phases) server(r Result) *Server {
	s := &Server{RSSBefore: m.start.used.RSS, RSSIdle: m.idle.used.RSS, RSSAfter: m.end.used.RSS}
	if r.Joined > 0 {
		s.ConnectCPUUs = float64((m.joined.used.CPU - m.start.used.CPU).Microseconds()) / float64(r.Joined)
		s.RSSPerConn = float64(s.RSSIdle-s.RSSBefore) / float64(r.Joined)
	}
	spent := m.end.used.CPU - m.idle.used.CPU
	if r.Received > 0 {
		s.DeliveryCPUUs = float64(spent.Microseconds()) / float64(r.Received)
	}
	if r.PublishSeconds > 0 {
		s.CPUShare = spent.Seconds() / r.PublishSeconds
	}
	return s
}

func (l *Load) progress(phase string) Progress {
	us := func(q float64) time.Duration { return time.Duration(l.latency.ValueAtQuantile(q)) * time.Microsecond }
	now := l.moment()
	return Progress{Counts: l.counts, Phase: phase, Elapsed: now.at, P50: us(50), P99: us(99), Usage: now.used}
}
