# Everything a newcomer or a CI machine needs. `make` alone explains itself.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
OUT    ?= runs/demo
RUNS   ?= 100000
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test check format fuzz clean

help:  ## Show this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## Fine-tune MiniLM on two tasks over the real GPS of 1,477 Warsaw buses, with UCB-DUAL; leaves runs/demo/report.html
	$(BIN)/fleetlora run warsaw --method ucb-dual --out $(OUT) --overwrite
	@echo "open $(OUT)/report.html"

# One thread a worker: two workers with two threads each would wait for one another on two cores.
test: $(STAMP)  ## Run all tests, with line coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=90

check: $(STAMP)  ## Check style and types
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

format: $(STAMP)  ## Put the code into the project's format
	$(BIN)/ruff check --fix src tests
	$(BIN)/ruff format src tests

# The extra has wheels for Linux only, and not for every Python.
fuzz: $(STAMP)  ## Fuzz every reader of files, RUNS executions in all; what is found lands in fuzz-findings/
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[fuzz]'
	PYTHONPATH=. $(BIN)/python -m tests.fuzz all --runs $(RUNS) --out fuzz.json

clean:  ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
