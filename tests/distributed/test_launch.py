"""One program under each way to start its processes: the chief ends with the weights of a single process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import distributed_program as program
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.processes

PREFIXES = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "SLURM_", "TORCHELASTIC_", "TF_CONFIG")
ROOT = Path(program.__file__).parent.parent
TIME_LIMIT = 120  # seconds, for all processes of a test


@pytest.fixture
def launch(tmp_path):
    """Starts processes of the program, and waits for them; all are dead at the end."""
    processes: list[subprocess.Popen[str]] = []

    def start(group, *environments, command=(), pause=0.0):
        for environment in environments:
            cleaned = {k: v for k, v in os.environ.items() if not k.startswith(PREFIXES)}
            fixed = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
            processes.append(
                subprocess.Popen(
                    [sys.executable, *command, program.__file__, str(tmp_path), group],
                    env={**cleaned, **fixed, **environment},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            time.sleep(pause)

    def end():
        deadline = time.monotonic() + TIME_LIMIT
        outputs = [
            process.communicate(timeout=max(1, deadline - time.monotonic()))[0]
            for process in processes
        ]
        assert [process.returncode for process in processes] == [0] * len(processes), outputs
        return outputs

    start.end = end
    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What a single process leaves in the same program."""
    directory = tmp_path_factory.mktemp("alone")
    torch.set_default_dtype(torch.float64)
    program.launched(directory)
    torch.set_default_dtype(torch.float32)
    return Kept(directory)


class Kept:
    """What the tasks of a program have left."""

    def __init__(self, directory: Path) -> None:
        self.values = {path.stem: json.loads(path.read_text()) for path in directory.glob("*.json")}
        self.tensors = {path.stem: dict(np.load(path)) for path in directory.glob("*.npz")}
        self.tasks = sorted(self.values)
        self.chiefs = [task for task in self.tasks if self.values[task].get("is_chief")]

    def check_weights(self, expected: Kept, tasks: list[str]) -> None:
        """The tasks end with the weights of one process, within the roundings of float64."""
        [alone] = expected.tensors.values()
        for task in tasks:
            assert self.tensors[task].keys() == alone.keys()
            for name, tensor in alone.items():
                np.testing.assert_allclose(self.tensors[task][name], tensor, rtol=0, atol=1e-9)

    def check_metrics(self, expected: Kept, task: str) -> None:
        [alone] = expected.values.values()
        assert self.values[task]["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)


def tf_config(cluster, kind, index):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def free_port():
    with socket.socket() as listening:
        listening.bind(("", 0))
        return listening.getsockname()[1]


def test_chief_workers_evaluator_and_parameter_server_of_tf_config(launch, tmp_path, alone):
    """They start in any order, seconds apart."""
    cluster = {"chief": [f"localhost:{free_port()}"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
    tasks = [("worker", 1), ("evaluator", 0), ("ps", 0), ("worker", 0), ("chief", 0)]
    launch("launched", *(tf_config(cluster, *task) for task in tasks), pause=0.7)
    outputs = launch.end()
    assert "this process is the task ps 0 in TF_CONFIG, and ends now" in outputs[2]
    kept = Kept(tmp_path / "launched")
    assert kept.tasks == ["chief 0", "evaluator 0", "worker 0", "worker 1"]
    assert kept.chiefs == ["chief 0"]
    kept.check_weights(alone, ["chief 0", "worker 0", "worker 1"])
    kept.check_metrics(alone, "evaluator 0")
    assert kept.values["chief 0"] == {"metrics": None, "is_chief": True, "replicas": 3}


def test_workers_alone_of_tf_config(launch, tmp_path, alone):
    cluster = {"worker": [f"localhost:{free_port()}", "b:1"]}
    launch("launched", *(tf_config(cluster, "worker", index) for index in (1, 0)))
    launch.end()
    kept = Kept(tmp_path / "launched")
    assert kept.chiefs == ["worker 0"]
    kept.check_weights(alone, ["worker 0", "worker 1"])


def test_pods_with_ranks_alone(launch, tmp_path, alone):
    address = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    launch("launched", *({**address, "RANK": rank} for rank in ("1", "0")))
    launch.end()
    kept = Kept(tmp_path / "launched")
    kept.check_weights(alone, ["chief 0", "worker 0"])
    kept.check_metrics(alone, "worker 0")


def test_tasks_of_srun(launch, tmp_path, alone):
    step = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_JOB_ID": str(free_port()),
        "MASTER_PORT": str(free_port()),
    }
    launch(
        "launched", *({**step, "SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in ("0", "1"))
    )
    launch.end()
    kept = Kept(tmp_path / "launched")
    kept.check_weights(alone, ["chief 0", "worker 0"])
    kept.check_metrics(alone, "chief 0")


def test_a_process_group_that_the_program_has_made(launch, tmp_path, alone):
    address = f"localhost:{free_port()}"
    launch("in_a_group_of_its_own", *({"GROUP": f"{address} {rank} 2"} for rank in (0, 1)))
    assert "uses the process group that the program has made" in launch.end()[0]
    Kept(tmp_path / "in_a_group_of_its_own").check_weights(alone, ["chief 0", "worker 0"])


def torchruns(launch, group, machines, of_each, *options):
    """Starts torchrun once for each machine."""
    port = free_port()
    for machine in range(machines):
        place = [f"--nnodes={machines}", f"--node-rank={machine}", f"--nproc-per-node={of_each}"]
        address = ["--master-addr=localhost", f"--master-port={port}"]
        command = ["-m", "torch.distributed.run", *place, *address, *options]
        launch(group, {}, command=command)


@pytest.mark.parametrize(("machines", "of_each"), [(1, 1), (1, 4), (2, 1)], ids=str)
def test_torchrun_on_machines(launch, tmp_path, alone, machines, of_each):
    torchruns(launch, "launched", machines, of_each)
    launch.end()
    kept = Kept(tmp_path / "launched")
    assert len(kept.tasks) == machines * of_each
    kept.check_weights(alone, kept.tasks)
    kept.check_metrics(alone, kept.chiefs[0])


def test_a_death_on_one_of_two_machines_restarts_both(launch, tmp_path):
    """torchrun's store has the addresses of the former processes, which the new ones must not read."""
    torchruns(launch, "death", 2, 1, "--max-restarts=1")
    launch.end()
    kept = Kept(tmp_path / "death")
    for rank in range(2):
        assert kept.values[f"death.{rank}"] == {"steps": 5, "step": 10}
        actual, expected = kept.tensors[f"death.{rank}"], kept.tensors[f"death_left_alone.{rank}"]
        for name, tensor in expected.items():
            np.testing.assert_array_equal(actual[name], tensor)
