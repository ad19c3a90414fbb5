package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// lifecycle remembers how to undo what was started.
type lifecycle struct {
	mu    sync.Mutex // guards steps; memory only
	steps []step     // in the order in which things were started
}

// step undoes one thing that was started. It ends by its context.
type step struct {
	name string
	undo func(context.Context) error
}

func (l *lifecycle) started(name string, undo func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, step{name, undo})
}

// stop undoes all steps, last first. Every step is taken even when one before
// it failed or ctx has ended. A second call does nothing.
func (l *lifecycle) stop(ctx context.Context) error {
	l.mu.Lock()
	steps := l.steps
	l.steps = nil
	l.mu.Unlock()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := steps[i].undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", steps[i].name, err))
		}
	}
	return errors.Join(errs...)
}
