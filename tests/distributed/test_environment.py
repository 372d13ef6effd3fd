from __future__ import annotations

import json

import pytest

from torchest.distributed import environment
from torchest.distributed.environment import cluster_of_environment
from torchest.distributed.input_context import InputContext
from torchest.distributed.strategy import Strategy

STEP = {
    "SLURM_PROCID": "5",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "rack2-[07-08,11],login1",
    "SLURM_JOB_ID": "31234",
    "SLURM_STEP_ID": "1",
}
CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
PREFIXES = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "SLURM_", "TORCHELASTIC_", "TF_CONFIG")


@pytest.fixture
def cluster(monkeypatch):
    """The cluster in an environment that has only the variables passed."""

    def of(tf_config=None, **variables):
        for name in list(environment.os.environ):
            if name.startswith(PREFIXES):
                monkeypatch.delenv(name)
        if tf_config is not None:
            variables["TF_CONFIG"] = json.dumps(tf_config)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return cluster_of_environment()

    return of


@pytest.fixture
def group(monkeypatch):
    """Makes the program have a process group."""

    def of(rank, size):
        monkeypatch.setattr(environment.dist, "is_initialized", lambda: True)
        monkeypatch.setattr(environment.dist, "get_rank", lambda: rank)
        monkeypatch.setattr(environment.dist, "get_world_size", lambda: size)

    return of


def task(kind, index, cluster=CLUSTER):
    return {"cluster": cluster, "task": {"type": kind, "index": index}}


def place(cluster):
    return cluster.launcher, cluster.rank, cluster.world_size, cluster.address


def test_a_program_that_was_just_started_is_alone(cluster):
    assert place(cluster()) == ("", 0, 1, None)
    assert not cluster().is_distributed


class TestRanks:
    def test_of_torchrun(self, cluster):
        ranks = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
        address = {"MASTER_ADDR": "fe80::1", "MASTER_PORT": "29400"}
        made = cluster(TORCHELASTIC_RUN_ID="none", **ranks, **address)
        assert place(made) == ("torchrun", 5, 8, "[fe80::1]:29400")
        assert (made.local_rank, made.local_world_size) == (1, 4)
        assert (made.task_type, made.task_id) == ("worker", 4)

    def test_of_a_pod_without_local_ranks(self, cluster):
        made = cluster(RANK="1", WORLD_SIZE="2", MASTER_ADDR="job-master-0", MASTER_PORT="23456")
        assert place(made) == ("RANK and WORLD_SIZE", 1, 2, "job-master-0:23456")
        assert made.local_rank is None

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({"RANK": "1"}, r"has RANK='1', but no WORLD_SIZE: this process, and .*alone\. Set bo"),
            ({"WORLD_SIZE": "2"}, "has WORLD_SIZE='2', but no RANK"),
            ({"RANK": "one", "WORLD_SIZE": "2"}, "has RANK='one', which must be a whole number"),
            ({"RANK": "", "WORLD_SIZE": "2"}, "has RANK='', which must be a whole number"),
            ({"RANK": "2", "WORLD_SIZE": "2"}, r"has RANK=2 and WORLD_SIZE=2: ranks go from 0"),
            ({"RANK": "-1", "WORLD_SIZE": "2"}, r"has RANK=-1 and WORLD_SIZE=2: ranks go from 0"),
            (
                {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "3"},
                "has LOCAL_WORLD_SIZE=3 and WORLD_SIZE=2: LOCAL_WORLD_SIZE must be from 1",
            ),
            (
                {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "2"},
                "has LOCAL_RANK=2 and LOCAL_WORLD_SIZE=2: ranks go from 0",
            ),
        ],
    )
    def test_that_cannot_be_are_refused(self, cluster, variables, message):
        with pytest.raises(ValueError, match=message):
            cluster(**variables)


