package node_test

import (
	"context"
	"fmt"
	"testing"

	"magpie/internal/auth"
	"magpie/internal/node"
)

// An order to one user costs nothing on account of the node's other sessions;
// one to a client walks over them.
func BenchmarkOrderAmongManySessions(b *testing.B) {
	_, n := cluster(b, "a")
	for i := range 100_000 {
		p := &plain{}
		if err := n[0].node.Open(&p.Session, p, auth.Identity{Kind: auth.User, User: fmt.Sprint("user", i)}, nil); err != nil {
			b.Fatal(err)
		}
	}
	for name, o := range map[string]node.Order{
		"user":   {Action: node.Refresh, User: "user500"},
		"client": {Action: node.Refresh, Client: "0123456789abcdef01234567"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := n[0].Order(context.Background(), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
