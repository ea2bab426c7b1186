# Everything that people and CI do here. `make` alone lists it.
#
# A fresh machine needs git, make and Python 3.11 or later; Redis, Node and Chromium are looked for and, where they are
# missing and it can be done without harm, brought into .venv (Chromium: Debian's package, as root or under CI only).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NONE_CHOSEN := 5  # what pytest says when ARGS chose nothing of a part
export PATH := $(abspath $(BIN)):$(PATH)
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-long chaos check fix lab js notebooks bench bench-planning clean browser

help:  ## this list
	@echo "dagnb: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*##  *\(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/.run  ## run the first notebook here in the terminal; says where the result lies
	@$(BIN)/dagnb demo

test: $(VENV)/.dev node_modules/.made browser  ## all tests, the browser's included (what takes minutes is in test-long)
	@npm test --silent
	@$(BIN)/python -m pytest -m "beside and not long" -n 2 --dist worksteal $(ARGS) || [ $$? -eq $(NONE_CHOSEN) ]
	@$(BIN)/python -m pytest -m "not beside and not long" $(ARGS) || [ $$? -eq $(NONE_CHOSEN) ]

test-long: $(VENV)/.dev node_modules/.made browser  ## the tests that take minutes
	@$(BIN)/python -m pytest -m long $(ARGS)

chaos: $(VENV)/.dev  ## every fault with SEEDS seeds, and how soon things are as before: SEEDS=100 ARGS="--only frozen"
	@$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),10) $(ARGS)

check: $(VENV)/.dev node_modules/.made  ## format, lint, types, import contract, TypeScript, lock files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "make fix formats these files"; $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/lint-imports --no-cache --no-logo --config .ci/acyclic.toml
	@npm run --silent check
	@! grep -nE '"resolved": *"https?:' package-lock.json || { echo "package-lock.json names download addresses: npm install --omit-lockfile-registry-resolved"; exit 1; }

fix: $(VENV)/.dev node_modules/.made  ## format and mend what can be mended by machine
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@npm run --silent fix --if-present

lab: $(VENV)/.run  ## JupyterLab on the example notebooks
	@$(BIN)/jupyter lab notebooks/01-first-dag.ipynb

js: node_modules/.made  ## build the widget's ES module into dagnb/widgets/bundle/
	@npm run --silent build

notebooks: $(VENV)/.dev  ## execute the example notebooks and keep what they show
	@$(BIN)/python .ci/notebooks.py notebooks/*.ipynb

bench: $(VENV)/.dev  ## dagnb against its peers, one table: ARGS="P1 --rounds 3" selects
	@$(BIN)/python benchmarks/engine.py $(ARGS)

bench-planning: $(VENV)/.dev  ## planners on WfFormat traces, forecasts, annotations: ARGS="FOLDER", see benchmarks/
	@$(PIP) install --editable '.[bench]'
	@$(BIN)/python benchmarks/planning.py $(ARGS)

clean:  ## remove what was built, .venv included
	@rm -rf build dist $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- what the targets need; each is made once and again when its list changes

$(BIN)/python:
	@$(PYTHON) .ci/need_python.py
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "installing dagnb and what runs notebooks …"
	@$(PIP) install --editable '.[notebook]'
	@$(BIN)/python .ci/need_redis.py
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing dagnb and what its tests need …"
	@$(PIP) install --editable '.[dev]'
	@$(BIN)/python .ci/need_redis.py
	@touch $@ $(VENV)/.run

node_modules/.made: package-lock.json $(VENV)/.dev
	@$(BIN)/python .ci/need_node.py
	@npm ci --no-audit --no-fund --silent
	@touch $@

browser:
	@.ci/need_browser
