# The targets share one virtual environment, .venv, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests on torch_xla have an environment of their own, as it needs an older torch: about 8 GB, two minutes to make.
ACCELERATORS ?= .venv-accelerators
# Versions of onnxruntime that exported files must run in: the oldest, and some between that and the newest.
FLOOR := 1.20.1
OTHERS := 1.23.2
RUNTIMES := .venv-runtimes
# Ray and Spark have an environment of their own, too; Spark needs Java 17 or newer.
ENGINES := .venv-engines
# onnxruntime 1.20 has no packages for Python 3.14 and newer.
RUNTIME_PYTHON ?= $(PYTHON)
NODE_PACKAGES := onnxruntime-node onnxruntime-web
# Runs onnxruntime-web in a page, if it is installed.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
MODEL_DIR ?= models/titanic

.PHONY: bench compiled demo faults fuzz gpu lines parity resizes runtimes runtimes-floor test test-accelerators test-engines test-processes test-s3 lint clean

demo: $(INSTALLED)
	$(BIN)/python examples/guide/titanic.py --model_dir $(MODEL_DIR)

test: $(INSTALLED)
	$(BIN)/python -m pytest

# Programs of several processes, started by torchrun, TF_CONFIG and others: some minutes.
test-processes: $(INSTALLED)
	$(BIN)/python -m pytest -m processes tests/distributed

# Hostile and sound directories on a local S3 server, without network once it is installed: a minute.
test-s3: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[s3-tests]'
	$(BIN)/python -m pytest -k s3 tests/test_hostile_directories.py

test-accelerators: $(ACCELERATORS)/.installed
	PJRT_DEVICE=CPU $(ACCELERATORS)/bin/python -m pytest -m xla $$(grep -rl 'mark.xla' tests --include='test_*.py')

# The examples under Ray Train and Spark's TorchDistributor, on this machine: two minutes, and Java for Spark.
test-engines: $(ENGINES)/.installed
	$(ENGINES)/bin/python -m pytest tests/distributed/test_engines.py

# With TF_PYTHON=<the Python of an environment with TensorFlow> also in comparison to TensorFlow.
bench: $(INSTALLED)
	$(BIN)/python benchmarks/encoding.py

# Kills, full disks, damaged files: about ten minutes.
faults: $(INSTALLED)
	$(BIN)/python -m benchmarks.faults

# Kills of workers under torchrun, in changing numbers of processes and of nodes: about ten minutes.
resizes: $(INSTALLED)
	$(BIN)/python -m benchmarks.resizes
	$(BIN)/python -m benchmarks.elastic

# Wrong calls of every public callable, each of which needs a clear answer: minutes.
fuzz: $(INSTALLED)
	$(BIN)/python -m benchmarks.fuzz

# Exports of every estimator with every head answer 20,000 fuzzed rows as Python does: some minutes.
parity: $(INSTALLED)
	$(BIN)/python -m pytest -s -m '' tests/catalogue/test_export_parity.py

# Exports of every kind of estimator over every kind of column, in several versions of onnxruntime for Python, in Node,
# in WebAssembly and in Chromium: some minutes, and npm. The table of results is RUNTIMES/table.md.
runtimes: $(INSTALLED) $(FLOOR:%=$(RUNTIMES)/%/.installed) $(OTHERS:%=$(RUNTIMES)/%/.installed) $(RUNTIMES)/node/.installed
	rm -rf $(RUNTIMES)/cases
	$(CASES) $(RUNTIMES)/cases
	$(BIN)/python tests/runtimes/all.py $(RUNTIMES) $(RUNTIMES)/cases --python $(BIN)/python $(FLOOR:%=$(RUNTIMES)/%/bin/python) \
		$(OTHERS:%=$(RUNTIMES)/%/bin/python) --node $(NODE_PACKAGES) \
		$(if $(CHROMIUM),--browser $(CHROMIUM))

# Models of all columns in the oldest onnxruntime.
runtimes-floor: $(INSTALLED) $(RUNTIMES)/$(FLOOR)/.installed
	rm -rf $(RUNTIMES)/cases
	$(CASES) $(RUNTIMES)/cases --quick
	$(BIN)/python tests/runtimes/all.py $(RUNTIMES) $(RUNTIMES)/cases --python $(RUNTIMES)/$(FLOOR)/bin/python

CASES = PYTHONPATH=.:tests:tests/catalogue $(BIN)/python tests/runtimes/cases.py

# RunConfig(compile=True): needs a C++ compiler, and a minute.
compiled: $(INSTALLED)
	$(BIN)/python -m pytest -m compiled tests/engine/test_execution.py

# CUDA tests, a process on NCCL and the quick comparison on CUDA: under eight minutes on a machine with a GPU.
gpu: $(INSTALLED)
	$(BIN)/python -m benchmarks.gpu

# How long the library is, and the part that tf.estimator itself covers.
lines:
	@$(PYTHON) benchmarks/lines.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(ACCELERATORS) $(ENGINES) $(RUNTIMES) models

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(ACCELERATORS)/.installed: pyproject.toml constraints-accelerators.txt
	$(PYTHON) -m venv $(ACCELERATORS)
	$(ACCELERATORS)/bin/pip install --quiet --upgrade pip
	$(ACCELERATORS)/bin/pip install --quiet --constraint constraints-accelerators.txt --editable '.[serving,vision,xla]' pytest
	touch $@

$(ENGINES)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/pip install --quiet --upgrade pip
	$(ENGINES)/bin/pip install --quiet --constraint constraints.txt torch
	$(ENGINES)/bin/pip install --quiet --constraint constraints.txt --editable '.[ray,spark]' pytest
	touch $@

$(RUNTIMES)/node/.installed:
	mkdir -p $(RUNTIMES)/node
	cd $(RUNTIMES)/node && npm init --yes >/dev/null && npm install --ignore-scripts --silent $(NODE_PACKAGES)
	touch $@

$(RUNTIMES)/%/.installed:
	$(RUNTIME_PYTHON) -m venv $(RUNTIMES)/$*
	$(RUNTIMES)/$*/bin/pip install --quiet onnxruntime==$* 'numpy<2.3'
	touch $@
