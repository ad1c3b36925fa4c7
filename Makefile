# Needs Python 3.11 or later, its pip and venv, and make; each target sets up what it uses in .venv.
#
#   make demo         start the demo news site (http://127.0.0.1:8000 unless PORT says otherwise)
#   make test         all tests, with branch coverage, and the browser tests in a real Chromium
#   make test-slow    only the tests that take long
#   make bench        the benchmarks, each beside its reference
#   make lint types imports docs wheel-check    what CI checks besides
#   make format       apply ruff's formatting and safe fixes

BIN   := .venv/bin
DEMO  := .venv/.has-demo
DEV   := .venv/.has-dev
DOCS  := .venv/.has-docs
PORT  ?= 8000
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow browser bench lint format types imports docs wheel-check clean

help:
	@sed -n 's/^#   //p' Makefile

# The first interpreter that is new enough; PYTHON=... names one outright.
$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "setting up .venv with $$("$$python" --version)"; \
	        exec "$$python" -m venv .venv; \
	    fi; \
	done; \
	echo "consentkit needs Python 3.11 or later, with venv; found only: $$(python3 --version 2>&1)" >&2; \
	echo "name another one with: make PYTHON=/path/to/python3.11" >&2; exit 1

$(DEMO) $(DEV) $(DOCS): .venv/.has-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

demo: $(DEMO)
	@CONSENTKIT_DEMO_PORT_WORDS='make demo PORT=' $(BIN)/consentkit demo --port $(PORT)

browser: $(DEV)
	$(BIN)/python tests/find_browser.py

test: $(DEV) browser
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS)
	$(BIN)/coverage run -m pytest tests/browser
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-slow: $(DEV) browser
	$(BIN)/python -m pytest -m slow --timeout 900

bench: $(DEV)
	$(BIN)/python -m benchmarks

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV)
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --verifytypes consentkit --ignoreexternal

imports: $(DEV)
	$(BIN)/lint-imports

docs: $(DOCS)
	$(BIN)/sphinx-build -E -n -W --keep-going -q docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

# What a user gets: sdist, the wheel made from it, and the demo's own check in an environment with nothing else.
wheel-check: $(DEV)
	@set -eu; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/python -m build --outdir "$$folder/dist" . >"$$folder/build.log" || { cat "$$folder/build.log"; exit 1; }; \
	$(BIN)/python -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
	    "$$(echo "$$folder"/dist/*.whl)[demo]"; \
	cd "$$folder"; unset PYTHONPATH; venv/bin/consentkit demo --check; \
	echo "wheel-check: $$(basename dist/*.whl) works in an empty environment"

clean:
	rm -rf .venv build dist docs/_build htmlcov .coverage .coverage.* .hypothesis \
	    .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
