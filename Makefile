# make demo and make test set up everything themselves; see README.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# One thread a process: processes run side by side, and sums come out the same every time.
export OMP_NUM_THREADS = 1
export KMP_BLOCKTIME = 0
# TORCH_INDEX=URL takes torch from that package index (see README, Installation).
TORCH_INDEX ?=
PIP_TORCH := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),)

.PHONY: setup demo test test-slow bench system system-corpus format clean

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_TORCH) -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: setup
	$(BIN)/quantascope demo

test: setup
	$(BIN)/ruff format --check src tests benchmarks examples scripts
	$(BIN)/ruff check src tests benchmarks examples scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q --doctest-modules src/quantascope
	$(BIN)/pytest -n 2 --dist loadfile

test-slow: setup
	$(BIN)/pytest -m slow

bench: setup
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

# Debian packages that the browser tests need.
system:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core

# Documentation packages behind the named source `debian`; needs no root.
system-corpus:
	sh scripts/system_corpus.sh

format: setup
	$(BIN)/ruff check --fix src tests benchmarks examples scripts
	$(BIN)/ruff format src tests benchmarks examples scripts

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
