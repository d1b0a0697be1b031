# Everything a developer does here. Needs python3 (3.11 or newer), git and make, and `make test` also Go, Node and root
# on Debian (`make test-fast` does without); the rest is set up on first use:
# .tools/ (the installer uv), .venv/ (the environment). Downloads are cached by uv, compiled kernels in SELECTION_CACHE.

SHELL := bash
.DEFAULT_GOAL := help
PYTHON ?= python3
SELECTION_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/selection-operator
PYTEST_ARGS ?=
WORKERS ?= 2

UV := .tools/bin/uv
BIN := .venv/bin
INSTALLED := .venv/installed
PYTHON_SOURCES := crds operator job_image examples benchmarks

# Kernels compiled by numba (UMAP's among them) belong to these versions: another set of versions gets another folder.
export NUMBA_CACHE_DIR := $(SELECTION_CACHE)/numba-$(firstword $(shell cksum < constraints.txt))
export UV_HTTP_TIMEOUT ?= 180

# Workers share the cores; which worker takes which tests is told in tests/cluster/testbed/spreading.py.
SHARES := $(or $(filter-out 0,$(WORKERS)),1)
THREADS := $(shell echo $$((($$(getconf _NPROCESSORS_ONLN) + $(SHARES) - 1) / $(SHARES))))
BOUNDED := OMP_NUM_THREADS=$(THREADS) NUMBA_NUM_THREADS=$(THREADS)
PYTEST := $(BOUNDED) $(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder

.PHONY: help setup demo prepare test test-fast check generate bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s  %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## Set up .venv (every other target does so by itself)

demo: $(INSTALLED) ## Make a dataset of photographs and run examples/simple.yaml on it
	$(BIN)/python examples/make_demo_dataset.py
	$(BIN)/selection-job run examples/simple.yaml
	@echo '  The same with a training on these images first (a hundred epochs: long on a CPU):'
	@echo '  $(BIN)/selection-job run examples/training.yaml'

prepare: $(INSTALLED) ## Install and build what the tests need besides: programs, images, a detector
	$(BIN)/python tests/cluster/testbed/prerequisites.py
	$(BIN)/python tests/cluster/testbed/builds.py

test: check prepare ## All checks and all tests; takes Go, Node and root, and installs what Debian has of the rest
	$(PYTEST) $(PYTEST_ARGS)

test-fast: $(INSTALLED) ## The tests that take no training, no UMAP, no cluster and no root
	$(PYTEST) -m "not slow and not cluster and not servers and not root" $(PYTEST_ARGS)

check: $(INSTALLED) ## Style, types, import contracts, freshness of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PYTHON_SOURCES) helm/render.py helm/selection-operator/files/check_installation.py
	$(BIN)/lint-imports
	$(BIN)/python crds/generate.py --check
	$(BIN)/python job_image/generate_report_schema.py --check

generate: $(INSTALLED) ## Write the generated files anew (CRD, field reference, report's schema, chart's CRD, kustomize base)
	$(BIN)/python crds/generate.py
	$(BIN)/python job_image/generate_report_schema.py
	$(BIN)/python helm/render.py

bench: $(INSTALLED) ## Run each benchmark in benchmarks/
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit; done

clean: ## Remove what make has made in this folder
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt | $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" .venv
	$(UV) pip install --python $(BIN)/python --editable '.[job,operator,demo]' --group dev --constraint constraints.txt
	touch $@

$(UV):
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet 'uv>=0.9'
