"""Memory and open files stay the same over cycles of training, evaluation and prediction."""

from __future__ import annotations

import gc
import os
import sys
import threading

import pytest
import torch
from torch import nn

import torchest
from torchest import columns, inputs

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads what Linux tells of a process"
)

PAGE = os.sysconf("SC_PAGE_SIZE")
COLUMNS = [
    columns.numeric_column("x"),
    columns.embedding_column(columns.categorical_column_with_hash_bucket("town", 100), 4),
]


def resident_bytes():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


def open_files():
    return len(os.listdir("/proc/self/fd"))


def rows():
    x = torch.arange(64.0)
    town = [f"town {number % 9}" for number in range(64)]
    return inputs.Dataset.from_tensor_slices(({"x": x, "town": town}, x.long() % 2))


def test_cycles_of_training_evaluation_and_prediction(tmp_path, monkeypatch):
    monkeypatch.setattr("torchest.utils.files.sync", lambda path: None)
    config = torchest.RunConfig(
        save_summary_steps=None, log_step_count_steps=None, keep_checkpoint_max=2
    )
    model = torchest.DNNClassifier([16], COLUMNS, tmp_path, config=config)

    def cycle():
        model.train(lambda: rows().shuffle(64).repeat().batch(8), steps=10)
        model.evaluate(lambda: rows().batch(16))
        assert len(list(model.predict(lambda: rows().batch(16)))) == 64

    for _ in range(20):
        cycle()
    before, files, threads = resident_bytes(), open_files(), threading.active_count()
    for _ in range(60):
        cycle()
    assert resident_bytes() < 1.01 * before + (1 << 20)
    assert open_files() == files
    assert threading.active_count() == threads


def test_predictions_of_an_input_without_an_end_take_no_more_memory(tmp_path):
    def model_fn(features, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(1, 1000))
        return torchest.EstimatorSpec(mode, predictions={"y": net(features["x"])})

    model = torchest.Estimator(model_fn, tmp_path)
    predictions = model.predict(
        lambda: ({"x": torch.ones(64, 1)} for _ in iter(int, 1)), yield_single_examples=False
    )
    for _ in range(50):
        next(predictions)
    before = resident_bytes()
    for _ in range(500):  # of 256 kB each
        next(predictions)
    assert resident_bytes() < before + (8 << 20)
    predictions.close()
