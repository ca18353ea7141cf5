# `make` lists the targets. Go and make are all that has to be there; what else
# is needed is installed on the way, and said.

# Go is found where its installer puts it, too.
GO           := $(or $(shell command -v go 2>/dev/null),$(wildcard /usr/local/go/bin/go),go)
GOFMT        := $(or $(shell command -v gofmt 2>/dev/null),$(wildcard $(dir $(GO))gofmt),gofmt)
VERSION      := $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# For the command line, e.g. make demo DEMO_FLAGS="--duration 20s". The bench of
# the size that goals are told for: BENCH_FLAGS="-changes 31500000 -users 2000000
# -reads 1000000"; of edge lists: BENCH_FLAGS="-files path,path".
DEMO_FLAGS   =
TESTFLAGS    =
FUZZTIME     = 30s
BENCH_FLAGS  =
HUGE_FLAGS   =
PACKAGES     = ./...

export GO

.PHONY: help build server demo test test-race test-long fuzz lint bench bench-huge clean

help: ## show this list
	@echo "kith $(VERSION): make TARGET"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

build: ## build bin/kith, static
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/kith ./cmd/kith

server: ## install a MySQL or MariaDB server program if there is none
	@scripts/install-server

demo: build server ## follow a throwaway server with a million rows (DEMO_FLAGS="--duration 20s")
	bin/kith demo $(DEMO_FLAGS)

test: server ## run the tests (TESTFLAGS=-v, PACKAGES=./indexer/...)
	$(GO) test -timeout 15m $(TESTFLAGS) $(PACKAGES)

test-race: server ## run the tests with the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $(TESTFLAGS) $(PACKAGES)

test-long: server ## run the tests at length, with those that only then run, and the checks of every index (build tags "long", "check")
	KITH_TEST_LONG=1 $(GO) test -tags long,check -count 1 -timeout 2h $(TESTFLAGS) $(PACKAGES)

fuzz: ## run every fuzz target for FUZZTIME=30s
	@scripts/fuzz $(FUZZTIME)

lint: ## vet, builds for other systems, formatting, go.mod, staticcheck
	$(GO) vet ./...
	for system in linux/arm64 linux/386 darwin/arm64 windows/amd64; do \
	  CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build ./... || exit 1; done
	@unformatted=$$($(GOFMT) -l .); test -z "$$unformatted" || { echo "gofmt -w these: $$unformatted" >&2; exit 1; }
	$(GO) mod tidy -diff
	$(GO) run $(STATICCHECK) ./...

bench: server ## measure the index beside its peers, redis-server among them, then run the Go benchmarks
	$(GO) build -o bin/bench ./indexer/postings/bench
	bin/bench -redis "$$(scripts/install-redis)" $(BENCH_FLAGS)
	$(GO) test -run '^$$' -bench . -benchmem -timeout 1h $(TESTFLAGS) $(PACKAGES)

bench-huge: ## load a billion edges, both directions, then on until memory ends; half an hour or more, 24 GiB
	$(GO) build -o bin/bench ./indexer/postings/bench
	bin/bench -huge $(HUGE_FLAGS)

clean: ## remove what build has made
	rm -rf bin
