"""Garbage collection pauses during imports, and is afterwards as before."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from torchest.collector import collector_paused

OF_IMPORT = """
import gc, torch
if {disabled}:
    gc.disable()
generations = []
gc.callbacks.append(lambda phase, info: generations.append(info["generation"]))
import torchest
torchest.LinearClassifier
from torchest import columns, inputs
print(gc.isenabled(), 2 in generations)
"""


@pytest.mark.parametrize("enabled", [True, False])
def test_it_is_as_before_also_after_an_error(enabled):
    assert gc.isenabled()
    try:
        if not enabled:
            gc.disable()
        with collector_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
        with pytest.raises(ZeroDivisionError, match="division"), collector_paused():
            1 / 0  # noqa: B018
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


@pytest.mark.parametrize("disabled", [True, False])
def test_an_import_collects_no_garbage_of_torch(disabled):
    script = OF_IMPORT.format(disabled=disabled)
    command = [sys.executable, "-W", "error", "-c", script]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split() == [str(not disabled), "False"]
