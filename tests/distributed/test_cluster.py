from __future__ import annotations

import pytest

from torchest.distributed.cluster import Cluster
from torchest.distributed.input_context import InputContext
from torchest.distributed.strategy import Strategy

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture
def environment(monkeypatch):
    def put(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def test_a_program_that_was_just_started_is_alone(environment):
    environment()
    assert Cluster.of_environment() == Cluster(0, 1, 0, 1)
    assert not Cluster.of_environment().is_distributed


def test_what_torchrun_says(environment):
    environment(RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4")
    cluster = Cluster.of_environment()
    assert cluster == Cluster(5, 8, 1, 4)
    assert (cluster.task_type, cluster.task_id) == ("worker", 4)


def test_a_local_rank_that_is_not_given_is_the_rank(environment):
    environment(RANK="1", WORLD_SIZE="2")
    assert Cluster.of_environment() == Cluster(1, 2, 1, 2)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "one", "WORLD_SIZE": "2"}, "has RANK='one', which must be a whole number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, r"has RANK=2 and WORLD_SIZE=2: ranks go from 0"),
    ],
)
def test_variables_that_torchrun_would_not_set(environment, variables, message):
    environment(**variables)
    with pytest.raises(ValueError, match=message):
        Cluster.of_environment()


def test_the_batch_size_of_one_process():
    context = InputContext(num_input_pipelines=3, input_pipeline_id=1, num_replicas_in_sync=3)
    assert context.get_per_replica_batch_size(96) == 32
    with pytest.raises(ValueError, match=r"batch_size=100 cannot be divided by num_repl.*=3"):
        context.get_per_replica_batch_size(100)


def test_a_process_alone_reads_all():
    assert Strategy().input_context == InputContext(1, 0, 1)
