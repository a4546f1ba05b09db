# One command each to set up, run, test, check and measure; `make` lists them.
# A run of ours starts thousands of interpreters: compiled once, each is a second quicker.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:

# The interpreter of a new environment; empty: the newest one on PATH that fits.
PYTHON ?=
# Environments of the matrix, separated by commas; `all` for every enabled one.
PROFILE ?= e2e-local
# More arguments for pytest.
ARGS ?=
# Workers of the project's own tests, which wait as much as they compute: more than there are processors.
WORKERS ?= $(shell echo $$(($$(nproc) * 3 / 2)))
# Versions of pytest for test-versions, such as "8.4 9.2"; empty for all.
VERSIONS ?=
# with, without or both.
XDIST ?= both
# The first seed of test-chaos, and how many; `full` for all that there are.
SEED ?= 0
RUNS ?= full

VENV := .venv
RUN := $(VENV)/bin/python
# A copied checkout must not use the environment of its original: stamps belong to one folder.
FOLDER := $(shell pwd -P | cksum | cut -d ' ' -f 1)
REQUIREMENTS := $(VENV)/.requirements-$(FOLDER)
READY := $(VENV)/.ready-$(FOLDER)
# What benchmarks compare with is kept away from what is measured.
BENCH := .venv-bench
BENCH_READY := $(BENCH)/.ready-$(FOLDER)

.PHONY: help setup e2e test test-browser test-versions test-chaos lint lint-code lint-format lint-types lint-stubs lint-artifacts lint-reference reference bench browser engine jars artifacts requirements proto clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## Make .venv with the pinned requirements (PYTHON=python3.x)

$(REQUIREMENTS): requirements/dev.txt
	@sh scripts/venv.sh $(VENV) $(PYTHON)
	@$(RUN) -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	@touch $@

$(READY): $(REQUIREMENTS) pyproject.toml services/pyproject.toml
	@$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable . --editable services
	@$(RUN) -m pip check
	@$(RUN) -m compileall -q src services/esb_services
	@touch $@

e2e: $(READY) ## Bring up PROFILE=e2e-local (a comma list, or all) and run its scenarios (ARGS=...)
	@! $(RUN) scripts/needs_engine.py $(PROFILE) || $(MAKE) engine
	$(RUN) -m pytest -p esb_e2e -p no:hypothesispytest --esb-profile $(PROFILE) -n auto $(ARGS)

test: $(READY) ## Run the project's own tests (WORKERS=N ARGS=...)
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-browser: $(READY) browser ## Run the tests of the HTML report in a headless Chromium (ARGS=...)
	$(RUN) -m pytest -m browser tests/report $(ARGS)

test-versions: $(READY) ## Run the plugin's tests with every pytest, with and without xdist (VERSIONS=8.4 XDIST=with TESTS=...)
	$(RUN) scripts/test_versions.py --xdist $(XDIST) --versions $(VERSIONS) -- $(TESTS) $(ARGS)

test-chaos: $(READY) ## Kill workers, controllers and groups at random moments (SEED=0 RUNS=100 ARGS=...)
	CHAOS_SEED=$(SEED) CHAOS_RUNS=$(RUNS) $(RUN) -m pytest -n $(WORKERS) --dist worksteal tests/chaos $(ARGS)

lint: lint-code lint-format lint-types lint-stubs lint-artifacts lint-reference ## Check code, format, types, and what is generated

lint-code: $(READY)
	$(RUN) -m ruff check .

lint-format: $(READY)
	$(RUN) -m ruff format --check .

lint-types: $(READY)
	$(RUN) -m mypy

lint-stubs: $(READY)
	$(RUN) scripts/proto.py --check

lint-artifacts: $(READY)
	$(RUN) scripts/artifacts.py --check

lint-reference: $(READY)
	$(RUN) scripts/reference.py --check

reference: $(READY) ## Write the tables of docs/reference.md from the code
	$(RUN) scripts/reference.py

bench: $(READY) $(BENCH_READY) ## Measure how fast things are, against the targets (ARGS="docker echo" for some only)
	$(RUN) -m benchmarks $(ARGS)

$(BENCH_READY): requirements/bench.txt
	@sh scripts/venv.sh $(BENCH) $(PYTHON)
	@$(BENCH)/bin/python -m pip install --quiet --require-hashes --requirement requirements/bench.txt
	@touch $@

engine: ## Install and start a Docker engine where none answers, and a JDK with Maven (Debian, root)
	@bash scripts/engine.sh
	@bash scripts/java.sh

browser: ## Install Chromium and its driver where one is missing (Debian, root)
	@bash scripts/browser.sh

jars: $(READY) ## Fetch the jars of Java functions and build theirs (needs a JDK and Maven; ARGS=--lock pins anew)
	$(RUN) scripts/jars.py $(ARGS)

artifacts: $(READY) ## Generate e2e/artifacts from e2e/fixtures (ARGS=--check changes nothing, --force overwrites)
	$(RUN) scripts/artifacts.py $(ARGS)

requirements: ## Pin requirements/ anew; UPGRADE=1 takes the newest versions
	@sh scripts/requirements.sh $(if $(UPGRADE),--upgrade)

proto: $(READY) ## Generate code from the .proto files
	$(RUN) scripts/proto.py

clean: ## Remove .venv, caches and build output; environments that were kept stay
	rm -rf $(VENV) $(BENCH) .venv-versions .mypy_cache .pytest_cache .ruff_cache .hypothesis dist services/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
