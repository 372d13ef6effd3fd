"""Checkpoints that are written while training goes on have the state of their step."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest.checkpoint import directory, tensor_files
from torchest.checkpoint.directory import Checkpoint, Contents
from torchest.checkpoint.old_rows import OldRows
from torchest.engine import saving
from torchest.optimizers import Adagrad, Adam, Ftrl
from torchest.optimizers.row_gradients import look_up

ROWS = 3000
OPTIMIZERS = {
    "Ftrl": lambda parameters: Ftrl(parameters, lr=0.1),
    "Adagrad": lambda parameters: Adagrad(parameters, lr=0.1),
    "lazy Adam": lambda parameters: Adam(parameters, lr=0.1, lazy=True),
}


@pytest.fixture(autouse=True)
def _small_tables_count(monkeypatch):
    monkeypatch.setattr(saving, "_SMALL", 1 << 10)
    monkeypatch.setattr(directory, "_LARGE", 1 << 10)
    monkeypatch.setattr(tensor_files, "_PIECE", 1 << 12)


class Waits(torchest.CheckpointSaverListener):
    """What listeners do after a checkpoint needs it to be there."""

    def after_save(self, session, global_step_value):
        assert (global_step_value, session.saving) == (session.global_step, None)


class Pace:
    """Lets the writer write a piece for every batch only, and all after the last."""

    def __init__(self, monkeypatch):
        self.pieces = threading.Semaphore(0)
        self.saved_beside = 0
        write = tensor_files._write

        def slow(piece, *others):
            if threading.current_thread().name == "torchest-checkpoint":
                self.pieces.acquire(timeout=10)
            write(piece, *others)

        monkeypatch.setattr(tensor_files, "_write", slow)

    def batches(self, steps):
        for batch in batches(steps):
            names = [thread.name for thread in threading.enumerate()]
            self.saved_beside += "torchest-checkpoint" in names
            self.pieces.release(3)
            yield batch
        self.pieces.release(1000)


def batches(steps):
    random = np.random.default_rng(0)
    for _ in range(steps):
        words = random.integers(0, 5000, [32, 2]).astype(str)
        labels = random.integers(0, 2, 32)
        yield {"one": words[:, 0], "two": words[:, 1]}, labels


def train(model_dir, optimizer, hooks=(), listeners=(), batches=batches, **options):
    config = torchest.RunConfig(
        save_checkpoints_steps=20,
        keep_checkpoint_max=None,
        save_summary_steps=None,
        log_step_count_steps=None,
        tf_random_seed=1,
        **options,
    )
    columns = [
        fc.categorical_column_with_hash_bucket(key, ROWS // each)
        for each, key in enumerate(("one", "two"), 1)
    ]
    model = torchest.LinearClassifier(
        columns, str(model_dir), optimizer=OPTIMIZERS[optimizer], config=config
    )
    model.train(lambda: batches(61), hooks=list(hooks), saving_listeners=list(listeners))
    return model


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"clip_norm": 1e9}], ids=["planned", "general"])
def test_a_checkpoint_beside_training_has_the_state_of_its_step(
    tmp_path, monkeypatch, optimizer, options
):
    train(tmp_path / "waits", optimizer, listeners=[Waits()], **options)
    pace = Pace(monkeypatch)
    train(tmp_path / "beside", optimizer, batches=pace.batches, **options)
    assert pace.saved_beside > 0
    for step in (0, 20, 40, 60, 61):
        expected = Checkpoint(tmp_path / "waits" / f"model.ckpt-{step}").check()
        made = Checkpoint(tmp_path / "beside" / f"model.ckpt-{step}").check()
        assert (made.global_step, made.state["objects"]) == (step, expected.state["objects"])
        torch.testing.assert_close(made.model(), expected.model(), rtol=0, atol=0)
        torch.testing.assert_close(made.optimizer(), expected.optimizer(), rtol=0, atol=0)


@pytest.mark.parametrize("at", ["model", "end"])
def test_an_error_of_the_writer_is_raised_in_the_training(tmp_path, monkeypatch, at):
    write = directory.write_tensors

    def fail(path, *others):
        if threading.current_thread().name == "torchest-checkpoint":
            raise OSError(28, "No space left on device")
        return write(path, *others)

    monkeypatch.setattr(directory, "write_tensors", fail)
    monkeypatch.setattr(saving.Saving, "is_written", property(lambda _: at == "model"))
    with pytest.raises(OSError, match="No space left on device"):
        train(tmp_path, "Ftrl")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tmp")]


class Own(torchest.SessionRunHook):
    """A user's hook, which may have the model from elsewhere than its session."""


