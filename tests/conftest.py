"""Guards around every test: the same seed, no clock, and nothing left running."""

from __future__ import annotations

import contextlib
import threading

import pytest
import torch

with contextlib.suppress(ModuleNotFoundError):  # the tests on torch_xla do without hypothesis
    from hypothesis import settings

    settings.register_profile("without a clock", deadline=None)
    settings.load_profile("without a clock")


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device: make gpu"))


@pytest.fixture(autouse=True)
def _same_seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("torchest"):
            thread.join(timeout=5)
            assert not thread.is_alive(), f"{thread} goes on after the test"
