"""Importing torchest is quick and does not import what only some programs need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import torchest

SCRIPT = """
import json, sys, time
import torch
before = set(sys.modules)
start = time.perf_counter()
import torchest
torchest.Estimator
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before)}))
"""
HEAVY = {
    "pandas",
    "pyarrow",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "tensorboard",
    "torch_xla",
    "tqdm",
}


def imported():
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=True
    ).stdout
    return json.loads(printed)


def test_importing_torchest_imports_neither_data_nor_export_libraries():
    modules = {name.split(".")[0] for name in imported()["modules"]}
    assert not modules & HEAVY
    assert not modules & {"tensorflow", "jax"}


def test_torch_is_imported_with_the_first_name_that_is_asked_for():
    script = "import sys, torchest.version, torchest; assert 'torch' not in sys.modules; torchest.Estimator"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_a_misspelt_name_is_told_from_those_there_are():
    with pytest.raises(AttributeError, match=r"no attribute 'Estimatr'\. Did you mean 'Estimator'"):
        torchest.Estimatr  # noqa: B018
    assert not hasattr(torchest, "__wrapped__")
    assert {"Estimator", "columns"} <= set(dir(torchest))


def test_importing_torchest_adds_few_modules():
    # the time, 0.3 s at the most beside that of torch, is spent in importing modules: their number is what
    # can be compared on any machine
    found = imported()
    assert len(found["modules"]) < 200
