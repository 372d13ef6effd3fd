"""Two processes on one CUDA device, whose gradients go over gloo."""

from __future__ import annotations

import json

import distributed_program as program
import pytest
import torch

from tests.distributed.test_data_parallel import furthest, load, torchrun

pytestmark = pytest.mark.cuda


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    directory = tmp_path_factory.mktemp("two")
    run = torchrun(directory, 2, "by_exchange", devices="0")
    assert run.returncode == 0, run.output
    return run


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("case", sorted(program.MODELS))
def test_two_processes_on_one_device_train_as_one_does(case, two, tmp_path):
    torch.set_default_dtype(torch.float64)
    try:
        program.train(tmp_path, case)
    finally:
        torch.set_default_dtype(torch.float32)
    expected = load(tmp_path / f"{case}.0.npz")
    chief, worker = two.tensors("by_exchange", case)
    assert furthest(chief, expected) < 1e-9
    assert furthest(chief, worker) == 0
    steps = json.loads((tmp_path / f"{case}.0.json").read_text())["step"]
    assert [kept["step"] for kept in two.values("by_exchange", case)] == [steps, steps]
