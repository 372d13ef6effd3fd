"""A group of one process computes what a process without a group does: over gloo, and over NCCL on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import distributed_program as program
import one_process_world
import pytest
import torch

from tests.distributed.test_data_parallel import furthest, load

pytestmark = pytest.mark.processes


def trained(directory, devices):
    """What a process in a group of its own says at the end; what it trained is in the directory."""
    root = Path(program.__file__).parent.parent
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": devices,
        "PYTHONPATH": os.pathsep.join(map(str, (root, root / "tests"))),
    }
    command = [sys.executable, one_process_world.__file__, str(directory)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_equal_to_no_group(directory, alone):
    torch.set_default_dtype(torch.float64)
    try:
        for case in one_process_world.CASES:
            program.train(alone, case)
            for way in one_process_world.WAYS:
                expected, actual = (
                    load(each / f"{case}.0.npz") for each in (alone, directory / way)
                )
                assert furthest(actual, expected) < 1e-9, (case, way)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_over_gloo_on_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "trained on cpu over cpu:gloo" in trained(tmp_path / "group", "")
    assert_equal_to_no_group(tmp_path / "group", tmp_path / "alone")


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_over_nccl_on_a_gpu(tmp_path):
    assert "trained on cuda over cpu:gloo,cuda:nccl" in trained(tmp_path / "group", "0")
    assert_equal_to_no_group(tmp_path / "group", tmp_path / "alone")
