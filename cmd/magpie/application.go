package main

import (
	"log/slog"

	"magpie/internal/config"
)

func newApplication(cfg *config.Config, log *slog.Logger) (application, error) {
	return nil, exit{exitFailed, "this build has no server yet"}
}
