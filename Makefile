# Carillon. `make help` lists what there is. Every target sets itself up; ARGS= goes to its program.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help up demo test check bench faults format lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "%-8s %s\n", $$1, $$2}' Makefile

up: $(VENV)/.runtime ## Run the whole product on embedded defaults
	@exec $(BIN)/carillon up $(ARGS)

demo: $(VENV)/.runtime ## Run the main job once, killing workers on the way, and prove it
	@exec $(BIN)/carillon demo $(ARGS)

bench: $(VENV)/.runtime ## Measure: make bench ARGS="plan --messages 1000000 --json"
	@exec $(BIN)/carillon bench $(ARGS)

test: $(VENV)/.dev ## Run the tests: make test ARGS="-k leases"
	@scripts/test.sh $(ARGS)

faults: $(VENV)/.dev ## Break things, compare the ledgers: make faults ARGS="--only kills"
	@exec $(BIN)/python -m tests.faults $(ARGS)

check: $(VENV)/.dev ## Formatter, linter, types, layers, dependencies
	@scripts/check.sh $(ARGS)

format: $(VENV)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: $(VENV)/.uv ## Resolve the dependencies anew: make lock ARGS=--upgrade
	@scripts/lock.sh $(ARGS)

$(VENV)/.uv: scripts/venv.sh
	@PYTHON="$(PYTHON)" scripts/venv.sh $(VENV) >&2
	@touch $@

$(VENV)/.runtime: $(VENV)/.uv requirements.lock pyproject.toml
	@scripts/install.sh $(VENV) requirements.lock >&2
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@scripts/install.sh $(VENV) requirements-dev.lock >&2
	@touch $@
