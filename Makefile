# Every target does its own set-up once; a stamp file in .venv makes the second run quick.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
# Half of its time a test waits for another process.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))

.PHONY: help demo test check bench benchsql soak docs clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

# What is built of C is built by the installation.
BUILT := scripts/build_hook.py src/pdelta/filesystem/batch/calls.c

.venv/runtime.stamp: pyproject.toml constraints.txt scripts/set_up.sh $(BUILT)
	@scripts/set_up.sh runtime

.venv/dev.stamp: pyproject.toml constraints.txt scripts/set_up.sh $(BUILT)
	@scripts/set_up.sh dev

demo: .venv/runtime.stamp ## Take the tour in a temporary folder
	@$(BIN)/pdelta demo

test: .venv/dev.stamp ## Run every test, against a real sshd on loopback
	@scripts/set_up.sh tools
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: .venv/dev.stamp ## Format, lint, types, architecture, documents, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_docs.py
	$(BIN)/python -m pytest -n $(WORKERS) tests/unit

bench: .venv/dev.stamp ## Compare with rsync over one sshd; BENCH='--scale 0.02 --runs 1' for a smoke test
	@scripts/set_up.sh tools
	$(BIN)/python -m benchmarks $(BENCH)

benchsql: .venv/dev.stamp ## Compare roll-outs of SQL with Alembic and node-pg-migrate; BENCH as above
	@scripts/set_up.sh tools
	$(BIN)/python -m benchmarks.sql $(BENCH)

# These try every fail point where `make test` tries some, and as many random cases and races as hours have room for.
SOAKED := tests/contracts tests/faults tests/hostile tests/properties

soak: .venv/dev.stamp ## Run the long tests: races and kills by the million
	@scripts/set_up.sh tools
	PDELTA_SOAK=1 $(BIN)/python -m pytest -n $(WORKERS) -o faulthandler_timeout=0 $(SOAKED)

docs: .venv/dev.stamp ## Check every link, command and format example of the documents
	$(BIN)/python scripts/check_docs.py

clean: ## Remove what the other targets made
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
