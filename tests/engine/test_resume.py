"""Training that is interrupted goes on as if it had not been: bit for bit, and with every row used once.

An interruption is an exception in a hook; what comes after it shares no objects with what was before, and other
random numbers are drawn in between, as in another process. Processes that are killed are in test_crash.py.
"""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import torchest
from torchest import inputs
from torchest.checkpoint.directory import Checkpoint

ROWS, BATCH, EPOCHS = 14, 4, 3  # batches go over the ends of epochs
STEPS = ROWS * EPOCHS // BATCH + 1
SAVE_ALWAYS = torchest.RunConfig(
    save_checkpoints_steps=1,
    keep_checkpoint_max=None,
    save_summary_steps=None,
    log_step_count_steps=None,
)


class InterruptionError(Exception):
    pass


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("torchest.utils.files.sync", lambda path: None)


class Record(torchest.SessionRunHook):
    """Keeps the rows and the loss of each step, and interrupts training after a step."""

    def __init__(self, interrupt_at=None):
        self.rows, self.losses = {}, {}
        self._at = interrupt_at

    def before_run(self, run_context):
        if run_context.session.global_step == self._at:
            raise InterruptionError
        return torchest.SessionRunArgs(["global_step", "row", "loss"])

    def after_run(self, run_context, run_values):
        step, rows, loss = run_values.results
        self.rows[int(step)] = [int(row) for row in rows]
        self.losses[int(step)] = float(loss)


def model_fn(features, mode):
    """Dropout, batch statistics, moments and a schedule: all that a step depends on."""

    def make():
        return nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))

    net = torchest.get_or_create("net", make)
    x = features["row"].float()[:, None]
    loss = (net(x) - x.sin()).square().mean()
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.1))
    schedule = torchest.get_or_create(
        "schedule", lambda: torch.optim.lr_scheduler.StepLR(adam, 3, gamma=0.7)
    )

    def train_op():
        adam.zero_grad()
        torchest.backward(loss)
        adam.step()
        schedule.step()

    predictions = {"row": features["row"]}
    return torchest.EstimatorSpec(mode, predictions=predictions, loss=loss, train_op=train_op)


def shuffled():
    rows = inputs.Dataset.from_tensor_slices({"row": torch.arange(ROWS)})
    return rows.shuffle(5, seed=3).repeat(EPOCHS).batch(BATCH).prefetch(2)


def unseeded():
    rows = inputs.Dataset.from_tensor_slices({"row": np.arange(ROWS)})
    return rows.shuffle(ROWS).repeat(EPOCHS).batch(BATCH)


def train(model_dir, input_fn=shuffled, interrupt_at=None, **limit):
    record = Record(interrupt_at)
    estimator = torchest.Estimator(model_fn, model_dir, SAVE_ALWAYS)
    if interrupt_at is None:
        estimator.train(input_fn, hooks=[record], **limit)
    else:
        with pytest.raises(InterruptionError):
            estimator.train(input_fn, hooks=[record], **limit)
        torch.manual_seed(99)  # another process
        torch.rand(7)
    return record


def everything(model_dir, step):
    read = Checkpoint(model_dir / f"model.ckpt-{step}")
    state = {key: read.state[key] for key in ("optimizers", "others")}
    random = read.training()["random"]["cpu"]
    return {**read.model(), **read.optimizer(), "random": random}, state


def assert_same(one, other, step=STEPS):
    (tensors, state), (others, other_state) = everything(one, step), everything(other, step)
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    assert state == other_state


