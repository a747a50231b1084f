# `make demo` and `make test` need Python 3.11 or later, pip, make and gcc, and nothing installed beforehand.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint format clean

demo: $(READY)  ## compare eleven optimizers on handwritten digits; says where the report is
	$(BIN)/thalweg compare digits

test: $(READY)  ## the whole suite
	$(BIN)/pytest --numprocesses auto --maxprocesses 4

lint: $(READY)  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thalweg needs Python 3.11 or later: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:  ## remove the environment and what tools left
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache thalweg-out
