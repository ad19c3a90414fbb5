package main

import (
	"log/slog"

	"magpie/internal/app"
	"magpie/internal/config"
)

func newApplication(cfg *config.Config, log *slog.Logger) (application, error) {
	return app.New(cfg, log)
}
