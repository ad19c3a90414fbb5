# make run    build and serve on http://localhost:8080; with Redis when MAGPIE_REDIS is set
# make build  bin/magpie
# make test   every test; installs what they need where it can, and else says what to install
# make test-core  of them those in Go, with real redis-servers, without Node, browser and proxies
# make check  format, vet, staticcheck, modules, generated pages
# make fuzz  every fuzz target for FUZZTIME, 30s unless it is given
# make sbom  what is in bin/magpie, as CycloneDX, into bin/magpie.cdx.json
# make vulncheck  known vulnerabilities in what is called; asks a database on the net
# make docs   make the generated pages again
# make bench  all loads beside a floor and a peer, into docs/performance.md; about 30 minutes
# make bench-hops  Go benchmarks of the hops that multiply
# make hardening  all attacks at once beside ordinary clients, as docs/security.md has it; about 3 minutes
# make deps   only what the tests need

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Pinned, so that a new check of theirs does not break an old commit of ours.
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
LDFLAGS     := -X magpie/internal/build.version=$(VERSION)
# One set of flags for all that is compiled, so that nothing is compiled twice.
export GOFLAGS := -trimpath -buildvcs=false $(GOFLAGS)
PACKAGES    ?= ./...
BENCH       ?= .
BENCH_ROUNDS ?= 5
BENCH_FLAGS ?=
FUZZTIME    ?= 30s

.PHONY: run build web test test-core test-go test-chat test-browser test-sdk check docs deps bench bench-hops hardening fuzz sbom vulncheck clean

run: build
	@exec bin/magpie serve --log-format $${MAGPIE_LOG_FORMAT:-text}

build: web
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o bin/magpie ./cmd/magpie

# The chat app; without Node the binary has a page that says how to build it.
web:
	@scripts/build-web

test: deps test-go test-chat test-browser test-sdk

test-core:
	@scripts/deps core
	@$(MAKE) --no-print-directory test-go PACKAGES="$$($(GO) list ./... | grep -v '/test/proxy$$' | tr '\n' ' ')"

# The race detector makes things larger and slower; what counts bytes and
# allocations, or sends many megabytes, runs without it, as the binary is built.
test-go:
	$(GO) test -race -timeout 10m $(PACKAGES)
	CGO_ENABLED=0 $(GO) test -count=1 -run 'Idle|Alloc|^TestLarge$$' $$(grep -rlE '^func Test[A-Za-z0-9]*(Idle|Alloc|Large\()' --include=*_test.go cmd internal test | xargs -n1 dirname | sort -u | sed 's,^,./,')

# The chat app's types and its pure parts.
test-chat: web
	scripts/npm-ci web/chat
	cd web/chat && npm run --silent check && npm test --silent

test-browser: build
	scripts/test-node browser

test-sdk: build
	scripts/test-node sdk

check:
	scripts/check-format
	$(GO) vet ./...
	$(GO) vet -tags hardening ./test/attack
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod verify
	$(GO) run ./cmd/magpie config doc | diff -u docs/configuration.md - \
		|| { echo 'docs/configuration.md is not up to date: run make docs' >&2; exit 1; }

docs:
	@mkdir -p bin
	$(GO) run ./cmd/magpie config doc > bin/configuration.md
	mv bin/configuration.md docs/configuration.md

deps:
	@scripts/deps

bench: build
	bench/deps
	cc -O2 -o bin/bench-floor bench/floor/floor.c
	cd bench/peer && $(GO) build -o ../../bin/bench-peer .
	$(GO) build -o bin/bench-suite ./bench/suite
	bin/bench-suite -rounds $(BENCH_ROUNDS) -go $(GO) -doc docs/performance.md $(BENCH_FLAGS)

bench-hops:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./internal/...

fuzz:
	@scripts/deps core
	@scripts/fuzz $(FUZZTIME)

sbom: build
	scripts/sbom > bin/magpie.cdx.json

# It ends with 3 when it found something.
vulncheck:
	@$(GO) run $(GOVULNCHECK) ./... || { code=$$?; [ $$code = 3 ] || echo 'govulncheck could not look: is the Go vulnerability database reachable?' >&2; exit $$code; }

hardening: deps
	$(GO) test -tags hardening -count=1 -timeout 10m -run '^TestHardening$$' -v ./test/attack/

clean:
	rm -rf bin