class TestSlurm:
    def test_tasks_of_a_step(self, cluster):
        made = cluster(**STEP)
        assert place(made) == ("srun", 5, 8, "rack2-07:16235")
        assert made.local_rank == 1

    @pytest.mark.parametrize(
        ("nodes", "first"),
        [("gpu7", "gpu7"), ("n[3,5-9]", "n3"), ("a1,b[1-2]", "a1"), ("r[1-2]c[03-04]", "r1c03")],
    )
    def test_meet_at_the_first_machine(self, cluster, nodes, first):
        assert cluster(**{**STEP, "SLURM_STEP_NODELIST": nodes}).address == f"{first}:16235"

    def test_meet_where_the_script_says(self, cluster):
        assert cluster(**STEP, MASTER_ADDR="gpu3", MASTER_PORT="1234").address == "gpu3:1234"

    @pytest.mark.parametrize(
        "shell",
        [
            # of a script of sbatch, which is no step, though the job has several tasks
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_NODELIST": "n[1-2]"},
            # of salloc, in a step of one task
            {**STEP, "SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"},
        ],
    )
    def test_a_shell_is_alone(self, cluster, shell):
        assert not cluster(**shell).is_distributed

    def test_ranks_that_a_script_sets_come_first(self, cluster):
        assert cluster(**STEP, RANK="1", WORLD_SIZE="2").world_size == 2

    def test_a_script_may_set_only_the_number_of_tasks(self, cluster):
        assert place(cluster(**STEP, WORLD_SIZE="8"))[:3] == ("srun", 5, 8)
        with pytest.raises(ValueError, match="has WORLD_SIZE='4', but no RANK"):
            cluster(**STEP, WORLD_SIZE="4")

    def test_a_number_out_of_range_is_refused(self, cluster):
        with pytest.raises(ValueError, match="has SLURM_PROCID=8 and SLURM_STEP_NUM_TASKS=8"):
            cluster(**{**STEP, "SLURM_PROCID": "8"})


class TestTFConfig:
    @pytest.mark.parametrize(
        ("kind", "index", "rank"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)]
    )
    def test_tasks_that_train_meet_at_the_chief(self, cluster, kind, index, rank):
        assert place(cluster(task(kind, index))) == ("TF_CONFIG", rank, 3, "a:1")

    def test_an_evaluator_in_the_cluster_has_no_rank(self, cluster):
        listed = {"chief": ["a:1"], "evaluator": ["b:1"], "worker": ["c:1"]}
        made = cluster(task("worker", 0, listed))
        assert (made.rank, made.world_size, made.global_id) == (1, 2, 2)

    def test_workers_meet_at_the_first(self, cluster):
        workers = {"worker": ["a:1", "b:1"], "ps": ["c:1"]}
        first, second = (cluster(task("worker", index, workers)) for index in (0, 1))
        assert place(first) == ("TF_CONFIG", 0, 2, "a:1")
        assert place(second) == ("TF_CONFIG", 1, 2, "a:1")
        assert (first.is_chief, second.is_chief) == (True, False)
        assert first.leaves_evaluation_to_another

    @pytest.mark.parametrize("kind", ["evaluator", "ps"])
    def test_others_are_outside(self, cluster, kind):
        made = cluster(task(kind, 0))
        assert place(made) == ("", 0, 1, None)
        assert (made.task_type, made.is_chief) == (kind, False)

    @pytest.mark.parametrize("kind", ["evaluator", "ps"])
    @pytest.mark.parametrize(
        "ranks", [{"RANK": "1", "WORLD_SIZE": "3"}, {**STEP, "SLURM_PROCID": "1"}]
    )
    def test_others_have_no_ranks(self, cluster, kind, ranks):
        alone = {"chief": ["a:1"], "ps": ["b:1"]}
        with pytest.raises(ValueError, match=rf'the task "{kind}", which is outside .* is rank 1'):
            cluster(task(kind, 0, alone), **ranks)

    def test_a_cluster_of_several_comes_before_a_step_of_srun(self, cluster):
        assert place(cluster(task("worker", 0), **STEP))[:3] == ("TF_CONFIG", 1, 3)
        assert cluster(task("evaluator", 0), **STEP).is_evaluator

    def test_a_chief_may_be_several_processes(self, cluster):
        """torchrun, or srun, says which is which, and TF_CONFIG that there is an evaluator."""
        chief = task("chief", 0, {"chief": ["localhost"]})
        made = cluster(chief, RANK="1", WORLD_SIZE="2")
        assert (made.task_type, made.task_id, made.is_chief) == ("worker", 0, False)
        assert made.spec == {"chief": ["rank 0"], "worker": ["rank 1"]}
        assert made.leaves_evaluation_to_another
        assert cluster(chief, **STEP).world_size == 8

    @pytest.mark.parametrize(
        ("kind", "ranks", "agree"),
        [
            ("chief", (0, 2, 1), True),
            ("worker", (1, 2, 1), True),
            ("worker", (3, 4, 2), True),  # two processes on each machine
            ("worker", (1, 2, 2), True),
            ("worker", (0, 2, 1), False),
            ("chief", (0, 3, 1), False),
            ("chief", (1, 2, 2), False),  # torchrun on this machine alone
            ("chief", (0, 1, 1), False),
        ],
    )
    def test_and_ranks_must_agree(self, cluster, kind, ranks, agree):
        config = task(kind, 0, {"chief": ["a:1"], "worker": ["b:1"]})
        names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        variables = dict(zip(names, map(str, ranks), strict=True))
        if agree:
            made = cluster(config, **variables)
            assert (made.rank, made.world_size) == ranks[:2]
            is_one_to_one = ranks[1] == 2
            assert made.spec["worker"] == (
                ["b:1"] if is_one_to_one else ["rank 1", "rank 2", "rank 3"]
            )
            return
        place = f"this process is {kind} 0, so rank {int(kind == 'worker')} of 2"
        other = f"it is rank {ranks[0]} of {ranks[1]}"
        with pytest.raises(ValueError, match=f"TF_CONFIG has .*{place}, but by .* {other}"):
            cluster(config, **variables)

    @pytest.mark.parametrize(
        ("config", "problem"),
        [
            (
                task("wroker", 0, {"chief": ["a:1"], "wroker": ["b:1"]}),
                "type 'wroker'. Did you mean",
            ),
            (
                task("wroker", 0),
                "no task of the type 'wroker'. Did you mean 'worker'. There are: 'chief', 'ps', 'worker'",
            ),
            ({"cluster": {"chief": ["a:1"]}}, "nothing says which of its tasks this process is"),
            (
                {"Clusters": CLUSTER, "task": {"type": "worker", "index": 0}},
                "the key 'Clusters', which should be 'cluster'",
            ),
            (
                {"cluster": CLUSTER, "tasks": {"type": "worker", "index": 0}},
                "the key 'tasks', which should be 'task'",
            ),
            (
                {"cluster": CLUSTER, "task": {"type": "worker"}},
                "no index, and the cluster has 2 of",
            ),
            (task("worker", 2), "the index of the task is 2, but the cluster has 2"),
            (task("chief", 0, {"chief": ["a:1", "b:1"]}), "has 2 of the type 'chief', not one"),
            (
                task("chief", 0, {"chief": ["a:1"], "master": ["b:1"]}),
                "both a 'chief' and a 'master'",
            ),
            (task("ps", 0, {"ps": ["a:1"]}), "neither a 'chief' nor a 'worker'"),
            (task("evaluator", 0, {"master": ["a:1"]}), "a 'master', which evaluates itself"),
        ],
    )
    def test_what_no_cluster_can_be_is_refused(self, cluster, config, problem):
        with pytest.raises(ValueError, match=rf"{problem}.*\. Correct it, or unset it"):
            cluster(config)


