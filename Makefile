# make demo    set up, then the main job on the embedded default
# make test    set up, then the whole test suite
# make check   lint, types and the import-direction test

VENV   ?= .venv
OUT    ?= demo
JOBS   ?= 2
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TOOLS  := $(VENV)/.installed-for-tests

.PHONY: demo test lint types layers check setup
.DEFAULT_GOAL := demo

demo: $(STAMP)
	$(BIN)/synth demo $(OUT)

test: $(TOOLS)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

check: lint types layers

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TOOLS)
	$(BIN)/mypy

layers: $(TOOLS)
	$(BIN)/python -m pytest -q tests/frame/test_imports.py

setup: $(TOOLS)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $(STAMP)

$(TOOLS): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $(TOOLS)