def epochs_of(record):
    used = [row for step in sorted(record.rows) for row in record.rows[step]]
    return [sorted(used[start : start + ROWS]) for start in range(0, len(used), ROWS)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("whole")
    torch.manual_seed(1)
    return model_dir, train(model_dir)


@pytest.mark.parametrize("at", range(STEPS + 1))
def test_an_interruption_after_any_step_changes_nothing(tmp_path, whole, at):
    model_dir, uninterrupted = whole
    torch.manual_seed(1)
    first = train(tmp_path, interrupt_at=at)
    second = train(tmp_path)
    assert_same(tmp_path, model_dir)
    assert {**first.losses, **second.losses} == uninterrupted.losses
    assert {**first.rows, **second.rows} == uninterrupted.rows
    assert not first.rows.keys() & second.rows.keys()
    assert epochs_of(uninterrupted) == [list(range(ROWS))] * EPOCHS


def test_two_interruptions_in_one_epoch_change_nothing(tmp_path, whole):
    torch.manual_seed(1)
    train(tmp_path, interrupt_at=4)
    train(tmp_path, interrupt_at=5)
    train(tmp_path, interrupt_at=5)
    train(tmp_path)
    assert_same(tmp_path, whole[0])


def test_a_shuffle_without_a_seed_goes_on_in_its_order(tmp_path):
    first = train(tmp_path, unseeded, interrupt_at=5)
    second = train(tmp_path, unseeded)
    first.rows.update(second.rows)
    assert len(first.rows) == STEPS
    assert epochs_of(first) == [list(range(ROWS))] * EPOCHS


def test_steps_after_the_last_checkpoint_are_made_again(tmp_path, whole):
    torch.manual_seed(1)
    config = SAVE_ALWAYS.replace(save_checkpoints_steps=4)
    record = Record(interrupt_at=7)
    with pytest.raises(InterruptionError):
        torchest.Estimator(model_fn, tmp_path, config).train(shuffled, hooks=[record])
    again = Record()
    torchest.Estimator(model_fn, tmp_path, config).train(shuffled, hooks=[again])
    assert list(again.rows) == list(range(4, STEPS))
    assert_same(tmp_path, whole[0])


def test_a_training_that_returned_is_followed_by_one_from_the_beginning_of_the_input(tmp_path):
    first = train(tmp_path, max_steps=2)
    second = train(tmp_path, max_steps=4)
    assert first.rows[0] == second.rows[2]
    assert first.rows[1] == second.rows[3]


def test_what_came_before_an_interrupted_training_does_not_count_as_read(tmp_path):
    train(tmp_path, max_steps=5)
    first = train(tmp_path, interrupt_at=7)
    second = train(tmp_path, max_steps=10)
    plain = train(tmp_path / "plain", max_steps=5)
    assert [*first.rows.values(), *second.rows.values()] == list(plain.rows.values())


def test_a_kill_before_the_first_checkpoint_of_a_training_begins_it_anew(tmp_path):
    config = SAVE_ALWAYS.replace(save_checkpoints_steps=100)
    estimator = torchest.Estimator(model_fn, tmp_path, config)
    first = Record()
    estimator.train(shuffled, hooks=[first], max_steps=3)
    with pytest.raises(InterruptionError):
        estimator.train(shuffled, hooks=[Record(interrupt_at=5)])
    again = Record()
    estimator.train(shuffled, hooks=[again], max_steps=6)
    assert again.rows == {step + 3: first.rows[step] for step in range(3)}


def test_a_kill_between_the_last_checkpoint_and_the_return_repeats_nothing(
    tmp_path, monkeypatch, caplog
):
    with monkeypatch.context() as patch:
        patch.setattr("torchest.engine.resume.ResumableTraining.end", lambda self: None)
        train(tmp_path)
    assert (tmp_path / "unfinished").exists()
    with caplog.at_level(logging.INFO, "torchest"):
        assert train(tmp_path).rows == {}
    assert "No steps made: the interrupted training had used all of its input" in caplog.text
    assert not (tmp_path / "unfinished").exists()
    assert list(train(tmp_path, steps=1).rows) == [STEPS]


def test_a_kill_after_the_last_step_is_over_when_the_training_was_called_again(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("torchest.engine.resume.ResumableTraining.end", lambda self: None)
        first = train(tmp_path, max_steps=3)
    assert train(tmp_path, max_steps=3).rows == {}
    assert train(tmp_path, max_steps=4).rows[3] == first.rows[0]


def test_an_interrupted_training_stays_one_when_its_mark_is_not_lost(tmp_path):
    train(tmp_path, interrupt_at=3)
    mark = json.loads((tmp_path / "unfinished").read_text())
    train(tmp_path, interrupt_at=5)
    assert json.loads((tmp_path / "unfinished").read_text()) == mark


def test_another_batch_size_is_refused_with_the_way_out(tmp_path):
    train(tmp_path, interrupt_at=3)

    def smaller():
        rows = inputs.Dataset.from_tensor_slices({"row": torch.arange(ROWS)})
        return rows.shuffle(5, seed=3).repeat(EPOCHS).batch(2).prefetch(2)

    with pytest.raises(
        ValueError,
        match=r"interrupted after step 3 .* size of Batch was 4 and is 2\. .* delete '.*unfinished'",
    ):
        train(tmp_path, smaller)
    (tmp_path / "unfinished").unlink()
    assert len(train(tmp_path, smaller, steps=1).rows[3]) == 2


def test_a_step_more_or_less_in_the_input_is_refused(tmp_path):
    train(tmp_path, interrupt_at=3)
    with pytest.raises(ValueError, match="it had Repeat where it now has Batch"):
        train(tmp_path, lambda: shuffled_rows().batch(BATCH))
    with pytest.raises(ValueError, match="it had 4 stages, and has 5"):
        train(tmp_path, lambda: shuffled().take(100))


def shuffled_rows():
    return inputs.Dataset.from_tensor_slices({"row": torch.arange(ROWS)}).shuffle(5, seed=3)


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "data" / "rows.csv"
        path.parent.mkdir()
        self.write(path, range(ROWS))
        return path

    @staticmethod
    def write(path, rows):
        if path.suffix == ".csv":
            path.write_text("row\n" + "".join(f"{row}\n" for row in rows))
        else:
            pd.DataFrame({"row": list(rows)}).to_parquet(path, row_group_size=3)

    @staticmethod
    def input_fn(path, shuffle=True):
        def input_fn():
            make = inputs.make_csv_dataset if path.suffix == ".csv" else inputs.make_parquet_dataset
            return make(path, BATCH, num_epochs=EPOCHS, shuffle=shuffle)

        return input_fn

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    @pytest.mark.parametrize("shuffle", [False, True])
    @pytest.mark.parametrize("at", [1, 5, 9])
    def test_training_goes_on_within_files(self, tmp_path, path, suffix, shuffle, at):
        path = path.with_suffix(suffix)
        self.write(path, range(ROWS))
        first = train(tmp_path / "model", self.input_fn(path, shuffle), interrupt_at=at)
        moved = tmp_path / "elsewhere" / path.name
        moved.parent.mkdir()
        self.write(moved, range(ROWS))
        second = train(tmp_path / "model", self.input_fn(moved, shuffle))
        first.rows.update(second.rows)
        assert epochs_of(first) == [list(range(ROWS))] * EPOCHS

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    @pytest.mark.parametrize("rows", [range(ROWS + 1), [*range(ROWS - 1), 11]])
    def test_files_that_have_changed_are_refused(self, tmp_path, path, suffix, rows):
        path = path.with_suffix(suffix)
        self.write(path, range(ROWS))
        train(tmp_path / "model", self.input_fn(path), interrupt_at=3)
        self.write(path, rows)
        with pytest.raises(
            ValueError, match=r"files of (Csv|Parquet)Rows was \[\['rows\..*\]\] and is .*delete"
        ):
            train(tmp_path / "model", self.input_fn(path))

    def test_epochs_that_were_read_are_not_read_again(self, tmp_path, path, monkeypatch):
        first = train(tmp_path / "model", self.input_fn(path, shuffle=False), interrupt_at=8)
        from torchest.inputs import csv

        read = []
        original = csv.text_blocks
        monkeypatch.setattr(
            csv, "text_blocks", lambda *args: (read.append(args[0]), original(*args))[1]
        )
        second = train(tmp_path / "model", self.input_fn(path, shuffle=False))
        assert (
            len(read) == 2
        )  # to find the types, and the third epoch: 8 batches are two epochs and 4 rows
        first.rows.update(second.rows)
        assert epochs_of(first) == [list(range(ROWS))] * EPOCHS


def test_a_cache_below_the_passes_keeps_its_order(tmp_path):
    def cached():
        return shuffled_rows().cache().repeat(EPOCHS).batch(BATCH)

    plain = train(tmp_path / "plain", cached)
    for at in (2, 5, 9):
        first = train(tmp_path / str(at), cached, interrupt_at=at)
        assert {**first.rows, **train(tmp_path / str(at), cached).rows} == plain.rows


def test_a_dataset_that_is_trained_on_several_times_goes_on_in_the_same_pass(tmp_path):
    data = shuffled()
    first = train(tmp_path, lambda: data, max_steps=4)
    second = train(tmp_path, lambda: data, interrupt_at=7)
    third = train(tmp_path, shuffled, max_steps=8)
    used = [row for rows in [*second.rows.values(), *third.rows.values()] for row in rows]
    assert sorted(used[:ROWS]) == list(range(ROWS))
    assert list(first.rows.values()) != [*second.rows.values(), *third.rows.values()]


class Numbers:
    """An iterable that says where it is, and what it was asked to go on from."""

    def __init__(self):
        self.at = 0

    def __iter__(self):
        while self.at < ROWS:
            self.at += 1
            yield {"row": torch.tensor([self.at - 1, self.at - 1])}

    def state_dict(self):
        return {"at": self.at, "tensor": torch.tensor(self.at), "more": ([None, 1.5, "a"], True)}

    def load_state_dict(self, state):
        self.at = state["at"]
        assert state == {
            "at": self.at, "tensor": torch.tensor(self.at), "more": ([None, 1.5, "a"], True)
        }  # fmt: skip


@pytest.mark.parametrize("at", [0, 1, 6])
def test_an_iterable_that_says_where_it_is_goes_on_whatever_was_read_ahead(tmp_path, at):
    first = train(tmp_path, Numbers, interrupt_at=at)
    second = train(tmp_path, Numbers)
    rows = {**first.rows, **second.rows}
    assert rows == {step: [step, step] for step in range(ROWS)}
    assert not first.rows.keys() & second.rows.keys()


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_data_loader_goes_on(tmp_path, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader")

    def input_fn():
        data = [{"row": torch.tensor(row)} for row in range(40)]
        ahead = {"prefetch_factor": 4} if workers else {}
        return stateful.StatefulDataLoader(
            data, batch_size=4, shuffle=True, num_workers=workers, **ahead
        )

    torch.manual_seed(1)
    plain = train(tmp_path / "plain", input_fn)
    torch.manual_seed(1)
    first = train(tmp_path / "model", input_fn, interrupt_at=3)
    second = train(tmp_path / "model", input_fn)
    assert {**first.rows, **second.rows} == plain.rows
    assert {**first.losses, **second.losses} == plain.losses


@pytest.mark.parametrize(
    "make",
    [
        lambda: ({"row": torch.tensor([row, row])} for row in range(9)),
        lambda: torch.utils.data.DataLoader([{"row": row // 2} for row in range(18)], 2),
    ],
)
def test_an_input_that_cannot_go_on_begins_anew_with_a_warning(tmp_path, make, caplog):
    train(tmp_path, make, interrupt_at=3)
    assert caplog.text == ""
    again = train(tmp_path, make, max_steps=5)
    assert list(again.rows.values()) == [[0, 0], [1, 1]]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "some rows are used again" in record.getMessage()


def test_one_batch_that_is_repeated_needs_no_place(tmp_path, caplog):
    def one():
        return {"row": torch.arange(3)}

    train(tmp_path, one, interrupt_at=3)
    train(tmp_path, one, max_steps=5)
    assert caplog.text == ""


class Patience(torchest.SessionRunHook):
    def __init__(self):
        self.best = {"loss": float("inf"), "steps": []}
        self.restored = None

    def state_dict(self):
        return self.best

    def load_state_dict(self, state):
        self.restored = state

    def after_run(self, run_context, run_values):
        self.best["loss"] = min(self.best["loss"], float(run_context.session.run("loss")))


def test_what_hooks_and_listeners_know_is_kept(tmp_path):
    class Listener(torchest.CheckpointSaverListener):
        kept = None

        def state_dict(self):
            return {"seen": torch.tensor([1, 2])}

        def load_state_dict(self, state):
            self.kept = state["seen"]

    hooks = [Patience(), Patience(), Record(interrupt_at=3)]
    hooks[1].best["steps"] = [1]
    estimator = torchest.Estimator(model_fn, tmp_path, SAVE_ALWAYS)
    with pytest.raises(InterruptionError):
        estimator.train(shuffled, hooks=hooks, saving_listeners=[Listener()])
    again, listener = [Patience(), Patience()], Listener()
    estimator.train(shuffled, hooks=again, max_steps=4, saving_listeners=[listener])
    assert again[0].restored["loss"] < float("inf")
    assert [hook.restored["steps"] for hook in again] == [[], [1]]
    assert torch.equal(listener.kept, torch.tensor([1, 2]))
    anew = Patience()
    estimator.train(shuffled, hooks=[anew], steps=1)
    assert anew.restored is None


def test_evaluations_in_between_draw_no_random_numbers_of_training(tmp_path, whole):
    """An iterator of a DataLoader draws a number; so an evaluation that is left out would be seen."""
    torch.manual_seed(1)
    loader = torch.utils.data.DataLoader([{"row": row} for row in range(9)], shuffle=True)

    class Evaluate(torchest.CheckpointSaverListener):
        def after_save(self, session, global_step_value):
            torchest.Estimator(model_fn, tmp_path, SAVE_ALWAYS).evaluate(lambda: loader)

    estimator = torchest.Estimator(model_fn, tmp_path, SAVE_ALWAYS)
    estimator.train(shuffled, saving_listeners=[Evaluate()])
    assert_same(tmp_path, whole[0])


def test_skipping_makes_neither_batches_nor_calls(tmp_path):
    calls = []

    def input_fn():
        def seen(features):
            calls.append(features["row"].tolist())
            return features

        rows = inputs.Dataset.from_tensor_slices({"row": torch.arange(100)})
        return rows.batch(BATCH).map(seen)

    train(tmp_path, input_fn, interrupt_at=20)
    calls.clear()
    train(tmp_path, input_fn, steps=1)
    assert calls == [[80, 81, 82, 83]]


class FirstOf(torchest.distributed.Strategy):
    """The first of some processes, without the others, which read as much as it does."""

    def __init__(self, processes):
        super().__init__()
        self.device = torch.device("cpu")
        self.world_size = processes

    def gather(self, value):
        return [value] * self.world_size


@pytest.mark.parametrize(
    ("dealt", "rows", "warnings"),
    [(True, list(range(8, 14)) + list(range(14)), 0), (False, list(range(14)) * 2, 1)],
)
def test_one_process_resumes_what_two_have_begun(tmp_path, caplog, dealt, rows, warnings):
    def input_fn(input_context):
        data = inputs.Dataset.from_tensor_slices({"row": torch.arange(ROWS)})
        if dealt:
            data = data.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
        return data.repeat(2).batch(2)

    config = SAVE_ALWAYS.replace(train_distribute=FirstOf(2))
    first, patience = Record(interrupt_at=2), Patience()
    with pytest.raises(InterruptionError):
        torchest.Estimator(model_fn, tmp_path, config).train(input_fn, hooks=[first, patience])
    assert first.rows == ({0: [0, 2], 1: [4, 6]} if dealt else {0: [0, 1], 1: [2, 3]})
    second, again = Record(), Patience()
    torchest.Estimator(model_fn, tmp_path, SAVE_ALWAYS).train(input_fn, hooks=[second, again])
    assert [row for step in second.rows.values() for row in step] == rows
    assert min(second.rows) == 2
    assert again.restored is not None
    assert len([each for each in caplog.records if "resumes in 1" in each.getMessage()]) == warnings
