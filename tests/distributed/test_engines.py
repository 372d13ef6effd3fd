"""The same program under Ray Train and under Spark on this machine. `make test-engines` runs these tests."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import torchest

ROOT = Path(__file__).parent.parent.parent


def needs(module, command=None):
    is_there = importlib.util.find_spec(module) and (command is None or shutil.which(command))
    return pytest.mark.skipif(not is_there, reason=f"needs {command or module}: make test-engines")


def run(example, *arguments):
    """Runs an example on the CPU, and returns what it prints."""
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def assert_trained(model_dir, output):
    """The chief has written the model once, and all processes know how good it is."""
    assert torchest.latest_checkpoint(model_dir).endswith("model.ckpt-60")
    accuracies = [float(value) for value in re.findall(r"accuracy (\d\.\d+)", output)]
    assert accuracies
    assert min(accuracies) > 0.9
    assert "chief 0: 2 processes train together" in output
    assert "worker 0: 2 processes train together" in output


@needs("ray")
def test_ray_train(tmp_path):
    output = run("ray_train.py", "--storage", tmp_path, "--workers", 2)
    path, accuracy = re.search(r"Ray has (\S+), of accuracy (\S+)", output).groups()
    assert (Path(path) / "model.safetensors").exists()
    assert float(accuracy) > 0.9
    assert_trained(tmp_path / "model", output)


@needs("pyspark", "java")
@pytest.mark.parametrize("place", [["--local"], []], ids=["on the driver", "as tasks of Spark"])
def test_sparks_torch_distributor(place, tmp_path, monkeypatch):
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--master local[2] pyspark-shell")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    output = run("spark_distributor.py", "--model_dir", tmp_path, "--processes", 2, *place)
    assert_trained(tmp_path, output)
