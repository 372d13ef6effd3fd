"""Guards around every test: the same seed, and nothing left running."""

from __future__ import annotations

import threading

import pytest
import torch


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
