package loopback_test

import (
	"testing"

	"magpie/internal/loopback"
)

func TestHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.com": false, "127.0.0.1.example.com": false, "localhost:80": false,
	} {
		if loopback.Host(host) != want {
			t.Errorf("%q: %t", host, !want)
		}
	}
}
