// Command peer is what is measured beside Magpie: a plain server on the
// Centrifuge library (WebSocket, JSON, anyone may subscribe and publish). It is
// a module of its own, so that its dependencies are none of Magpie's.
//
// -tuned sets the library's options that save memory and time. With -polled it
// is a bare HTTP server instead, whose clients poll.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8004", "address to listen on")
	redis := flag.String("redis", "", "host:port of a Redis to go through")
	history := flag.Int("history", 0, "messages that a channel's log keeps")
	tuned := flag.Bool("tuned", false, "with the options that save memory")
	cert := flag.String("cert", "", "PEM file with a certificate, to speak TLS")
	key := flag.String("key", "", "PEM file with its key")
	ping := flag.Duration("ping", 0, "how often clients are pinged, if not as often as the library does")
	poll := flag.Bool("polled", false, "be a server whose clients poll")
	flag.Parse()
	if *poll {
		log.Fatal(servePolled(*addr))
	}
	node, err := newNode(*redis)
	if err != nil {
		log.Fatal(err)
	}
	handle(node, *history, *tuned)
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	config := centrifuge.WebsocketConfig{CheckOrigin: func(*http.Request) bool { return true }}
	if *ping > 0 {
		config.PingPongConfig = centrifuge.PingPongConfig{PingInterval: *ping, PongTimeout: *ping / 3}
	}
	if *tuned {
		config.ProcessCommandsOffReadLoop, config.UseWriteBufferPool, config.ReadBufferSize = true, true, 512
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, config))
	if *cert != "" {
		log.Fatal(http.ListenAndServeTLS(*addr, *cert, *key, nil))
	}
	log.Fatal(http.ListenAndServe(*addr, nil))
}

func newNode(redis string) (*centrifuge.Node, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil || redis == "" {
		return node, err
	}
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: redis})
	if err != nil {
		return nil, err
	}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	if err != nil {
		return nil, err
	}
	node.SetBroker(broker)
	return node, nil
}

func handle(node *centrifuge.Node, history int, tuned bool) {
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}, ReplyWithoutQueue: tuned}, nil
	})
	recoverable := centrifuge.SubscribeOptions{EnableRecovery: history > 0, EnablePositioning: history > 0}
	var publish []centrifuge.PublishOption
	if history > 0 {
		publish = append(publish, centrifuge.WithHistory(history, time.Hour))
	}
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			reply(centrifuge.SubscribeReply{Options: recoverable}, nil)
		})
		client.OnPublish(func(e centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
			result, err := node.Publish(e.Channel, e.Data, publish...)
			reply(centrifuge.PublishReply{Result: &result}, err)
		})
	})
}
