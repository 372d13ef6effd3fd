"""One example in several processes: by TF_CONFIG, by the manifests for Kubernetes, and by the script for SLURM."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

import torchest
from tests.distributed.test_data_parallel import LEFT_THREAD

pytestmark = pytest.mark.processes

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PREFIXES = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "SLURM_", "TORCHELASTIC_", "TF_CONFIG")
LIMIT = 150  # seconds


def environment(**variables):
    """What a process on a machine without GPUs sees, and no launcher."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    fixed = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(EXAMPLES.parent)}
    return {**inherited, **fixed, **variables}


def manifest(name):
    return list(yaml.safe_load_all((EXAMPLES / "kubernetes" / name).read_text(encoding="utf-8")))


def pod_of(template):
    """The container of a pod, and its volumes by the paths where they are mounted."""
    spec = template["spec"]
    [container] = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    return container, {
        mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]
    }


def assert_program_is_there(command, volumes):
    program, option = command[-2:]
    assert (EXAMPLES / program).exists()
    directory = option.removeprefix("--model_dir=")
    shared = volumes[str(Path(directory).parent)]
    assert "persistentVolumeClaim" in shared


def test_the_pods_of_the_job_find_each_other():
    service, job = manifest("job.yaml")
    name, spec = job["metadata"]["name"], job["spec"]
    container, volumes = pod_of(spec["template"])
    torchrun, *arguments = container["command"]
    assert torchrun == "torchrun"
    parsed = get_args_parser().parse_args(arguments)
    assert int(parsed.nnodes) == spec["completions"] == spec["parallelism"] == 2
    assert parsed.rdzv_backend == "c10d"
    domain = service["metadata"]["name"]
    assert spec["template"]["spec"]["subdomain"] == domain
    assert service["spec"] == {"clusterIP": "None", "selector": {"job-name": name}}
    assert parsed.rdzv_endpoint == f"{name}-0.{domain}:29400"
    assert parsed.nproc_per_node == str(container["resources"]["limits"]["nvidia.com/gpu"])
    assert_program_is_there([parsed.training_script, *parsed.training_script_args], volumes)
    assert "/dev/shm" in volumes


def wait_for(processes):
    """The outputs of processes, all of which have to end well; a thread of C++ may end one after everything is done."""
    try:
        outputs = [process.communicate(timeout=LIMIT)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    ended = zip(processes, outputs, strict=True)
    assert all(each.returncode == 0 or LEFT_THREAD in output for each, output in ended), outputs
    return outputs


def start(command, variables):
    return subprocess.Popen(
        command, cwd=EXAMPLES, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment(**variables),
    )  # fmt: skip


def free_port():
    with socket.socket() as listening:
        listening.bind(("", 0))
        return listening.getsockname()[1]


def test_chief_worker_and_evaluator_of_tf_config(tmp_path):
    cluster = {"chief": [f"localhost:{free_port()}"], "worker": ["elsewhere:1"]}
    here = [sys.executable, "multi_worker.py", f"--model_dir={tmp_path}"]
    processes = [
        start(here, {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind}})})
        for kind in ("worker", "evaluator", "chief")
    ]
    worker, evaluator, chief = wait_for(processes)
    assert "worker 0: 2 processes train together" in worker
    assert "chief 0: 2 processes train together" in chief
    accuracy = re.search(r"evaluator 0: accuracy (\d\.\d+) at step 60", evaluator)
    assert accuracy is not None, evaluator
    assert float(accuracy[1]) > 0.9
    assert torchest.latest_checkpoint(tmp_path).endswith("model.ckpt-60")


def test_the_pods_of_a_pytorchjob_train_together(tmp_path):
    """With the variables that Kubeflow's training operator sets, and the command of the manifest."""
    [job] = manifest("pytorchjob.yaml")
    roles = job["spec"]["pytorchReplicaSpecs"]
    counts = [roles[role]["replicas"] for role in ("Master", "Worker")]
    assert counts[0] == 1
    containers = {role: pod_of(roles[role]["template"]) for role in roles}
    assert {container["name"] for container, _ in containers.values()} == {"pytorch"}
    command, volumes = containers["Worker"][0]["command"], containers["Worker"][1]
    assert command[0] == "python"
    assert_program_is_there(command, volumes)
    size = sum(counts)
    common = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    here = [sys.executable, command[1], f"--model_dir={tmp_path}", "--steps=10"]
    outputs = wait_for(
        [start(here, {**common, "RANK": str(rank)}) for rank in reversed(range(size))]
    )
    assert all(f"{size} processes train together" in output for output in outputs)
    assert torchest.latest_checkpoint(tmp_path).endswith("model.ckpt-10")


SRUN = """#!/bin/bash
# As srun does on one machine: the command in each of two tasks.
echo "$@" > srun_arguments
while [[ $1 == --* ]]; do shift; done
export SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=localhost SLURM_JOB_ID=%d SLURM_STEP_ID=0
for task in 0 1; do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" --steps 10 &
done
wait -n && wait -n
"""


def test_the_tasks_of_srun_train_together(tmp_path):
    """The script of the examples with a program named srun that starts its tasks here."""
    script = (EXAMPLES / "slurm.sh").read_text(encoding="utf-8")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", script, re.MULTILINE))
    assert int(options["ntasks-per-node"]) == int(options["gpus-per-node"])
    (tmp_path / "slurm.sh").write_text(script)
    (tmp_path / "multi_worker.py").symlink_to(EXAMPLES / "multi_worker.py")
    programs = tmp_path / "bin"
    programs.mkdir()
    python = (
        f'#!/bin/sh\nexec {sys.executable} "$@"\n'  # a link would leave the virtual environment
    )
    for name, text in (("python", python), ("srun", SRUN % os.getpid())):
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    done = subprocess.run(
        ["bash", "slurm.sh"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes train together") == 2
    assert torchest.latest_checkpoint(tmp_path / "models" / "digits").endswith("model.ckpt-10")
    assert shlex.split((tmp_path / "srun_arguments").read_text())[0] == "--kill-on-bad-exit=1"
