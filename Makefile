# `make demo` and `make test` need Python 3.11 or later, pip, make and gcc, and nothing installed beforehand.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PEERS := .peers/ready
CONFORMANCE := .conformance/ready

# Neighbouring tests, which need the same kernels, stay in one process; one that has nothing left takes some of another's.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test conformance bench gpu docs lint format clean

demo: $(READY)  ## compare eleven optimizers on handwritten digits; says where the report is
	$(BIN)/thalweg compare digits --epochs 3 --confirm-seeds 20

test: $(READY)  ## the suite
	$(BIN)/pytest $(PARALLEL)

conformance: $(READY) $(CONFORMANCE)  ## what `make test` leaves out; Keras, Optax and others take the same steps
	.conformance/bin/pytest $(PARALLEL) conformance
	PYTHONPATH=conformance .conformance/bin/pytest -c conformance/pytest.ini -p interpreted $(PARALLEL) \
		tests/gpu tests/optim/test_precision.py tests/optim/test_capturable.py tests/optim/test_amp.py tests/optim/test_grad_scaler.py \
		tests/optim/test_extreme_gradients.py tests/optim/test_row_state.py tests/optim/test_meta_device.py \
		-k 'not test_averages_in_bfloat16_move'  # 3,000 steps
	PYTHONPATH=conformance THALWEG_THOROUGH=1 $(BIN)/pytest -p left_out $(PARALLEL)

bench: $(READY) $(PEERS)  ## speed and memory against peers, an hour or more on an idle machine; says where the tables are
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/step.py --overhead
	$(BIN)/python benchmarks/population.py
	$(BIN)/python benchmarks/models.py
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/schedules.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/precision.py
	@echo "The tables are in thalweg-out/benchmarks."

gpu:  ## on a machine with a GPU, by its own python3 and torch: kernels, CUDA graphs and populations, then the tables of speed
	PYTHONPATH=src $(PYTHON) -m pytest tests/gpu
	PYTHONPATH=src $(PYTHON) benchmarks/step.py --device cuda
	PYTHONPATH=src $(PYTHON) benchmarks/population.py --device cuda

docs: $(READY)  ## the pages of all optimizers, from their rules and from what they do when tried
	$(BIN)/thalweg optimizers --page > docs/optimizers.md
	$(BIN)/python -m thalweg.testing.capabilities_page > docs/capabilities.md

lint: $(READY)  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## put the code into its form, and the classes' signatures into the stub of thalweg.optim
	$(BIN)/python -m thalweg.optim.stubs > src/thalweg/optim/__init__.pyi
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thalweg needs Python 3.11 or later: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(PEERS): benchmarks/peers.txt
	$(PYTHON) -m venv .peers
	.peers/bin/pip install --quiet --requirement benchmarks/peers.txt
	@touch $@

$(CONFORMANCE): pyproject.toml constraints.txt benchmarks/peers.txt conformance/peers.txt
	$(PYTHON) -m venv .conformance
	.conformance/bin/pip install --quiet torch==2.13.0
	.conformance/bin/pip install --quiet --requirement conformance/peers.txt
	.conformance/bin/pip install --quiet --no-deps timm==1.0.31  # of which one file is read; the whole needs torchvision
	.conformance/bin/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

clean:  ## remove the environments and what tools left
	rm -rf .venv .peers .conformance .mypy_cache .ruff_cache .pytest_cache thalweg-out
