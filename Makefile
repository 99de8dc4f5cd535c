# Bare `make` lists the targets. Everything is built where it is needed and only when its sources changed; what
# takes long says so.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Tests wait for an API server most of the time: four at once keep two cores busy.
export RUST_TEST_THREADS ?= 4

# One profile and one set of features for demo and tests, so that nothing is compiled twice.
CARGO_FLAGS := --locked --features sim
HOSTWRIGHT := target/debug/hostwright
HELM := target/devcluster/helm
# ONCE=1 plays the demo's whole story without a terminal. KEEP=1 leaves its logs and data in target/demo.
DEMO_FLAGS := --folder target/demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(filter-out 0,$(KEEP)),--keep)
SCRIPTS = $(shell git ls-files '*.sh' .ci/run tests/wordpress/pct)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build stage ## three sites on a real API server with simulated back-ends; ONCE=1 plays a whole story and proves its end
	@exec $(HOSTWRIGHT) demo $(DEMO_FLAGS)

.PHONY: test
test: test-rust test-devcluster test-wordpress chart-check ## everything, as CI: Rust tests, tests of the API server, the real WordPress, chart, the demo's story
	@# The program of the tests: built once.
	@exec $(HOSTWRIGHT) demo --folder target/demo --once

.PHONY: test-rust
test-rust: prerequisites stage ## the Rust tests alone; ARGS="--test suite site_life" picks some
	@hack/prerequisites.sh sshd named named-checkzone setpriv script
	cargo test $(CARGO_FLAGS) --all-targets $(ARGS)

# Exit status 77 is the script's word that this machine cannot do it, and why; everything else is a failure.
.PHONY: test-wordpress
test-wordpress: prerequisites ## install the real WordPress in a Debian container; needs root and Debian (the first time 1 minute more)
	@origin=$$(hack/wordpress/root.sh) || { status=$$?; [[ $$status == 77 ]] && exit 0; exit $$status; }; \
	  HOSTWRIGHT_WORDPRESS_ROOT=$$origin cargo test $(CARGO_FLAGS) --test wordpress $(ARGS)

.PHONY: test-devcluster
test-devcluster: stage ## the tests of the API server's program
	hack/devcluster/test.sh

.PHONY: bench
bench: prerequisites stage ## measure many sites; ARGS="--objects 2000" changes how many
	cargo run --release $(CARGO_FLAGS) -- bench $(ARGS)

# ONCE=1 is a small run that shows whether everything works; its figures mean little. DOCS=1 writes docs/performance.md.
ifneq ($(filter-out 0,$(ONCE)),)
PEERS_FLAGS := --objects $(or $(ZONES),50) --rounds $(or $(ROUNDS),1) --resync 5s --idle 8s --limit 2m
else
PEERS_FLAGS := --objects $(or $(ZONES),2000) --rounds $(or $(ROUNDS),3)
endif
PEERS_FLAGS += $(if $(filter-out 0,$(DOCS)),--docs)

.PHONY: bench-peers
bench-peers: prerequisites stage bench-peers-programs ## race against peers in Python and Go; ZONES=, ROUNDS=, DOCS=1, ONCE=1 is small
	cargo run --release $(CARGO_FLAGS) -- bench-peers $(PEERS_FLAGS) $(ARGS)

.PHONY: bench-peers-programs
bench-peers-programs: ## the peers' programs: target/bench/peers (first build: 1 minute)
	@hack/prerequisites.sh go flock python3
	@bench/peers/build.sh

.PHONY: build
build: prerequisites
	@[[ -x $(HOSTWRIGHT) ]] || echo "compiling Rust: the first time about 2 minutes on two cores" >&2
	@cargo build --quiet $(CARGO_FLAGS)

.PHONY: devcluster
devcluster: ## the real API server for demo and tests: target/devcluster/devcluster (first build: 5 minutes)
	@hack/prerequisites.sh go flock
	@hack/devcluster/build.sh

.PHONY: helm
helm: ## Helm, from its Go module: target/devcluster/helm (first build: 2 minutes more)
	@hack/prerequisites.sh go flock
	@hack/helm/build.sh

# What the demo's cluster needs: its programs, and the rights that the chart gives to the operator.
.PHONY: stage
stage: devcluster helm
	@hack/chart/rights.sh

.PHONY: generate
generate: build ## write the resource definitions into crds/ and the chart, and their reference into docs/
	$(HOSTWRIGHT) crds --out crds
	$(HOSTWRIGHT) crds --out charts/hostwright/crds
	$(HOSTWRIGHT) crds --docs docs/crd-reference.md

.PHONY: generate-check
generate-check: build ## fail when the resource definitions or their reference are not up to date
	$(HOSTWRIGHT) crds --check --out crds
	$(HOSTWRIGHT) crds --check --out charts/hostwright/crds
	$(HOSTWRIGHT) crds --check --docs docs/crd-reference.md

.PHONY: lint
lint: format-check clippy doc lint-shell lint-go lint-python ## formatting, Clippy with and without simulators, rustdoc, ShellCheck, gofmt, go vet, Python

.PHONY: format-check
format-check: prerequisites
	cargo fmt --check

.PHONY: clippy
clippy: prerequisites
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

.PHONY: doc
doc: prerequisites
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps $(CARGO_FLAGS)

.PHONY: lint-shell
lint-shell:
	@hack/prerequisites.sh shellcheck
	shellcheck --external-sources $(SCRIPTS)

.PHONY: lint-go
lint-go: devcluster
	@[[ -z "$$(gofmt -l hack bench)" ]] || { echo "not formatted: $$(gofmt -l hack bench)" >&2; exit 1; }
	@# With other settings than the build's, Go would compile all of Kubernetes once more.
	cd hack/devcluster && CGO_ENABLED=0 go vet -trimpath ./...
	cd bench/peers/controller-runtime && CGO_ENABLED=0 go vet -trimpath ./...

.PHONY: lint-python
lint-python:
	@hack/prerequisites.sh python3
	python3 -W error -c 'import ast, pathlib, sys; [ast.parse(pathlib.Path(p).read_text(), p) for p in sys.argv[1:]]' $(shell git ls-files '*.py')

.PHONY: chart-check
chart-check: helm ## lint the Helm chart, render it with all sorts of values, try its alerts
	@hack/prerequisites.sh promtool
	hack/chart/check.sh

.PHONY: ci
ci: ## what CI runs
	.ci/run

.PHONY: prerequisites
prerequisites:
	@hack/prerequisites.sh cargo cc ld

.PHONY: clean
clean: ## remove everything that was built here; caches outside stay
	rm -rf target