@pytest.mark.parametrize(
    ("hooks", "thread"),
    [
        ([], "torchest-checkpoint"),
        ([torchest.LoggingTensorHook(["loss"], 10)], "torchest-checkpoint"),
        ([Own()], "MainThread"),
    ],
)
def test_training_waits_for_checkpoints_only_if_users_hooks_may_change_the_model(
    tmp_path, monkeypatch, hooks, thread
):
    threads = set()
    write = directory.write_tensors

    def watch(path, *others):
        threads.add(threading.current_thread().name)
        return write(path, *others)

    monkeypatch.setattr(directory, "write_tensors", watch)
    train(tmp_path, "Ftrl", hooks=hooks)
    assert threads == {thread}


@pytest.mark.parametrize("overrides", ["save", "after_create_session", "after_run"])
def test_a_subclass_of_the_saver_finds_its_checkpoint_written(tmp_path, overrides):
    newest = []

    def then_look(self, session, *others):
        result = getattr(torchest.CheckpointSaverHook, overrides)(self, session, *others)
        newest.append(torchest.latest_checkpoint(self.directory).rpartition("-")[2])
        return result

    kind = type("Own", (torchest.CheckpointSaverHook,), {overrides: then_look})
    train(tmp_path, "Ftrl", hooks=[kind(tmp_path, save_steps=30)])
    expected = {
        "save": ["30", "60", "61"],
        "after_create_session": ["0"],
        "after_run": 29 * ["0"] + 30 * ["30"] + 2 * ["60"],
    }
    assert newest == expected[overrides]


def test_a_call_of_save_waits_until_the_checkpoint_is_written(tmp_path):
    saver = torchest.CheckpointSaverHook(tmp_path, save_steps=1000)
    newest = []

    class SavesAtTen(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 10:
                saver.save(run_context.session)
                newest.append(torchest.latest_checkpoint(tmp_path))

    train(tmp_path, "Ftrl", hooks=[SavesAtTen(), saver])
    assert newest == [str(tmp_path / "model.ckpt-10")]


def test_functions_that_a_users_optimizer_calls_in_steps_end_writing_beside_training(
    tmp_path, monkeypatch
):
    def limited(parameters):
        optimizer = Ftrl(parameters, lr=0.1)
        weights = optimizer.param_groups[0]["params"]
        optimizer.register_step_post_hook(
            lambda *_: [each.data.clamp_(-0.01, 0.01) for each in weights]
        )
        return optimizer

    monkeypatch.setitem(OPTIMIZERS, "limited", limited)
    train(tmp_path / "waits", "limited", listeners=[Waits()])
    pace = Pace(monkeypatch)
    train(tmp_path / "beside", "limited", batches=pace.batches)
    assert pace.saved_beside == 0
    expected = Checkpoint(tmp_path / "waits" / "model.ckpt-20").model()
    actual = Checkpoint(tmp_path / "beside" / "model.ckpt-20").model()
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_an_optimizer_tells_of_a_change_before_it():
    table = torch.nn.Parameter(torch.zeros(5, 1))
    optimizer = Ftrl([table], lr=0.1)
    told = []

    def before_change(parameter, rows):
        assert parameter is table
        told.append((None if rows is None else rows.tolist(), parameter.count_nonzero().item()))

    optimizer.before_change = before_change
    look_up(table, torch.tensor([3, 1, 3])).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    table.grad = torch.ones(5, 1)
    optimizer.step()
    assert told == [([1, 3], 0), (None, 2)]


def test_a_change_of_all_rows_waits_for_the_writer():
    table = torch.nn.Parameter(torch.zeros(5, 1))
    table_of = saving.ChangingTable(table, OldRows([table]), Ftrl([table], lr=0.1))
    written = threading.Event()
    made = saving.Saving(Contents({}), [table_of], lambda _: written.wait(10))
    threading.Timer(0.05, written.set).start()
    made._before_change(torch.zeros(1), None)
    assert not made.is_written
    made._before_change(table, None)
    assert made.is_written
    assert table_of.optimizer.before_change is None


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (Ftrl, True),
        (Adagrad, True),
        (Adam, False),
        (lambda parameters: Adam(parameters, lazy=True), True),
        (type("Own", (Ftrl,), {"step": lambda self: None}), False),
        (type("Own", (Ftrl,), {"_age": lambda *_: None}), False),
    ],
)
def test_optimizers_that_change_rows_only(optimizer, expected):
    made = optimizer([torch.nn.Parameter(torch.zeros(2, 1))])
    assert made.changes_rows_only(made.param_groups[0]) is expected
