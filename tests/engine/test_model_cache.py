from __future__ import annotations

import os
import shutil
import time
from unittest import mock

import pytest
import torch
from torch import nn

import torchest
from torchest.engine import model_cache
from torchest.errors import DamagedCheckpointError
from torchest.utils import files

CONFIG = torchest.RunConfig(
    save_checkpoints_steps=1,
    keep_checkpoint_max=2,
    save_summary_steps=None,
    log_step_count_steps=None,
)


def model_fn(features, mode):
    net = torchest.get_or_create("net", lambda: nn.Linear(1, 1))
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
    loss = net(features["x"]).square().mean()
    return torchest.EstimatorSpec(mode, predictions={"loss": loss[None]}, loss=loss, train_op=sgd)


def one():
    return {"x": torch.ones(1, 1)}


@pytest.fixture
def estimator(tmp_path):
    return torchest.Estimator(model_fn, tmp_path, CONFIG).train(one, steps=3)


def damage(path):
    tensors = f"{path}/model.safetensors"
    with open(tensors, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")


def test_a_damaged_newest_checkpoint_is_passed_over(estimator, caplog):
    before = estimator.evaluate(one, steps=1, checkpoint_path=f"{estimator.model_dir}/model.ckpt-2")
    damage(estimator.latest_checkpoint())
    assert estimator.evaluate(one, steps=1) == before
    assert next(estimator.predict(one))["loss"] == before["loss"]
    assert caplog.text.count("model.ckpt-3' is damaged") == 1
    assert torchest.Estimator(model_fn, estimator.model_dir).evaluate(one, steps=1) == before


def test_a_damaged_checkpoint_that_was_asked_for_is_an_error(estimator):
    path = estimator.latest_checkpoint()
    damage(path)
    with pytest.raises(DamagedCheckpointError, match=r"model\.ckpt-3' is damaged: its model"):
        estimator.evaluate(one, steps=1, checkpoint_path=path)


def test_training_goes_on_before_a_damaged_checkpoint(estimator):
    damage(estimator.latest_checkpoint())
    estimator.train(one, max_steps=4)
    assert estimator.steps_made == 2
    assert "damaged-model.ckpt-3" in files.names_in(estimator.model_dir)


def test_the_checkpoint_that_is_evaluated_is_not_removed(estimator):
    """Another object, as in another process, trains on while this one evaluates."""

    class TrainOn(torchest.SessionRunHook):
        kept = ()

        def after_create_session(self, session, coord):
            other = torchest.Estimator(model_fn, estimator.model_dir, CONFIG)
            other.train(one, steps=4)
            self.kept = files.names_in(estimator.model_dir)

    hook = TrainOn()
    assert estimator.evaluate(one, steps=1, hooks=[hook])["global_step"] == 3
    assert "model.ckpt-3" in hook.kept
    assert "model.ckpt-5" not in hook.kept
    estimator.train(one, steps=1)
    assert sorted(name for name in files.names_in(estimator.model_dir) if "ckpt" in name) == [
        "model.ckpt-7", "model.ckpt-8",
    ]  # fmt: skip


def an_hour_later():
    """A context in which all files are an hour old."""
    clock = mock.Mock(time_ns=lambda: time.time_ns() + 3600 * 10**9)
    return mock.patch.object(model_cache, "time", clock)


def test_an_unchanged_directory_is_read_once(estimator, monkeypatch):
    reads = []
    read_json = files.read_json
    monkeypatch.setattr(files, "read_json", lambda path: reads.append(path) or read_json(path))
    list(estimator.predict(one))
    assert f"{estimator.model_dir}/checkpoint" in reads
    with an_hour_later():
        list(estimator.predict(one))
        reads.clear()
        list(estimator.predict(one))
    assert not reads


def test_changes_of_an_old_directory_are_seen(estimator):
    with an_hour_later():
        before = next(estimator.predict(one))["loss"]
    torchest.Estimator(model_fn, estimator.model_dir, CONFIG).train(one, steps=1)
    after = next(estimator.predict(one))["loss"]
    assert after < before
    with an_hour_later():
        assert next(estimator.predict(one))["loss"] == after
    shutil.rmtree(estimator.latest_checkpoint())
    assert next(estimator.predict(one))["loss"] == before


def test_files_copied_with_their_times_are_seen(estimator, tmp_path_factory):
    directory = estimator.model_dir
    files_with_times = (directory, f"{directory}/checkpoint")
    times = [os.stat(path).st_mtime_ns for path in files_with_times]
    with an_hour_later():
        before = next(estimator.predict(one))["loss"]
        copy = shutil.copytree(directory, tmp_path_factory.mktemp("copies") / "copy")
        torchest.Estimator(model_fn, copy, CONFIG).train(one, steps=1)
        shutil.copytree(copy, directory, dirs_exist_ok=True)
        for path, modified in zip(files_with_times, times, strict=True):
            os.utime(path, ns=(modified, modified))
        assert next(estimator.predict(one))["loss"] < before
