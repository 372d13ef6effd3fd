"""Recurrent estimators give the numbers that TensorFlow gives, at every step.

How the cases are to be read is said in tests/reference/rnn.py.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import torch
from reference_arrays import array, read

import torchest
from torchest import columns, experimental, optimizers

REFERENCE = read("rnn")
ROWS = REFERENCE["rows"]
CASES = {case["name"]: case for case in REFERENCE["cases"]}
TOLERANCE = 2e-5
CELL = r"rnn_model/rnn/(?:stacked_rnn_cells/)?(?:simple_rnn|lstm|gru)_cell(?:_(\d+))?"
SLOT = re.compile(r"training/\w+?/(.+)/accumulator")
WEIGHTS = {
    r"sequence_features/watched_embedding/embedding_weights": "rnn.sequence.watched.weight",
    r"rnn_model/logits/kernel": "rnn.logits.weight",
    r"rnn_model/logits/bias": "rnn.logits.bias",
}


def estimator(case, model_dir):
    watched = columns.sequence_categorical_column_with_identity("watched", 6)
    arguments = dict(case["arguments"])
    if isinstance(arguments.get("optimizer"), dict):
        arguments["optimizer"] = partial(optimizers.SGD, lr=0.5)
    if "head" in arguments:
        arguments["head"] = torchest.RegressionHead()
    return getattr(experimental, case["estimator"])(
        sequence_feature_columns=[
            columns.embedding_column(watched, 3),
            columns.sequence_numeric_column("price"),
        ],
        context_feature_columns=[columns.numeric_column("age")] if case["context"] else None,
        model_dir=model_dir,
        **arguments,
    )


def batch_of(case):
    ragged = ROWS["ragged"]
    features = {
        "watched": ragged["watched"],
        "price": ragged["price"],
        "importance": ragged["importance"],
        **{key: np.float32(values) for key, values in ROWS["numbers"].items()},
    }
    label = ROWS["labels"][case["label"]]
    return features, label if isinstance(label[0], list) else np.array(label)


def ours(tf_name, value, cell_type):
    """TensorFlow's variable under torchest's names."""
    value = torch.tensor(value, dtype=torch.float32)
    for pattern, name in WEIGHTS.items():
        if re.fullmatch(pattern, tf_name):
            return {name: value.T if "kernel" in pattern else value}
    cell, kind = re.fullmatch(CELL + r"/(\w+)", tf_name).groups()
    prefix = f"rnn.layers.{cell or 0}"
    if cell_type == "gru":  # gates in torch's order: reset, update, new
        update, reset, new = value.chunk(3, -1)
        value = torch.cat([reset, update, new], -1)
    if kind == "kernel":
        return {f"{prefix}.weight_ih_l0": value.T}
    if kind == "recurrent_kernel":
        return {f"{prefix}.weight_hh_l0": value.T}
    if cell_type == "gru":
        return {f"{prefix}.bias_ih_l0": value[0], f"{prefix}.bias_hh_l0": value[1]}
    return {f"{prefix}.bias_ih_l0": value, f"{prefix}.bias_hh_l0": torch.zeros_like(value)}


def all_ours(variables, cell_type):
    actual = {}
    for name, value in variables.items():
        if name != "global_step" and not name.startswith("training"):
            actual.update(ours(name, value, cell_type))
    return {name: value.contiguous() for name, value in actual.items()}


class Replay(torchest.SessionRunHook):
    """Sets the weights before the first step, and keeps the losses."""

    def __init__(self, start):
        self.start = start
        self.losses = []

    def after_create_session(self, session, coord):
        model = session.objects["rnn"]
        assert {f"rnn.{name}" for name in model.state_dict()} == self.start.keys()
        model.load_state_dict(
            {name.removeprefix("rnn."): value for name, value in self.start.items()}
        )

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.losses.append(float(run_values.results))


def assert_close(actual, expected, what):
    np.testing.assert_allclose(
        np.asarray(actual, float), np.asarray(expected, float), TOLERANCE, TOLERANCE, err_msg=what
    )


@pytest.mark.parametrize("name", CASES)
def test_training_evaluation_and_prediction(name, tmp_path):
    case = CASES[name]
    cell_type = case["arguments"].get("cell_type", "simple_rnn")
    model = estimator(case, tmp_path)
    replay = Replay(all_ours(case["initial"], cell_type))
    batch = batch_of(case)
    model.train(lambda: [batch] * case["steps"], hooks=[replay])
    assert_close(replay.losses, case["losses"], "losses")

    for key, value in all_ours(case["variables"], cell_type).items():
        assert_close(model.get_variable_value(key), value, key)
    for tf_name, value in case["variables"].items():
        slot = SLOT.fullmatch(tf_name)
        for key, expected in ours(slot[1], value, cell_type).items() if slot else ():
            if not key.endswith("bias_hh_l0") or cell_type == "gru":
                assert_close(
                    model.get_variable_value(f"optimizer.{key}.accumulator"), expected, key
                )

    metrics = model.evaluate(lambda: [batch])
    assert metrics.keys() == case["metrics"].keys()
    for key, value in case["metrics"].items():
        assert_close(metrics[key], value, key)

    predictions = list(model.predict(lambda: [batch]))
    assert list(predictions[0]) == list(case["predictions"])
    for key, described in case["predictions"].items():
        expected = array(described)
        actual = np.stack([row[key] for row in predictions])
        assert actual.shape == expected.shape
        if expected.dtype.kind == "f":
            assert_close(actual, expected, key)
        else:
            assert actual.tolist() == expected.tolist()
