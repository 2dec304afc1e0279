VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: venv demo test check format bench sweep wheel clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
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

bench: venv
	$(BIN)/python -m benchmarks $(OP)

sweep: venv
	$(PYTEST) -m sweep -s -p no:xdist --timeout=0

wheel: venv
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) dist build
