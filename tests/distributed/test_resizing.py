"""Short forms of `make resizes`: workers are killed, launches have other numbers of processes, a node joins."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.processes

resizes = pytest.importorskip("benchmarks.resizes")
elastic = pytest.importorskip("benchmarks.elastic")


def test_training_goes_on_in_other_numbers_of_processes(tmp_path):
    result = resizes.campaign(tmp_path, kills=1, resizes=2, seed=1, seconds=0.01)
    assert result.sizes == [2, 3, 1]
    assert len(result.to_training) == 1
    assert result.step == resizes.STEPS
    assert (result.lost, result.repeated) == (0, 0)
    assert result.difference < 1e-9


def test_a_node_that_joins_takes_part(tmp_path):
    result = elastic.join_and_kill(tmp_path, ["join", "join"])
    assert [change for change, _ in result.seconds] == ["join: 1 nodes", "join: 2 nodes"]
    assert result.step == resizes.STEPS
    assert result.difference < 1e-9
