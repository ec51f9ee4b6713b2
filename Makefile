# Blackbox Relay. Every target is idempotent and quick the second time.

PYTHON ?= python3
# The versions that `make nightly` proves.
PYTHONS := 3.11 3.12 3.13
PORT ?= 8000
# What `make test` and `make nightly` run, in this order.
PARTS := check-and-build test-source test-compiled test-replicas test-bench
NIGHTLY := nightly-source nightly-compiled
# Test files that run at a time: much of what they do is waiting.
WORKERS ?= 4
# A worker takes a file as a whole, in the order of tests/order.py.
SHARED := --dist loadfile --no-loadscope-reorder --durations 12
# What kills and cuts replicas must be fast enough to see it: three files at a time, beside nothing.
ROUGH := tests/replicas
# What measures runs alone.
ALONE := tests/bench
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Containers often forbid Python to keep what it has compiled; each of the hundreds of processes that
# tests start would compile the same modules again, a third of the time that it takes to start.
unexport PYTHONDONTWRITEBYTECODE
# Exactly what is locked: nothing is resolved, whatever has come out since, and no foreign code built
# (but for the one exception of $(CACHE)/proof, which no test needs).
# Nor is all of it compiled, which takes longer than to install it: Python compiles what it imports, once.
LOCKED := --no-deps --require-hashes --only-binary :all: --no-compile
# A copy of the code and its tests, whose way of a frame is compiled, as it is in a wheel.
COMPILED := $(CACHE)/compiled
SOURCES := setup.py tests/compiled.sh $(shell find app blackbox_relay tests -name '*.py' -o -name '*.pxd')
# What leads frames from one socket to the other is tested both ways, as source and compiled;
# conversations from end to end are held by the build that is deployed.
BOTH_WAYS := tests/websocket tests/server tests/protocol tests/relay
DEPLOYED := tests/e2e
NPM_DIRS := $(patsubst %/package.json,%,$(wildcard tests/*/package.json))
NPM_DONE := $(addsuffix /node_modules/.installed,$(NPM_DIRS))

# Of the commit, so that what is built of it can be built again to the byte.
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
REVISION = $(shell git rev-parse HEAD 2>/dev/null)

PROOF_OPTIONS = $(addprefix --seed ,$(SEED)) $(addprefix --seconds ,$(SECONDS))

.DEFAULT_GOAL := help
.PHONY: proof chaos soak scale model help run test check ready bench nightly ready-nightly conformance lock clean \
  wheel sbom licenses audit ready-proof check-and-build \
  test-source test-compiled test-replicas test-bench $(NIGHTLY) $(addprefix python-,$(PYTHONS))

# An environment of another Python than the one that is asked for is made anew.
VERSION := -c 'import sys; print(sys.base_prefix, sys.version)'
ifeq ($(origin PYTHON)$(wildcard $(BIN)/python),command line$(BIN)/python)
  ifneq ($(shell $(PYTHON) $(VERSION)),$(shell $(BIN)/python $(VERSION)))
    $(shell rm -rf $(VENV))
  endif
endif

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(CACHE)/runtime ## start the gateway; without RELAY_BLACKBOX_API_KEY with the emulator and the demo page
	@PORT=$(PORT) $(BIN)/python -m app run

test: $(BIN)/python ## run every test, in parts; each of them alone: make test-source, test-compiled ...
	@$(BIN)/python tests/parts.py --set-up ready $(PARTS)

check: $(CACHE)/development ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# mypy keeps one core busy. Meanwhile the other builds what the tests need, which each of their
# workers would else compile for itself.
check-and-build: ready
	@$(MAKE) --no-print-directory --keep-going --jobs=3 check $(COMPILED)/.built $(CACHE)/bytecode

ready: $(CACHE)/development $(CACHE)/machine $(NPM_DONE)

test-source: ready
	$(BIN)/python -m pytest -m "not nightly" --numprocesses $(WORKERS) $(SHARED) \
	  $(addprefix --ignore=,$(ROUGH) $(ALONE) $(DEPLOYED))

test-compiled: ready $(COMPILED)/.built
	cd $(COMPILED) && ../../$(BIN)/python -m pytest -m "not nightly and not source" --build compiled \
	  --numprocesses $(WORKERS) $(SHARED) $(BOTH_WAYS) $(DEPLOYED)

test-replicas: ready
	$(BIN)/python -m pytest -m "not nightly" --numprocesses 3 $(SHARED) $(ROUGH)

test-bench: ready $(COMPILED)/.built
	$(BIN)/python -m pytest -m "not nightly" $(ALONE)

bench: $(CACHE)/machine $(NPM_DONE) $(COMPILED)/.built ## measure side by side with other relays; BENCH=quick in two minutes
	$(BIN)/python -m tests.bench $(if $(filter quick,$(BENCH)),--quick)

nightly: $(BIN)/python ## the long runs: every supported Python, soak, fuzz, conformance, images
	@$(BIN)/python tests/parts.py --set-up ready-nightly $(addprefix python-,$(PYTHONS)) $(NIGHTLY)

ready-nightly: ready-proof $(CACHE)/machine-nightly

ready-proof: ready $(CACHE)/proof

nightly-source: ready-nightly
	$(BIN)/python -m pytest -m nightly --timeout 3600

nightly-compiled: ready-nightly $(COMPILED)/.built
	cd $(COMPILED) && ../../$(BIN)/python -m pytest -m nightly --timeout 3600 --build compiled $(BOTH_WAYS)

# Everything that `make test` runs, in a copy of the working tree with a Python of its own.
$(addprefix python-,$(PYTHONS)): python-%: $(BIN)/python
	@python="$$($(BIN)/python tests/interpreter.py $*)" \
	  && tests/copy.sh $(CACHE)/python-$* \
	  && $(MAKE) --no-print-directory -C $(CACHE)/python-$* test PYTHON="$$python"

proof: ready-proof ## every proof within its usual bound, and docs/PROOF.md anew; SEED=, SECONDS=
	$(BIN)/python -m tests.proof all $(PROOF_OPTIONS)

chaos: ready ## cuts, rolling releases, crashes, stores' outages; SEED=, SECONDS= (of each)
	$(BIN)/python -m tests.proof chaos $(PROOF_OPTIONS)

soak: ready ## SESSIONS= chats for HOURS= (a minute and a half if not given)
	HOURS=$(HOURS) $(BIN)/python -m tests.proof soak $(PROOF_OPTIONS) $(addprefix --count ,$(SESSIONS))

scale: ready ## simulated replicas on a Redis Cluster: SESSIONS=, SECONDS=; writes docs/scale.json and .svg
	$(BIN)/python -m tests.scale $(addprefix --sessions ,$(SESSIONS)) $(addprefix --seconds ,$(SECONDS))

model: ready ## SCHEDULES= random schedules with crashes, failovers and moving slots (100,000 if not given); writes docs/model.json
	$(BIN)/python -m tests.state.model_run --report docs/model.json $(addprefix --schedules ,$(SCHEDULES)) \
		$(addprefix --seconds ,$(SECONDS)) $(addprefix --first ,$(FIRST)) $(addprefix --processes ,$(PROCESSES))

conformance: $(CACHE)/development $(CACHE)/machine
	$(BIN)/python -m pytest -m nightly tests/websocket/test_autobahn.py

lock: $(CACHE)/development ## resolve the dependencies anew, with hashes
	tests/lock.sh $(BIN)

wheel: $(CACHE)/development ## build a reproducible wheel in dist/
	@mkdir -p dist && rm -rf build dist/blackbox_relay-*.whl
	SOURCE_DATE_EPOCH=$(EPOCH) $(PIP) wheel --quiet --no-deps --no-index --no-build-isolation \
	  --wheel-dir dist .
	@cd dist && sha256sum blackbox_relay-*.whl

sbom: $(CACHE)/development ## write dist/sbom.cdx.json (CycloneDX) from the lock
	@SOURCE_DATE_EPOCH=$(EPOCH) REVISION=$(REVISION) $(BIN)/python -m deploy.sbom dist/sbom.cdx.json

licenses: $(CACHE)/development ## write docs/LICENSES.md from the installed metadata
	@$(BIN)/python -m deploy.licenses

audit: $(BIN)/python ## look the locked packages up among known vulnerabilities (needs pypi.org)
	@deploy/audit.sh $(BIN)

clean: ## remove what the targets built
	rm -rf $(VENV) $(CACHE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf $(addsuffix /node_modules,$(NPM_DIRS))

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv[1:])' $(PYTHONS) || \
	  echo "This Python is not proven here (proven: $(PYTHONS)); it is tried all the same." >&2
	@rm -rf $(VENV) $(CACHE)/runtime $(CACHE)/development $(CACHE)/proof
	$(PYTHON) -m venv $(VENV)

$(CACHE)/runtime: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet $(LOCKED) -r requirements.txt
	@$(PIP) check
	@mkdir -p $(CACHE) && touch $@

$(CACHE)/development: requirements-dev.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet $(LOCKED) -r requirements-dev.txt
	$(PIP) install --quiet --no-deps --no-index --no-build-isolation --editable .
	@$(PIP) check
	@mkdir -p $(CACHE) && touch $@ $(CACHE)/runtime

# cosmic-ray requires yattag, of which no wheel is published: that one alone is built, from the source
# archive with the locked hash, by the setuptools that is installed (in isolation pip would fetch another).
$(CACHE)/proof: requirements-proof.txt $(CACHE)/development
	$(PIP) install --quiet $(LOCKED) --no-binary yattag --no-build-isolation --use-pep517 -r requirements-proof.txt
	@$(PIP) check
	@touch $@

$(CACHE)/machine: tests/apt-packages.txt | $(BIN)/python
	@tests/machine.sh $(BIN)/python $<
	@mkdir -p $(CACHE) && touch $@

$(CACHE)/machine-nightly: tests/apt-packages-nightly.txt | $(BIN)/python
	@tests/machine.sh $(BIN)/python $<
	@mkdir -p $(CACHE) && touch $@

$(COMPILED)/.built: $(CACHE)/development $(CACHE)/machine $(SOURCES)
	tests/compiled.sh $(BIN)/python $(COMPILED)
	@touch $@

$(CACHE)/bytecode: $(CACHE)/development $(CACHE)/machine $(SOURCES)
	@PYTEST_ADDOPTS= $(BIN)/python -m pytest --collect-only -qq > $@.log || { tail -n 60 $@.log; exit 1; }
	@touch $@

%/node_modules/.installed: %/package.json %/package-lock.json | $(CACHE)/machine
	cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
