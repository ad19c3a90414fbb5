package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneLineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th Throttle
		for minute := range 3 {
			var through atomic.Int64
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if th.Allow() {
						through.Add(1)
					}
				})
			}
			wg.Wait()
			if through.Load() != 1 {
				t.Errorf("minute %d: %d lines", minute, through.Load())
			}
			time.Sleep(every - 1)
			if th.Allow() {
				t.Error("a line too early")
			}
			time.Sleep(1)
		}
	})
}
