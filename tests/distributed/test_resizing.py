"""A short form of `python -m benchmarks.resizes`: workers are killed, and launches have other numbers of processes."""

from __future__ import annotations

import pytest

resizes = pytest.importorskip("benchmarks.resizes")


def test_training_goes_on_in_other_numbers_of_processes(tmp_path):
    result = resizes.campaign(tmp_path, kills=1, resizes=2, seed=1, seconds=0.01)
    assert result.sizes == [2, 3, 1]
    assert len(result.to_training) == 1
    assert result.step == resizes.STEPS
    assert (result.lost, result.repeated) == (0, 0)
    assert result.difference < 1e-9
