# Blackbox Relay. Every target is idempotent and quick the second time.

PYTHON ?= python3
PORT ?= 8000
# Test files that run at a time: much of what they do is waiting.
WORKERS ?= 3
# What kills and cuts replicas must be fast enough to see it: two files at a time, beside nothing.
ROUGH := tests/replicas
# What measures runs alone.
ALONE := tests/bench
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
# A copy of the code and its tests, whose way of a frame is compiled, as it is in a wheel.
COMPILED := $(CACHE)/compiled
SOURCES := setup.py tests/compiled.sh $(shell find app tests -name '*.py' -o -name '*.pxd')
# What leads frames from one socket to the other is tested both ways, as source and compiled;
# conversations from end to end are held by the build that is deployed.
BOTH_WAYS := tests/wire tests/protocol tests/relay
DEPLOYED := tests/e2e
NPM_DIRS := $(patsubst %/package.json,%,$(wildcard tests/*/package.json))
NPM_DONE := $(addsuffix /node_modules/.installed,$(NPM_DIRS))

.DEFAULT_GOAL := help
.PHONY: help run test check bench nightly lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(CACHE)/runtime ## start the gateway; without RELAY_BLACKBOX_API_KEY with the emulator and the demo page
	@PORT=$(PORT) $(BIN)/python -m app run

test: check $(CACHE)/machine $(NPM_DONE) $(COMPILED)/.built ## run every test
	$(BIN)/python -m pytest -m "not nightly" --numprocesses $(WORKERS) --dist loadfile --durations 12 \
	  $(addprefix --ignore=,$(ROUGH) $(ALONE) $(DEPLOYED))
	cd $(COMPILED) && ../../$(BIN)/python -m pytest -m "not nightly and not source" --build compiled \
	  --numprocesses $(WORKERS) --dist loadfile --durations 12 $(BOTH_WAYS) $(DEPLOYED)
	$(BIN)/python -m pytest -m "not nightly" --numprocesses 2 --dist loadfile --durations 12 $(ROUGH)
	$(BIN)/python -m pytest -m "not nightly" $(ALONE)

check: $(CACHE)/development ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(CACHE)/machine $(NPM_DONE) $(COMPILED)/.built ## measure side by side with other relays
	$(BIN)/python -m tests.bench

nightly: $(CACHE)/machine $(NPM_DONE) $(COMPILED)/.built ## the long runs: soak, fuzz, conformance, images
	$(BIN)/python -m pytest -m nightly --timeout 3600
	cd $(COMPILED) && ../../$(BIN)/python -m pytest -m nightly --timeout 3600 --build compiled $(BOTH_WAYS)

lock: $(CACHE)/development ## resolve the dependencies anew, with hashes
	tests/lock.sh $(BIN)

clean: ## remove what the targets built
	rm -rf $(VENV) $(CACHE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf $(addsuffix /node_modules,$(NPM_DIRS))

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(CACHE)/runtime: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@mkdir -p $(CACHE) && touch $@

$(CACHE)/development: requirements-dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@mkdir -p $(CACHE) && touch $@ $(CACHE)/runtime

$(CACHE)/machine: tests/apt-packages.txt
	@tests/machine.sh tests/apt-packages.txt
	@mkdir -p $(CACHE) && touch $@

$(COMPILED)/.built: $(CACHE)/development $(CACHE)/machine $(SOURCES)
	tests/compiled.sh $(BIN)/python $(COMPILED)
	@touch $@

%/node_modules/.installed: %/package.json %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
