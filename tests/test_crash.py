"""Training that is killed at any moment goes on from the newest complete checkpoint.

Each trial is a process of its own that is killed with SIGKILL: first at every file operation of a save, one
after the other, then at random moments.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest import inputs
from torchest.checkpoint import directory, tensor_files
from torchest.checkpoint.directory import Checkpoint, latest_checkpoint
from torchest.engine import saving

_FILE_OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}
_LARGE = 20_000
# the first test that asks for such processes decides for all; the last of these loads the compiled loops
PRELOAD = ["torchest.api", "torch.utils.data", "torch._dynamo", "benchmarks.fault_training"]


@pytest.fixture(scope="module")
def processes():
    """Processes that fork from one that has imported torch, so that a trial takes a moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def model_fn(features, labels, mode):
    """Its parameters and Adam's moments are a function of the number of steps."""

    def make():
        net = torch.nn.Linear(_LARGE, 1)
        torch.nn.init.zeros_(net.weight)
        torch.nn.init.zeros_(net.bias)
        return net

    net = torchest.get_or_create("net", make)
    loss = net(features["x"]).mean()
    optimizer = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.5))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)


def train(model_dir, steps):
    config = torchest.RunConfig(
        save_checkpoints_steps=1,
        keep_checkpoint_max=2,
        save_summary_steps=None,
        log_step_count_steps=None,
    )
    estimator = torchest.Estimator(model_fn, model_dir, config)
    estimator.train(lambda: {"x": torch.ones(1, _LARGE)}, steps=steps)


def train_and_die(model_dir, at_operation):
    """Trains, and is killed at a file operation of this number inside model_dir."""
    count = itertools.count()

    def watch(event, arguments):
        only_reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event not in _FILE_OPERATIONS or only_reads or model_dir not in str(arguments):
            return
        if next(count) == at_operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    train(model_dir, 2)


def train_for_ever(model_dir):
    train(model_dir, 1_000_000)


def wait_for_a_checkpoint_after(step, model_dir):
    name = f"model.ckpt-{step + 1}"
    give_up = time.monotonic() + 60
    while not os.path.isdir(os.path.join(model_dir, name)) and time.monotonic() < give_up:
        time.sleep(0.001)


def step_that_loads(model_dir):
    """Reads the newest checkpoint in full and compares it with what that many steps make of it."""
    path = latest_checkpoint(model_dir)
    if path is None:
        return -1
    checkpoint = Checkpoint(path)
    weight = checkpoint.model()["net.weight"]
    # Adam with a constant gradient moves by its learning rate in every step
    expected = torch.full_like(weight, -0.5 * checkpoint.global_step)
    torch.testing.assert_close(weight, expected, rtol=1e-3, atol=1e-3)
    slots = checkpoint.optimizer()
    if checkpoint.global_step:
        assert slots["adam.net.weight.step"] == checkpoint.global_step
    return checkpoint.global_step


def test_a_kill_at_every_file_operation_of_a_save(tmp_path, processes):
    model_dir = str(tmp_path)
    step, kills = -1, 0
    for operation in itertools.count():
        process = processes.Process(target=train_and_die, args=(model_dir, operation))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        before, step = step, step_that_loads(model_dir)
        assert step >= before
    assert kills >= 25, kills
    assert step_that_loads(model_dir) >= 2
    left = sorted(os.listdir(model_dir))
    assert [name for name in left if name.startswith(".")] == []


def test_a_kill_at_a_random_moment(tmp_path, processes):
    model_dir = str(tmp_path)
    moments = random.Random(0)
    step = -1
    for _ in range(12):
        process = processes.Process(target=train_for_ever, args=(model_dir,))
        process.start()
        wait_for_a_checkpoint_after(step, model_dir)
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        before, step = step, step_that_loads(model_dir)
        assert step >= before
    assert step >= 11
    train(model_dir, 1)
    assert step_that_loads(model_dir) == step + 1


def train_beside(model_dir, steps, killed_at=None):
    """Trains a canned model whose checkpoints a slow thread writes, until it is killed at one of their pieces."""
    write = tensor_files._write
    pieces = itertools.count(1)

    def slow(*arguments):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.001)  # for some steps
            if next(pieces) == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
        write(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_files, "_write", slow)
        patch.setattr(tensor_files, "_PIECE", 1 << 10)
        patch.setattr(saving, "_SMALL", 1 << 10)
        patch.setattr(directory, "_LARGE", 1 << 10)
        config = torchest.RunConfig(
            save_checkpoints_steps=30, save_summary_steps=None, log_step_count_steps=None
        )
        model = torchest.LinearClassifier(
            [fc.categorical_column_with_hash_bucket("word", 1000)],
            model_dir,
            config=config,
            optimizer=lambda parameters: torchest.optimizers.Ftrl(parameters, lr=0.1),
        )
        random_words = np.random.default_rng(0).integers(0, 3000, 4000).astype(str)
        words = inputs.numpy_input_fn(
            {"word": random_words},
            np.arange(4000) % 3 == 0,
            batch_size=10,
            num_epochs=None,
            shuffle=False,
        )
        model.train(words, max_steps=steps)


def test_a_kill_while_a_thread_writes(tmp_path, processes):
    train_beside(str(tmp_path / "expected"), 300)
    for killed_at in (5, 17, 31, 44, 58, None):
        process = processes.Process(
            target=train_beside, args=(str(tmp_path / "killed"), 300, killed_at)
        )
        process.start()
        process.join(120)
        assert process.exitcode == (0 if killed_at is None else -signal.SIGKILL)
    expected, ended = (
        Checkpoint(tmp_path / name / "model.ckpt-300") for name in ("expected", "killed")
    )
    torch.testing.assert_close(ended.model(), expected.model(), rtol=0, atol=0)
    torch.testing.assert_close(ended.optimizer(), expected.optimizer(), rtol=0, atol=0)
