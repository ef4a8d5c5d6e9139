# The verbs of Ringmill. `make` alone lists them. Needs Rust, a C compiler, make and git; nothing else for run and test.

CARGO ?= cargo
SEED  ?= 1
SCENARIO ?= http
FUZZ_MS ?= 600000
N ?= 1000000
HEARTBEAT ?= 30
HOLD ?= 600
ARGS  ?=
# What `make install` writes to: $(PREFIX)/bin/ringmill, ringmill-load and ringmill-lab.
PREFIX ?= $(HOME)/.local

FLOOR = --manifest-path bench/floor/Cargo.toml
PEERS = --manifest-path bench/peers/Cargo.toml
GO ?= go
GO_PATH ?= /usr/share/gocode
# The side-by-side runner looks for programs where cargo puts them by default.
OWN_TARGET = env -u CARGO_TARGET_DIR

.DEFAULT_GOAL := help
.PHONY: million storm conformance knobs help run load demo test check sim fuzz bench bench-peers peers docs install clean

help: ## list the verbs
	@echo 'usage: make VERB [NAME=value]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: ## build and serve: HTTP on 127.0.0.1:8080, echo on :7007, admin on :9090   (ARGS='--cores 0')
	$(CARGO) run --release --locked -p ringmill -- $(ARGS)

load: ## load a server and judge the figures   (ARGS='http://127.0.0.1:8080/ping --rate 10k')
	@# A verdict (exit codes 3 and 4) is an answer, not a failure of make. Scripts that ask for it call the program.
	@$(CARGO) run --quiet --release --locked -p ringmill-load -- $(ARGS) || case $$? in 3|4) ;; *) exit $$? ;; esac

demo: ## serve on free ports, ask some questions, drain, show the report
	$(CARGO) build --release --locked -p ringmill
	bins/ringmill/demo.sh $(CARGO) run --quiet --release --locked -p ringmill --

test: ## everything that must pass
	$(CARGO) test --locked --workspace

check: ## formatting and lints, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

sim: ## replay one simulated run and print its events   (SCENARIO=http SEED=1)
	@$(CARGO) run --quiet --locked -p ringmill-service --example sim -- $(SCENARIO) $(SEED)

fuzz: ## read mutated requests, then made-up frames, for a long time each   (SEED=1 FUZZ_MS=600000)
	RINGMILL_FUZZ_SEED=$(SEED) RINGMILL_FUZZ_MS=$(FUZZ_MS) $(CARGO) test --locked --release -p ringmill-proto --test fuzz
	RINGMILL_FUZZ_SEED=$(SEED) RINGMILL_FUZZ_MS=$(FUZZ_MS) $(CARGO) test --locked --release -p ringmill-proto --test frame fuzz::

bench: ## against the hand-written loops, interleaved rounds   (ARGS='--quick'; see docs and bench/results)
	$(OWN_TARGET) $(CARGO) build --release --locked -p ringmill
	$(OWN_TARGET) $(CARGO) build --release --locked $(FLOOR)
	$(OWN_TARGET) $(CARGO) run --release --locked $(FLOOR) --bin side-by-side -- $(ARGS)

million: ## a million connections with heartbeats in a network namespace; as root   (N=200000 HEARTBEAT=30 HOLD=600)
	$(OWN_TARGET) $(CARGO) build --release --locked -p ringmill -p ringmill-load
	$(OWN_TARGET) $(CARGO) build --release --locked $(FLOOR) --bin rings --bin million
	bench/floor/target/release/million --connections $(N) --heartbeat $(HEARTBEAT) --hold $(HOLD) $(ARGS)

storm: ## connects at a third of the raw accept rate beside traffic that is there already; as root   (ARGS='--rounds 3 --rate 20000')
	$(OWN_TARGET) $(CARGO) build --release --locked -p ringmill -p ringmill-load
	$(OWN_TARGET) $(CARGO) build --release --locked $(FLOOR) --bin storm
	bench/floor/target/release/storm $(ARGS)

bench-peers: peers ## beside the servers that people use instead: tables, a page in bench/results   (ARGS='--quick --only http')
	$(OWN_TARGET) $(CARGO) build --release --locked -p ringmill -p ringmill-load
	$(OWN_TARGET) $(CARGO) build --release --locked $(FLOOR)
	$(OWN_TARGET) $(CARGO) run --release --locked $(FLOOR) --bin side-by-side -- --suite peers $(ARGS)

peers: ## build those servers; what cannot be built is named as absent
	$(OWN_TARGET) $(CARGO) build --release --locked --keep-going $(PEERS) || true
	@# Debian has the sources of fasthttp (golang-github-valyala-fasthttp-dev) where GOPATH says.
	for server in net-http fasthttp; do \
		GO111MODULE=off GOPATH=$(GO_PATH) $(GO) build -o bench/peers/target/release/go-$$server bench/peers/go/$$server.go || true; \
	done

conformance: ## one suite over real sockets on every engine, as docs/CONFORMANCE.md
	$(CARGO) test --locked -p ringmill-service --test conformance > target/conformance.log
	awk -f docs/conformance.awk target/conformance.log > docs/CONFORMANCE.md

knobs: ## every kernel setting that ringmill-lab knows, as docs/KNOBS.md
	$(CARGO) run --quiet --locked -p ringmill-lab -- knobs --markdown > target/KNOBS.md
	mv target/KNOBS.md docs/KNOBS.md

docs: ## the API of every crate, as HTML below target/doc
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items

install: ## put the stripped programs into $(PREFIX)/bin   (PREFIX=~/.local)
	$(CARGO) install --locked --force --profile dist --path bins/ringmill --root '$(PREFIX)' --no-track
	$(CARGO) install --locked --force --profile dist --path bins/ringmill-load --root '$(PREFIX)' --no-track
	$(CARGO) install --locked --force --profile dist --path bins/ringmill-lab --root '$(PREFIX)' --no-track

clean: ## remove what was built
	$(CARGO) clean
	$(CARGO) clean $(FLOOR)
	$(CARGO) clean $(PEERS)
