# Everything works from a fresh checkout with git, make, python3 (3.11 or newer) and python3-venv. No root.
# Paths are relative on purpose: the checkout may live under a directory with blanks in its name.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
DEMO_OPTIONS ?=
PYTEST_OPTIONS ?=

.PHONY: help demo test check bench campaign death-trials suspend-trials mutation safety-report protections devices udev api pictures clean venv

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

# Installed once: the stamps make the second call fast. `dev` contains everything that `run` has.
.venv/run.stamp: pyproject.toml
	@[ -x .venv/bin/pip ] || { echo "creating .venv" >&2; $(PYTHON) -m venv --clear .venv; }
	@echo "installing hashbridge into .venv" >&2
	@$(PIP) install --editable .
	@touch $@

.venv/dev.stamp: pyproject.toml
	@[ -x .venv/bin/pip ] || { echo "creating .venv" >&2; $(PYTHON) -m venv --clear .venv; }
	@echo "installing hashbridge and its development tools into .venv" >&2
	@$(PIP) install --editable '.[dev]'
	@touch $@ .venv/run.stamp

venv: .venv/dev.stamp ## the virtual environment, with development tools

demo: .venv/run.stamp ## the screens on an emulated Bitaxe Gamma; without a terminal: a headless run, about 30 s
	@if [ -t 0 ] && [ -t 1 ]; then exec $(PY) -m controller tui --emulate bitaxe-gamma --unlock range --start $(DEMO_OPTIONS); \
	else exec $(PY) -m controller run --emulate bitaxe-gamma --self-test 5 --work synthetic --seconds 6 \
	    $(DEMO_OPTIONS); fi

# Virtual time and the screens keep two cores busy; processes mostly wait, and a board whose rig or emulator gets no core
# for 2 s trips, as it should: what failed there beside others is run again with nothing beside it, and has to pass then.
# The death trials measure, and want the machine alone.
ON_THE_CLOCK := -m "real_time and not alone and not soak and not hil"
PROCESSES := $(ON_THE_CLOCK) --ignore tests/tui

define TESTS
	@$(PY) -m pytest -q -n 2 -m "not real_time and not soak and not hil" $(PYTEST_OPTIONS)
	@$(PY) -m pytest -q -n 2 $(ON_THE_CLOCK) tests/tui $(PYTEST_OPTIONS)
	@$(PY) -m pytest -q -n 3 $(PROCESSES) $(PYTEST_OPTIONS) || { \
	    echo "what failed beside other tests, once more and alone:"; \
	    $(PY) -m pytest -q --last-failed --last-failed-no-failures none $(PROCESSES) $(PYTEST_OPTIONS); }
	@$(PY) -m pytest -q -m "alone and not soak and not hil" $(PYTEST_OPTIONS)
endef

test: .venv/dev.stamp ## all tests but soak and hardware
	$(TESTS)

check: .venv/dev.stamp ## ruff, mypy and all tests
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	$(TESTS)

bench: .venv/dev.stamp ## measures, about 12 minutes; JSON on stdout and in bench.json
	@$(PY) -m tests.bench --out bench.json

BOARD ?= bitaxe-gamma

safety-report: .venv/dev.stamp ## how soon a BOARD is safe after each fault, in virtual time; Markdown
	@$(PY) -m tests.safety_report --board $(BOARD)

N ?= 200
SEED ?= 1
MINUTES ?= 10
JOBS ?= 2
ONLY ?=
CAMPAIGN_OPTIONS ?=

campaign: .venv/dev.stamp ## N=200 random lives of a BOARD with faults, judged by what was really so; SEED, MINUTES, JOBS, ONLY=index
	@$(PY) -m tests.campaign --board $(BOARD) --scenarios $(N) --seed $(SEED) --minutes $(MINUTES) --jobs $(JOBS) \
	    $(if $(ONLY),--only $(ONLY)) $(CAMPAIGN_OPTIONS)

TRIALS ?= 50

death-trials: .venv/dev.stamp ## kills and freezes rigs, sentinels and clients of a BOARD, TRIALS=50 times each, and times the rail; Markdown
	@$(PY) -m tests.deaths --board $(BOARD) --trials $(TRIALS)

suspend-trials: .venv/dev.stamp ## puts THIS MACHINE to sleep TRIALS times while an emulated BOARD hashes, and times the rail; root; Markdown
	@$(PY) -m tests.deaths.suspends --board $(BOARD) --trials $(TRIALS)

protections: .venv/dev.stamp ## writes the table of docs/safety.md anew from the rows of the boards
	@$(PY) -m tests.protections --write docs/safety.md

devices: .venv/dev.stamp ## writes the table of supported devices in README.md anew from the rows of the boards
	@$(PY) -m tests.devices --write README.md

MUTATION_OPTIONS ?=

mutation: .venv/dev.stamp ## takes one safety rule out at a time; each has to make a test fail; long; JOBS
	@$(PY) -m tests.mutation --jobs $(JOBS) $(MUTATION_OPTIONS)

udev: .venv/run.stamp ## writes udev/ anew from the table of boards
	@$(PY) -m drivers.discovery --write udev

api: .venv/dev.stamp ## writes docs/api.md anew from the docstrings of the library
	@$(PY) -m tests.api_page --write docs/api.md

pictures: .venv/dev.stamp ## writes the pictures of docs/tour.md anew from a recorded run
	@$(PY) -m tests.tour --write docs/pictures

clean: ## removes what the other targets made
	@rm -rf .venv build dist bench.json .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
