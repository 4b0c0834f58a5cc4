# Every command of the house. `make` alone lists them.
# Needs python3 (3.11 or newer, with pip), git and make; everything else is fetched into .tools/ and .venv/.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help setup demo up test check fix engines mutations fuzz soak bench docs types web lock clean

# The first Python on PATH that is new enough; `make PYTHON=/path/to/python3.12 ...` overrides it.
PYTHON ?= $(shell for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; exit; }; \
	done; echo python3)
BIN := .venv/bin
ARGS ?=

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Options of the command behind it go into ARGS, for example: make demo ARGS='--rate 2000'"

setup: ## install everything, for work on Tailrace itself
	@$(PYTHON) tools/setup.py

demo: ## start the node, producers and the dashboard
	@$(PYTHON) tools/setup.py --run-only
	@exec $(BIN)/tailrace demo $(ARGS)

up: ## start a node that waits for logs
	@$(PYTHON) tools/setup.py --run-only
	@exec $(BIN)/tailrace up $(ARGS)

test: check ## everything that proves the code: make check, then all tests
	@echo "== tests"
	@$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)

check: setup ## lock, format, lint, types and import rules
	@echo "== lock"
	@$(PYTHON) tools/setup.py --check-lock
	@echo "== format"
	@$(BIN)/ruff format --check .
	@echo "== lint"
	@$(BIN)/ruff check .
	@echo "== types"
	@$(BIN)/mypy
	@echo "== imports"
	@$(BIN)/lint-imports --no-logo
	@echo "== sizes (a report)"
	@$(BIN)/python tools/sizes.py

fix: setup ## format, and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

engines: ## fetch the servers that tests run beside a node (Kafka, DynamoDB Local, ...; needs Maven and a JDK)
	@$(PYTHON) tools/engines.py $(ARGS)

mutations: setup ## undo each rule of the hand-over by a patch, and show which test finds it (5 minutes)
	@$(BIN)/python -m tests.mutations.run $(ARGS)

soak: setup ## an hour under load, kills, clock steps and a full disk, then every number (ARGS='--minutes 10')
	@$(BIN)/python -m tests.soak.run $(ARGS)

fuzz: ## hunt for inputs that break a parser or the HTTP surface (10 minutes; ARGS='--seconds 600 --target NAME')
	@$(PYTHON) tools/setup.py --with fuzz
	@$(BIN)/python -m tests.fuzz.run $(ARGS)

bench: ## measure on this machine: cost of a line, lines a second, delay, memory, queries (an hour)
	@$(PYTHON) tools/setup.py --run-only
	@exec $(BIN)/tailrace bench $(ARGS)

docs: setup ## write the generated pages of docs/ anew
	@$(BIN)/python tools/cli_reference.py docs/cli.md

types: setup ## write the page's types of the HTTP API anew (needs Node, and npm ci in web/)
	@$(BIN)/python tools/api_types.py

web: ## build the dashboard again
	@$(PYTHON) tools/setup.py --rebuild

lock: ## write uv.lock anew from pyproject.toml
	@$(PYTHON) tools/setup.py --lock

clean: ## remove what the commands above made; data stays
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
