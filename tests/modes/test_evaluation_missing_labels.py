"""Labels that are missing are an error in evaluation, as they are in training."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch

import torchest
from torchest import columns, experimental, inputs

X = columns.numeric_column("x")
NUMBERS = {"x": np.arange(4, dtype=np.float32)}
MISSING = {
    "NaN": np.array([1.0, 2.0, np.nan, 3.0]),
    "None in a list": [1.0, 2.0, None, 3.0],
    "a masked array": np.ma.masked_array([1.0, 2.0, 9.0, 3.0], [False, False, True, False]),
    "masked integers": np.ma.masked_array([1, 2, 9, 3], [False, False, True, False]),
    "pandas": pd.Series([1, 2, None, 3], dtype="Int64"),
    "a tensor": torch.tensor([[1.0], [2.0], [torch.nan], [3.0]]),
}


def says(batch: int, where: str) -> str:
    return re.escape(
        f"The loss of batch {batch} of the evaluation is NaN: {where} of the batch. "
        "Leave out rows whose label is missing."
    )


@pytest.mark.parametrize("labels", MISSING.values(), ids=MISSING)
def test_a_missing_label_of_a_regressor_is_an_error_that_names_its_row(labels, tmp_path):
    model = torchest.LinearRegressor([X], tmp_path)
    model.train(lambda: (NUMBERS, np.ones(4, np.float32)), steps=1)
    with pytest.raises(ValueError, match=f"^{says(1, 'the label has nan in row 2')}$"):
        model.evaluate(lambda: (NUMBERS, labels))
    with pytest.raises(
        torchest.NanLossDuringTrainingError, match="the label has nan in row 2 of the batch"
    ):
        model.train(lambda: (NUMBERS, labels), steps=1)
    assert not (tmp_path / "eval").exists()


def test_the_batch_is_named(tmp_path):
    labels = np.array([1, 2, 3, 4, 5, np.nan], np.float32)
    rows = inputs.Dataset.from_tensor_slices(({"x": np.ones(6, np.float32)}, labels))
    model = torchest.DNNRegressor([2], [X], tmp_path)
    with pytest.raises(ValueError, match=says(3, "the label has nan in row 1")):
        model.evaluate(lambda: rows.batch(2))


def test_the_head_of_several_is_named(tmp_path):
    head = torchest.MultiHead([torchest.RegressionHead(name=name) for name in ("price", "size")])
    labels = {"price": np.ones(4), "size": MISSING["NaN"]}
    model = torchest.LinearEstimator(head, [X], tmp_path)
    with pytest.raises(ValueError, match=says(1, "the label 'size' has nan in row 2")):
        model.evaluate(lambda: (NUMBERS, labels))


STEPS = {"lists": [[1.0, 2.0], [None]], "a matrix": np.array([[1.0, 2.0], [np.nan, 0.0]])}


@pytest.mark.parametrize("labels", STEPS.values(), ids=STEPS)
def test_the_row_of_a_step_is_named(labels, tmp_path):
    model = experimental.RNNEstimator(
        torchest.RegressionHead(),
        [columns.sequence_numeric_column("x")],
        units=[2],
        return_sequences=True,
        model_dir=tmp_path,
    )
    for call in (model.evaluate, model.train):
        with pytest.raises((ValueError, RuntimeError), match="the label has nan in row 1 of the"):
            call(lambda: ({"x": [[1.0, 2.0], [3.0]]}, labels))


def test_a_loss_that_leaves_out_missing_labels_may_have_them(tmp_path):
    def of_known(labels, logits):
        return torch.where(labels.isnan(), 0.0, labels - logits).square()

    head = torchest.RegressionHead(loss_fn=of_known)
    model = torchest.LinearEstimator(head, [X], tmp_path)
    model.train(lambda: (NUMBERS, MISSING["NaN"]), steps=1)
    assert np.isfinite(model.evaluate(lambda: (NUMBERS, MISSING["NaN"]))["loss"])


def test_a_model_that_diverged_is_still_evaluated(tmp_path):
    class Diverged(torchest.SessionRunHook):
        def after_create_session(self, session, coord):
            session.objects["linear"].bias.data.fill_(torch.nan)

    model = torchest.LinearRegressor([X], tmp_path)
    model.train(lambda: (NUMBERS, np.ones(4)), steps=1)
    assert np.isnan(model.evaluate(lambda: (NUMBERS, np.ones(4)), hooks=[Diverged()])["loss"])