class TestProcessGroup:
    def test_is_the_cluster_of_a_program_that_made_it(self, cluster, group):
        group(1, 2)
        made = cluster()
        assert place(made) == ("a process group", 1, 2, None)
        assert (made.task_type, made.is_chief) == ("worker", False)

    def test_agrees_with_the_environment(self, cluster, group):
        group(1, 2)
        assert cluster(RANK="1", WORLD_SIZE="2").launcher == "RANK and WORLD_SIZE"
        with pytest.raises(
            ValueError, match=r"rank 1 of 2, but by RANK and WORLD_SIZE it is rank 0 of 2"
        ):
            cluster(RANK="0", WORLD_SIZE="2")
        with pytest.raises(ValueError, match=r"rank 1 of 2, but by TF_CONFIG it is rank 1 of 3"):
            cluster(task("worker", 0))

    def test_has_no_evaluator(self, cluster, group):
        group(1, 2)
        with pytest.raises(ValueError, match="but by a process group it is rank 1 of 2"):
            cluster({"task": {"type": "evaluator"}})


def test_the_batch_size_of_one_process():
    context = InputContext(num_input_pipelines=3, input_pipeline_id=1, num_replicas_in_sync=3)
    assert context.get_per_replica_batch_size(96) == 32
    with pytest.raises(ValueError, match=r"batch_size=100 cannot be divided by num_repl.*=3"):
        context.get_per_replica_batch_size(100)


def test_a_process_alone_reads_all():
    assert Strategy().input_context == InputContext(1, 0, 1)
