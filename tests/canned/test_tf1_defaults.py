"""The arguments that docs/differences.md names give programs for TensorFlow 1 the numbers that they had there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import torchest
from torchest import columns, optimizers

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "tf1_defaults.json").read_text())
FEATURES = {key: np.float32(values) for key, values in REFERENCE["rows"]["features"].items()}
LABELS = {key: np.array(values) for key, values in REFERENCE["rows"]["labels"].items()}
SIZE, ROWS = REFERENCE["batch_size"], 48
QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


def adagrad(parameters):
    return optimizers.Adagrad(parameters, 0.05)


def sgd(parameters):
    return optimizers.SGD(parameters, 0.05)


RESTORED = {
    "Linear": {"loss_reduction": "sum"},
    "DNN": {"loss_reduction": "sum", "optimizer": adagrad},
    "DNNLinearCombined": {"loss_reduction": "sum"},
    "Baseline": {"loss_reduction": "sum"},
}


def kind_of(case):
    return case["estimator"].removesuffix("Classifier").removesuffix("Regressor")


class StartWith(torchest.SessionRunHook):
    """Gives the deep model TensorFlow's first weights, and keeps the losses."""

    def __init__(self, initial):
        self.initial, self.losses = initial, []

    def after_create_session(self, session, coord):
        for name, values in self.initial.items():
            layer = name.split("/")[1].removeprefix("hiddenlayer_")
            net = session.objects["dnn"]
            part = net.logits if layer == "logits" else net.hidden[int(layer)]
            with torch.no_grad():
                part.weight.copy_(torch.tensor(values).reshape(part.weight.shape[::-1]).T)

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.losses.append(float(run_values.results))


def losses_and_metrics(case, directory, arguments):
    numeric = [[columns.numeric_column(key) for key in keys] for keys in case["columns"]]
    if len(numeric) == 2:
        arguments = {
            **arguments,
            "linear_feature_columns": numeric[0],
            "dnn_feature_columns": numeric[1],
            "dnn_hidden_units": case["hidden_units"],
        }
    elif numeric:
        arguments = {**arguments, "feature_columns": numeric[0]}
        if "hidden_units" in case:
            arguments["hidden_units"] = case["hidden_units"]
    model = getattr(torchest, case["estimator"])(model_dir=directory, config=QUIET, **arguments)
    labels = LABELS[case["label"]]

    def batches(count):
        for step in range(count):
            rows = (step * SIZE + np.arange(SIZE)) % ROWS
            yield {key: values[rows] for key, values in FEATURES.items()}, labels[rows]

    hook = StartWith(case["initial"])
    steps = len(case["losses"])
    model.train(lambda: batches(steps), hooks=[hook])
    return hook.losses, model.evaluate(lambda: batches(ROWS // SIZE))


@pytest.mark.parametrize(
    "case", REFERENCE["cases"], ids=lambda case: f"{case['estimator']}-{len(case['columns'])}"
)
def test_the_arguments_restore_the_numbers_of_tensorflow_1(tmp_path, case):
    restored = RESTORED[kind_of(case)]
    if case.get("optimizer") == "SGD":
        restored = {**restored, "optimizer": sgd}
    losses, metrics = losses_and_metrics(case, tmp_path / "restored", restored)
    assert losses == pytest.approx(case["losses"], rel=2e-5)
    assert metrics["loss"] == pytest.approx(case["metrics"]["loss"], rel=2e-5)
    assert metrics["average_loss"] == pytest.approx(case["metrics"]["average_loss"], rel=2e-5)
    others, _ = losses_and_metrics(case, tmp_path / "defaults", {})
    assert others != pytest.approx(case["losses"], rel=1e-2)
