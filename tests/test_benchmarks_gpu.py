"""What `make gpu` runs, and what it says where there is no GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.compare.tasks import TASKS

ROOT = Path(__file__).parent.parent


@pytest.fixture
def commands(monkeypatch):
    """The commands that are run, with the seconds that they may take."""
    commands = []

    def run(command, *, cwd, check, timeout):
        commands.append((command, timeout))
        return subprocess.CompletedProcess(command, returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--json", "figures.json"])
    return commands


def test_without_a_gpu_it_says_so(monkeypatch, commands, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 0
    assert commands == []
    assert "no CUDA device here, so nothing was run" in capsys.readouterr().out


def test_with_a_gpu_it_runs_all_tests_that_need_one_and_the_comparison(monkeypatch, commands):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert gpu.main() == 0
    (tests, limit), (compare, rest) = commands
    assert {"tests/test_estimator_gpu.py", "tests/distributed/test_gpu.py"} < set(tests)
    assert "tests/distributed/test_one_process_world.py" in tests
    assert 470 < rest <= limit <= 480
    assert compare[-2:] == ["--json", "figures.json"]
    assert set(gpu.TASKS) <= TASKS.keys() & set(compare)
