VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: venv demo test check format bench bench-peers docs pictures sweep wheel clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps torchvision
	touch $@

demo: venv
	$(BIN)/striate train digits --model lenet5

test: venv
	$(PYTEST) -n auto

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/sizes.py

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# With the peers where `make bench-peers` has been run.
bench: venv
	$(if $(wildcard .venv-peers/.installed),.venv-peers/bin,$(BIN))/python -m benchmarks $(OP)

bench-peers: .venv-peers/.installed

.venv-peers/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]' jax torchinfo huggingface_hub pyyaml
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps torchvision timm
	touch $@

# With the peers where `make bench-peers` has been run.
docs: venv
	$(firstword $(wildcard .venv-peers/bin) $(BIN))/python tools/operators.py
	$(BIN)/python tools/models.py
	$(BIN)/python tools/inspection.py

pictures: venv
	$(BIN)/python tools/pictures.py

sweep: venv
	$(PYTEST) -m sweep -s -p no:xdist --timeout=0

wheel: venv
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) dist build
