"""Event files, as TensorBoard's own reader finds them."""

from __future__ import annotations

import os
import shutil

import fsspec
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.pr_curve import metadata as pr_curve_metadata
from tensorboard.util import tensor_util

from torchest import metrics
from torchest.summary import SummaryWriter


def read(directory):
    return EventAccumulator(
        str(directory), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}
    ).Reload()


def scalars(directory, tag):
    return [(event.step, event.value) for event in read(directory).Scalars(tag)]


def write(directory, *values, **arguments):
    writer = SummaryWriter(directory, **arguments)
    for step, value in values:
        writer.add_scalar("loss", value, step)
    writer.close()


def event_files(directory):
    return sorted(path.name for path in directory.iterdir())


def test_numbers(tmp_path):
    writer = SummaryWriter(tmp_path / "new")
    writer.add_scalar("loss", 0.5, 1)
    writer.add_scalar("loss", np.float32(0.25), np.int64(2))
    writer.add_scalar("eval/auc", torch.tensor(1.0), 2)
    writer.close()
    assert scalars(tmp_path / "new", "loss") == [(1, 0.5), (2, 0.25)]
    assert scalars(tmp_path / "new", "eval/auc") == [(2, 1.0)]


def test_a_histogram_has_every_number_in_its_bucket(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.add_histogram("weights", torch.tensor([[0.0, 1.0], [3.0, np.nan]]), 7)
    writer.add_histogram("weights", np.full(5, 2.0), 8)
    writer.add_histogram("nothing", np.array([np.nan]), 8)
    writer.close()
    actual = read(tmp_path)
    assert actual.Tags()["histograms"] == ["weights"]
    first, second = actual.Histograms("weights")
    value = first.histogram_value
    assert (first.step, value.min, value.max, value.num, value.sum) == (7, 0.0, 3.0, 3.0, 4.0)
    assert value.sum_squares == 10.0
    assert sum(value.bucket) == 3.0
    upper = np.array(value.bucket_limit)
    assert [upper[np.flatnonzero(np.cumsum(value.bucket) >= count)[0]] for count in (1, 2, 3)] == (
        pytest.approx([0.1, 1.1, 3.0])  # 30 buckets between 0 and 3, each with its lower end
    )
    assert sum(second.histogram_value.bucket) == 5.0


def test_a_text(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.add_text("config", "| a | b |\n|---|---|\n| é | 1 |", 3)
    writer.close()
    (event,) = read(tmp_path).Tensors("config/text_summary")
    assert event.step == 3
    assert event.tensor_proto.string_val[0].decode() == "| a | b |\n|---|---|\n| é | 1 |"


def test_a_precision_recall_curve(tmp_path):
    labels, predictions = torch.tensor([1, 0, 1, 0]), torch.tensor([0.9, 0.6, 0.4, 0.1])
    metric = metrics.auc(labels, predictions, curve="PR", num_thresholds=5)
    writer = SummaryWriter(tmp_path)
    writer.add_curve("pr", metric, 4)
    writer.close()
    actual = read(tmp_path)
    (event,) = actual.Tensors("pr")
    curve = tensor_util.make_ndarray(event.tensor_proto)
    # above the thresholds 0, 0.25, 0.5, 0.75, 1: four, three, two, one, none of them
    assert curve.tolist() == [
        [2, 2, 1, 1, 0],  # true positives
        [2, 1, 1, 0, 0],  # false positives
        [0, 1, 1, 2, 2],  # true negatives
        [0, 0, 1, 1, 2],  # false negatives
        [0.5, pytest.approx(2 / 3), 0.5, 1, 0],  # precision
        [1, 1, 0.5, 0.5, 0],  # recall
    ]
    content = actual.SummaryMetadata("pr").plugin_data.content
    assert pr_curve_metadata.parse_plugin_metadata(content).num_thresholds == 5
    assert actual.SummaryMetadata("pr").plugin_data.plugin_name == "pr_curves"


def test_a_thousand_writers_of_one_process_leave_one_file(tmp_path):
    for step in range(1000):
        write(tmp_path, (step, float(step)))
    assert len(event_files(tmp_path)) == 1
    assert scalars(tmp_path, "loss") == [(step, float(step)) for step in range(1000)]


def test_without_values_there_is_no_file(tmp_path):
    SummaryWriter(tmp_path / "a").close()
    assert not (tmp_path / "a").exists()


def test_a_directory_that_was_removed_is_made_anew(tmp_path):
    directory = tmp_path / "events"
    write(directory, (1, 1.0))
    shutil.rmtree(directory)
    write(directory, (2, 2.0))
    assert scalars(directory, "loss") == [(2, 2.0)]


def test_a_file_of_another_process_that_came_later_is_followed_by_a_new_one(tmp_path, monkeypatch):
    write(tmp_path, (1, 1.0))
    with monkeypatch.context() as other_process:
        other_process.setattr("torchest.summary.writer._own_files", {})
        write(tmp_path, (2, 2.0))
    write(tmp_path, (3, 3.0))
    write(tmp_path, (4, 4.0))
    assert len(event_files(tmp_path)) == 3
    assert scalars(tmp_path, "loss") == [(step, float(step)) for step in (1, 2, 3, 4)]


def test_steps_that_are_made_again_are_shown_once(tmp_path):
    write(tmp_path, (1, 1.0), (2, 2.0), (3, 3.0), purge_step=1)
    # killed after step 3; goes on from the checkpoint of step 1
    write(tmp_path, (2, 20.0), (4, 40.0), purge_step=2)
    assert scalars(tmp_path, "loss") == [(1, 1.0), (2, 20.0), (4, 40.0)]


def test_checksums_are_right(tmp_path):
    write(tmp_path, (1, 1.0), (2, 2.0))
    (name,) = event_files(tmp_path)
    # the loader of TensorBoard checks them
    events = list(event_file_loader.EventFileLoader(str(tmp_path / name)).Load())
    assert events[0].file_version == "brain.Event:2"
    assert [event.step for event in events[1:]] == [1, 2]


def test_what_was_cut_off_in_a_kill_ends_the_file_and_the_next_begins_anew(tmp_path, monkeypatch):
    write(tmp_path, (1, 1.0))
    (name,) = event_files(tmp_path)
    with open(tmp_path / name, "r+b") as file:
        file.truncate(os.path.getsize(tmp_path / name) - 3)
    monkeypatch.setattr("torchest.summary.writer._own_files", {})  # as in another process
    write(tmp_path, (2, 2.0))
    assert scalars(tmp_path, "loss") == [(2, 2.0)]


def test_events_on_an_object_store():
    directory = "memory://events/of/a/model"
    write(directory, (1, 1.0))
    write(directory, (2, 2.0))
    system = fsspec.filesystem("memory")
    (path,) = system.ls("/events/of/a/model", detail=False)
    content = system.cat_file(path)
    assert content.count(b"brain.Event:2") == 1
    assert content.count(b"loss") == 2
    system.rm("/events", recursive=True)


def test_values_appear_while_training_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("torchest.summary.writer._FLUSH_SECS", 0.0)
    writer = SummaryWriter(tmp_path)
    writer.add_scalar("loss", 1.0, 1)
    assert scalars(tmp_path, "loss") == [(1, 1.0)]
    writer.close()
