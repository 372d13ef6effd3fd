# The targets share one virtual environment, .venv, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MODEL_DIR ?= models/titanic

.PHONY: bench demo test lint clean

demo: $(INSTALLED)
	$(BIN)/python examples/titanic.py --model_dir $(MODEL_DIR)

test: $(INSTALLED)
	$(BIN)/python -m pytest

# With TF_PYTHON=<the Python of an environment with TensorFlow> also in comparison to TensorFlow.
bench: $(INSTALLED)
	$(BIN)/python benchmarks/encoding.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) models

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
