package topology

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// standalone is one Redis, where all names live.
type standalone struct {
	addr string
	only *Master // set by open
}

func (s *standalone) Home(string) *Master { return s.only }

func (s *standalone) Masters() []*Master {
	if s.only == nil {
		return nil
	}
	return []*Master{s.only}
}

func (s *standalone) Whole() error                      { return nil }
func (s *standalone) Look()                             {}
func (s *standalone) Run(context.Context, func(Change)) {}

func (s *standalone) unnamed() {}

func (s *standalone) accepts(info string) error {
	switch mode := InfoField(info, "redis_mode"); {
	case mode == "cluster":
		return fmt.Errorf("Redis at %s runs in cluster mode; begin its URL with redis+cluster:// (or rediss+cluster:// for TLS)", s.addr)
	case InfoField(info, "role") == "slave":
		return fmt.Errorf("Redis at %s is a read-only replica; name its master", s.addr)
	}
	if v := InfoField(info, "redis_version"); !AtLeast(v, 6, 2) {
		return fmt.Errorf("Redis at %s is version %s; 6.2 or later is needed", s.addr, v)
	}
	return nil
}

func (s *standalone) open(_ context.Context, client rueidis.Client) error {
	s.only = newMaster(s.addr, client)
	return nil
}

func (s *standalone) close() {}
