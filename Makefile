# `make serve` and `make test` work on a fresh clone with Python 3.11+, Node 20+, npm and make.

PYTHON ?= python3
MODEL ?= nano
PORT ?= 8000

VENV := .venv
BIN := $(VENV)/bin
# What building and serving takes; tests want a browser too.
SITE_SETUP := $(VENV)/.python-ready web/node_modules/.ready
SETUP := $(SITE_SETUP) $(VENV)/.browser-ready
PYTEST := $(BIN)/python -m pytest
# Each worker takes whole files, the long ones first, each with a Chromium (see tests/parallel.py).
# One more than there are cores: a test waits for its browser a good part of the time.
WORKERS ?= 3
IN_PARALLEL := --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
# Pytest's workers have all cores; and set-up comes first. Only what says so runs side by side.
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif
# Every worker, and every command that a test starts, would compile the package's Python anew.
unexport PYTHONDONTWRITEBYTECODE

BESIDE := $(MAKE) --no-print-directory --jobs 2 SIDE_BY_SIDE=1
.PHONY: help setup serve build wheel test unit built lint types format kernels model browser clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP) ## Install everything: .venv, web/node_modules, a Chromium

$(VENV)/.python-ready: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

web/node_modules/.ready: web/package.json web/package-lock.json
	cd web && npm ci --loglevel=error
	@touch $@

# A Chromium on this machine serves as it is; else Playwright's own; else the distribution's.
$(VENV)/.browser-ready: $(VENV)/.python-ready
	@$(BIN)/python -m leadout_build.serving.browser \
	  || $(BIN)/python -m playwright install chromium \
	  || { test "$$(id -u)" = 0 && command -v apt-get && apt-get update -q \
	       && DEBIAN_FRONTEND=noninteractive apt-get install -y -q chromium; } \
	  || { echo "No Chromium: install one, or set LEADOUT_CHROMIUM to its path." >&2; exit 1; }
	@touch $@

serve: $(SITE_SETUP) ## Build the site and serve it, with Nano; or with another MODEL, fetched if absent
	$(BIN)/leadout pull $(MODEL)
	$(BIN)/leadout build
	$(BIN)/leadout serve --port $(PORT) --model $(MODEL)

build: $(SITE_SETUP) ## Build the site into dist/
	$(BIN)/leadout build

wheel: build ## One wheel with the built site and Nano, into wheelhouse/
	rm -rf wheelhouse
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation \
	  --no-deps --wheel-dir wheelhouse .
	@ls wheelhouse/*.whl

test: ## Run every check, as CI does
	@$(BESIDE) setup lint
	@$(BESIDE) types unit
	$(PYTEST) $(IN_PARALLEL) tests/built tests/kernels tests/model tests/browser

lint: $(VENV)/.python-ready ## Ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.python-ready web/node_modules/.ready ## mypy and tsc
	$(BIN)/mypy
	cd web && npm run --silent types

unit: setup ## Tests without a browser or a build; run them at every save
	$(PYTEST) $(IN_PARALLEL) tests/unit

built: setup ## What is built: kernels, bytecode, the site, the wheel
	$(PYTEST) $(IN_PARALLEL) tests/built

kernels: setup ## Every kernel variant against its twin, in Chromium
	$(PYTEST) $(IN_PARALLEL) tests/kernels

model: setup ## The engine on real weights, on the NumPy device
	$(PYTEST) $(IN_PARALLEL) tests/model

browser: setup ## The whole app in Chromium
	$(PYTEST) $(IN_PARALLEL) tests/browser

format: $(VENV)/.python-ready ## Let Ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what builds and tools leave behind; .venv and web/node_modules stay
	rm -rf dist wheelhouse .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find pyapp build tests -name __pycache__ -type d -prune -exec rm -rf {} +
