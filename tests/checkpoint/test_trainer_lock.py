"""Two trainings in one model_dir: the second one is refused, and says who trains there."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading

import fsspec
import pytest

import torchest
from torchest import columns as fc
from torchest.checkpoint.trainer_lock import only_trainer, reserved_for_training
from torchest.utils import files

BATCH = {"x": [1.0, 2.0]}, [1.0, 2.0]
QUIET = {"save_summary_steps": None, "log_step_count_steps": None}
TRAINER = """\
    import os, sys, time
    import torchest

    def batches():
        yield {"x": [1.0, 2.0]}, [1.0, 2.0]
        yield {"x": [1.0, 2.0]}, [1.0, 2.0]
        worker = os.fork()  # as a DataLoader does
        if worker:
            print(worker, flush=True)
        time.sleep(120)

    config = torchest.RunConfig(save_checkpoints_steps=1)
    column = torchest.columns.numeric_column("x")
    torchest.LinearRegressor([column], sys.argv[1], config=config).train(batches)
    """


def linear(model_dir):
    config = torchest.RunConfig(save_checkpoints_steps=1, **QUIET)
    return torchest.LinearRegressor([fc.numeric_column("x")], str(model_dir), config=config)


def train(model, hooks=(), steps=1):
    return model.train(lambda: BATCH, hooks, steps=steps)


class InTraining(torchest.SessionRunHook):
    """Calls a function after the first step."""

    def __init__(self, function):
        self._function = function

    def after_run(self, run_context, run_values):
        self._function()


@pytest.fixture
def trainer(tmp_path):
    """Another process that trains, and one that it has forked."""
    program = tmp_path / "trainer.py"
    program.write_text(textwrap.dedent(TRAINER))
    process = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "model")], stdout=subprocess.PIPE, text=True
    )
    worker = int(process.stdout.readline())
    yield process
    for pid in (worker, process.pid):
        if process.poll() is None or pid == worker:
            os.kill(pid, signal.SIGKILL)
    process.wait(timeout=60)
    process.stdout.close()


def test_another_process_that_trains_is_named_until_it_is_killed(trainer, tmp_path):
    model = linear(tmp_path / "model")
    who = rf"by the process {trainer.pid} on {re.escape(socket.gethostname())} since 20\d\d-.*\. "
    with pytest.raises(RuntimeError, match=f"is already being trained {who}.*another model_dir"):
        train(model)
    assert model.evaluate(lambda: BATCH, steps=1)["global_step"] >= 1  # beside it
    assert len(list(model.predict(lambda: [BATCH[0]]))) == 2
    trainer.kill()  # the process that it has forked lives on
    trainer.wait(timeout=60)
    train(model)


def test_a_training_within_a_training_of_the_same_directory_is_refused(tmp_path):
    within = InTraining(lambda: train(linear(tmp_path / "x" / ".." / "model")))
    (tmp_path / "x").mkdir()
    message = "is already being trained by this process, in its thread 'MainThread' since 20"
    with pytest.raises(RuntimeError, match=message):
        train(linear(tmp_path / "model"), [within])
    other = InTraining(lambda: train(linear(tmp_path / "other")))
    train(linear(tmp_path / "model"), [other])


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_threads_that_share_an_estimator_train_one_after_the_other(tmp_path, place):
    directory = tmp_path / "model" if place == "disk" else f"memory://{tmp_path.name}"
    model, results = linear(directory), {}
    train(model)

    def beside():
        results["evaluate"] = model.evaluate(lambda: BATCH, steps=1)["global_step"]
        results["predict"] = len(list(model.predict(lambda: [BATCH[0]])))
        with pytest.raises(RuntimeError, match="by this process, in its thread 'MainThread'"):
            train(model)
        results["train"] = "refused"

    def in_thread():
        thread = threading.Thread(target=beside, name="other")
        thread.start()
        thread.join()

    train(model, [InTraining(in_thread)])
    assert results["predict"] == 2
    assert results["train"] == "refused"
    assert model.evaluate(lambda: BATCH, steps=1)["global_step"] == 2


def test_train_and_evaluate_keeps_the_directory_over_its_last_evaluation(tmp_path):
    def second():
        with pytest.raises(RuntimeError, match="is already being trained"):
            train(linear(tmp_path / "model"))

    torchest.train_and_evaluate(
        linear(tmp_path / "model"),
        torchest.TrainSpec(lambda: BATCH, max_steps=1),
        torchest.EvalSpec(lambda: BATCH, steps=1, hooks=[InTraining(second)]),
    )


def test_what_was_reserved_is_for_one_training_at_a_time(tmp_path):
    directory = str(tmp_path)
    with reserved_for_training(directory, is_chief=True):
        for _ in range(2):
            with (
                only_trainer(directory, is_chief=True),
                pytest.raises(RuntimeError, match="is already being trained"),
                only_trainer(directory, is_chief=True),
            ):
                pass


def test_other_processes_of_one_training_hold_nothing(tmp_path):
    with only_trainer(str(tmp_path), is_chief=True), only_trainer(str(tmp_path), is_chief=False):
        pass


def test_nothing_is_left_of_a_training_that_wrote_nothing(tmp_path):
    with pytest.raises(ValueError, match="The input is empty"):
        linear(tmp_path / "a" / "model").train(list)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_the_lock(tmp_path):
    train(linear(tmp_path / "model"))
    assert not (tmp_path / "model" / "training.lock").exists()


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "training.lock").symlink_to(tmp_path / "precious")
    with only_trainer(str(tmp_path), is_chief=True):
        assert json.loads((tmp_path / "training.lock").read_text())["pid"] == os.getpid()
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ('{"host": "far", "pid": 7, "since": "today"}', "the process 7 on far since today"),
        ("?", "another process has not ended there, or was killed"),
        (json.dumps({"host": socket.gethostname(), "pid": 2**31 - 2, "since": "today"}), None),
    ],
)
def test_on_an_object_store_somebody_who_may_train_is_told_in_a_warning(caplog, note, message):
    directory = "memory://somebody"
    files.write_text(f"{directory}/training.lock", note)
    with caplog.at_level(logging.WARNING, "torchest"):
        train(linear(directory))
    assert (message in caplog.text) if message else "may be training" not in caplog.text
    assert "training.lock" not in files.names_in(directory)
    fsspec.filesystem("memory").rm("/somebody", recursive=True)


def test_the_next_training_clears_what_killed_ones_left(tmp_path):
    model = tmp_path / "model"
    train(linear(model))
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("precious")
    for directory in (model, model / "eval", model / "eval_b"):
        (directory / ".tmp-model.ckpt-9-1").mkdir(parents=True)
        (directory / ".tmp-model.ckpt-9-1" / "file").write_text("1")
        (directory / ".tmp-evaluations.json-1").write_text("1")
        (directory / ".tmp-link").symlink_to(tmp_path / "precious")
        os.mkfifo(directory / ".tmp-pipe")
    linear(model).evaluate(lambda: BATCH, steps=1)
    assert [name for name in os.listdir(model / "eval") if ".tmp" in name] == []
    train(linear(model))
    assert list(model.rglob(".tmp-*")) == []
    assert (tmp_path / "precious" / "file").read_text() == "precious"
