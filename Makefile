# What a new user and CI call. `make` alone lists it.
# Where Debian has servers, which not every user has in the path.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help demo test lint bench profile image

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: ## the whole thing on this machine: engine, image, certificate, Django, a link to click
	@examples/demo/demo.sh

test: ## all tests, on real parts; installs and starts what they need
	@tests/run.sh

lint: ## format, clippy, cargo-deny
	@tests/setup.sh deny
	cargo fmt --check
	cargo clippy --all-targets --locked -- --deny warnings
	target/tools/bin/cargo-deny check bans licenses sources

bench: ## CPU, memory and time beside nginx, haproxy and others; writes docs/benchmarks.md
	@tests/setup.sh engine image peers
	cargo build --release --locked
	@python3 -B benches/run.py $(BENCH)

profile: ## counts anew what release code is compiled for: benches/release.profdata
	@tests/setup.sh peers profile
	@python3 -B benches/count.py
	cargo clean --release

image: ## the full workspace image: R, the Python libraries, compilers
	workspace-image/build.sh
