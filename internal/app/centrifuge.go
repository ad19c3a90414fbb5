package app

import (
	"time"

	"magpie/internal/auth"
	"magpie/internal/build"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/transport/ws"
)

// newCentrifuge builds the Centrifuge door and its sockets, which are not the
// raw door's: a command is longer than its payload, and the protocol has pings
// of its own, behind which those of WebSocket stay silent.
func (a *App) newCentrifuge(who *auth.Authorizer) error {
	times := a.cfg.Times
	pong := min(8*time.Second, times.PongTimeout, times.PingInterval*2/3)
	var err error
	if a.cfs, err = ws.New(ws.Config{
		MaxMessage: centrifuge.Limit(a.cfg.Limits.MaxPayload), WriteTimeout: times.WriteTimeout,
		PingEvery: times.PingInterval + pong + 2*time.Second, PongWait: times.PongTimeout,
		Wheel: a.wheel, Log: a.log, Received: a.metrics.messageIn(),
	}); err != nil {
		return err
	}
	a.clients = centrifuge.New(centrifuge.Config{
		Node: a.node, Engine: a.engine, Auth: who, Rules: a.cfg.Rules, Origins: a.origins(),
		Server: a.cfs, Streams: a.streams, Wheel: a.wheel, Nodes: a.nodes, Log: a.log, Version: "Magpie " + build.Version(),
		Ping: times.PingInterval, Pong: pong, Personal: a.cfg.PersonalSubscribe,
	})
	a.metrics.clients(a.clients)
	return nil
}
