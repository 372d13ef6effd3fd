"""Planned training steps have the numbers of steps that run the modules and autograd."""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np
import pytest

import torchest
from torchest import columns
from torchest.canned import planned
from torchest.engine import train_step

RNG = np.random.default_rng(7)
COLUMNS = [
    columns.categorical_column_with_hash_bucket("town", 20),
    columns.categorical_column_with_hash_bucket("word", 30),
    columns.numeric_column("x"),
    columns.numeric_column("y", shape=2),
]


def batch_of(rows):
    features = {
        "town": RNG.integers(0, 15, rows).astype("S"),
        "word": RNG.integers(0, 40, rows).astype("S"),
        "x": RNG.normal(size=rows).astype("f"),
        "y": RNG.normal(size=(rows, 2)).astype("f"),
    }
    return features, RNG.integers(0, 2, rows)


@contextlib.contextmanager
def planned_steps():
    """Counts the steps that were planned."""
    steps = []

    def step(self, batch):
        result = original(self, batch)
        steps.append(result is not None)
        return result

    original = planned.CannedPlan.step
    with mock.patch.object(planned.CannedPlan, "step", step):
        yield steps


def without_plan():
    return mock.patch.object(train_step.TrainStep, "_planned", return_value=None)


def variables_of(estimator):
    return {name: estimator.get_variable_value(name) for name in estimator.get_variable_names()}


def assert_close(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        scale = np.abs(value).max(initial=1e-3)
        np.testing.assert_allclose(actual[name], value, rtol=2e-6, atol=2e-6 * scale, err_msg=name)


DEEP = [
    columns.embedding_column(COLUMNS[0], 4),
    columns.embedding_column(COLUMNS[1], 4),
    *COLUMNS[2:],
]
ESTIMATORS = {
    "linear": lambda config: torchest.LinearClassifier(COLUMNS, config=config),
    "deep": lambda config: torchest.DNNClassifier([9, 5], DEEP, config=config),
    "deep, of classes": lambda config: torchest.DNNClassifier(
        [9], DEEP, n_classes=3, config=config
    ),
    "deep, regression": lambda config: torchest.DNNRegressor([9], DEEP[:1], config=config),
    "wide and deep": lambda config: torchest.DNNLinearCombinedClassifier(
        linear_feature_columns=COLUMNS,
        config=config,
        dnn_feature_columns=DEEP,
        dnn_hidden_units=[6],
    ),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_planned_models_have_the_weights_and_slots_of_autograd(tmp_path, kind):
    batches = [batch_of(rows) for rows in (8, 8, 5, 8)]
    made = {}
    for name in ("planned", "general"):
        with planned_steps() as steps, contextlib.ExitStack() as stack:
            if name == "general":
                stack.enter_context(without_plan())
            model = ESTIMATORS[kind](torchest.RunConfig(tmp_path / name, tf_random_seed=1))
            model.train(lambda: iter(batches))
        assert steps == ([True] * 4 if name == "planned" else [])
        made[name] = variables_of(model)
    assert_close(made["planned"], made["general"])
