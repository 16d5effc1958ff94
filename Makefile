SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint bench

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEEL := build/lint/site
CONSTRAINTS := .ci/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

# pip prefers the CPU build where an index or --find-links has it; point TORCH_INDEX at one, or pip may take the CUDA
# build (gigabytes).
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.runtime  ## Install the run time into .venv and judge and rewrite a few texts
	@$(BIN)/python examples/demo.py

test: $(VENV)/.dev  ## Run the tests
	@$(BIN)/pytest

coverage: $(VENV)/.dev  ## Run the tests and print the branch coverage of the run time, then of the training code
	@$(BIN)/pytest --cov --cov-report=
	@echo "coverage of the run time"; $(BIN)/coverage report --omit='training/*'
	@echo "coverage of the training code"; $(BIN)/coverage report --include='training/*'

lint: $(VENV)/.dev  ## Check style and format, then types and layers on the installed wheel
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@rm -rf build
	@$(PIP) install --no-deps --no-build-isolation --target $(WHEEL) .
	@cd $(WHEEL) && $(CURDIR)/$(BIN)/lint-imports --config $(CURDIR)/pyproject.toml --no-cache
	@cd $(WHEEL) && MYPYPATH=$(CURDIR) $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml \
		--cache-dir $(CURDIR)/.mypy_cache --python-executable $(CURDIR)/$(BIN)/python \
		--explicit-package-bases guardrail $(CURDIR)/tests $(CURDIR)/examples

bench: $(VENV)/.runtime  ## Measure latency, throughput and memory on this machine
	@$(BIN)/guardrail bench

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: pyproject.toml | $(VENV)/.created
	@echo "installing guardrail-sdk into $(VENV) ..."
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(CONSTRAINTS) | $(VENV)/.created
	@echo "installing guardrail-sdk[all,dev,train] into $(VENV) ..."
	@$(PIP) install --constraint $(CONSTRAINTS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$(TORCH)" \
		|| { echo "no $(TORCH) here: set TORCH_INDEX to an index that has it, or TORCH to another build"; exit 1; }
	@$(PIP) install --constraint $(CONSTRAINTS) --editable '.[all,dev,train]'
	@touch $@ $(VENV)/.runtime
