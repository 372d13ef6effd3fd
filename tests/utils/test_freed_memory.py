"""Freed memory stays in the process between steps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from torchest.utils.freed_memory import keep_freed_memory

FAULTS = """
import resource, torch
from torchest.utils.freed_memory import keep_freed_memory
{}
for step in range(20):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    made = [torch.ones(1_000_000) for _ in range(10)]
    del made
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_steps_do_not_ask_the_system_for_the_same_memory_again():
    def faults(call: str) -> int:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MALLOC_") and name not in ("GLIBC_TUNABLES", "LD_PRELOAD")
        }
        command = [sys.executable, "-c", FAULTS.format(call)]
        result = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        )
        return int(result.stdout)

    # without the call it is mostly some hundred thousand, but that depends on what lies above in the heap
    assert faults("keep_freed_memory()") < 1000


def test_an_allocator_that_the_user_set_up_is_left_alone(monkeypatch):
    def refuse(_: str) -> None:
        raise AssertionError("the C library was asked for")

    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    monkeypatch.setattr("ctypes.CDLL", refuse)
    keep_freed_memory.__wrapped__()
