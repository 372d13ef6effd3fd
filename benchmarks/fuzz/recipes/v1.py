"""Recipes of torchest.v1: estimators and optimizers of TensorFlow 1."""

from __future__ import annotations

import functools
from typing import Any

import torch

import torchest
from benchmarks.fuzz import things
from benchmarks.fuzz.recipe import Recipe
from benchmarks.fuzz.recipes.estimators import (
    CLASSES,
    COMBINED,
    COMMON,
    DEEP,
    LINEAR,
    LINEAR_TYPES,
    NUMBERS,
    TYPES,
)
from torchest.v1 import train

HEAD: dict[str, Any] = {"head": torchest.BinaryClassHead()}


def _canned(**arguments: Any) -> Recipe:
    types = LINEAR_TYPES if "sparse_combiner" in arguments else TYPES
    return Recipe(lambda: arguments, types=types, calls=110)


def _optimizer(**options: Any) -> Recipe:
    return Recipe(lambda: {"learning_rate": 0.5, **options})


def _decay(**arguments: Any) -> Recipe:
    return Recipe(
        lambda: {"learning_rate": 0.5, "global_step": 3, "decay_steps": 10, **arguments},
        types={"global_step": "int"},
        aliases=("initial_learning_rate",),
    )


def _minimize() -> Any:
    """`minimize` in a model_fn."""

    def minimize(**arguments: Any) -> None:
        def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
            net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
            loss = net(torch.as_tensor(features["x"])[:, None]).mean()
            of_call = {"loss": loss, **arguments}
            train_op = train.AdamOptimizer().minimize(**of_call)
            return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

        torchest.Estimator(model_fn).train(things.input_fn, steps=1)

    return functools.wraps(train.Optimizer.minimize)(minimize)


STRENGTHS = {"l1_regularization_strength": 0.5, "l2_regularization_strength": 0.5}
RECIPES = {
    "v1.metrics.auc": Recipe(
        lambda: {
            "labels": torch.tensor([0.0, 1.0]), "predictions": torch.tensor([0.5, 1.0]),
            "weights": torch.tensor([1.0, 2.0]), "num_thresholds": 10, "curve": "PR", "summation_method": "trapezoidal",
        }
    ),
    "v1.BaselineClassifier": _canned(**COMMON, **CLASSES, optimizer="Ftrl"),
    "v1.BaselineRegressor": _canned(**COMMON, **NUMBERS, optimizer="Ftrl"),
    "v1.BaselineEstimator": _canned(**HEAD, **COMMON, optimizer="Ftrl"),
    "v1.LinearClassifier": _canned(**LINEAR, **CLASSES, optimizer="Ftrl"),
    "v1.LinearRegressor": _canned(**LINEAR, **NUMBERS, optimizer="Ftrl"),
    "v1.LinearEstimator": _canned(**HEAD, **LINEAR, optimizer="Ftrl"),
    "v1.DNNClassifier": _canned(**DEEP, **CLASSES, optimizer="Adagrad"),
    "v1.DNNRegressor": _canned(**DEEP, **NUMBERS, optimizer="Adagrad"),
    "v1.DNNEstimator": _canned(**HEAD, **DEEP, optimizer="Adagrad"),
    "v1.DNNLinearCombinedClassifier": _canned(**COMBINED, **CLASSES),
    "v1.DNNLinearCombinedRegressor": _canned(**COMBINED, **NUMBERS),
    "v1.DNNLinearCombinedEstimator": _canned(**HEAD, **COMBINED),
    "v1.train.GradientDescentOptimizer": _optimizer(),
    "v1.train.MomentumOptimizer": _optimizer(momentum=0.5, use_nesterov=False),
    "v1.train.AdagradOptimizer": _optimizer(initial_accumulator_value=0.5),
    "v1.train.AdamOptimizer": _optimizer(beta1=0.5, beta2=0.5, epsilon=0.5),
    "v1.train.AdadeltaOptimizer": _optimizer(rho=0.5, epsilon=0.5),
    "v1.train.RMSPropOptimizer": _optimizer(decay=0.5, momentum=0.5, epsilon=0.5, centered=False),
    "v1.train.FtrlOptimizer": _optimizer(
        learning_rate_power=-0.5, initial_accumulator_value=0.5, **STRENGTHS,
        l2_shrinkage_regularization_strength=0.5, beta=0.5,
    ),
    "v1.train.ProximalAdagradOptimizer": _optimizer(initial_accumulator_value=0.5, **STRENGTHS),
    "v1.train.ProximalGradientDescentOptimizer": _optimizer(**STRENGTHS),
    "v1.train.exponential_decay": _decay(decay_rate=0.5, staircase=False),
    "v1.train.natural_exp_decay": _decay(decay_rate=0.5, staircase=False),
    "v1.train.inverse_time_decay": _decay(decay_rate=0.5, staircase=False),
    "v1.train.polynomial_decay": _decay(end_learning_rate=0.5, power=0.5, cycle=False),
    "v1.train.cosine_decay": _decay(alpha=0.5),
    "v1.train.piecewise_constant": Recipe(
        lambda: {"x": 3, "boundaries": [10, 20], "values": [0.5, 0.2, 0.1]}, types={"x": "int"}
    ),
    "v1.train.get_global_step": Recipe(function=lambda: train.get_global_step),
    "v1.train.get_or_create_global_step": Recipe(function=lambda: train.get_or_create_global_step),
    "Optimizer.minimize": Recipe(
        lambda: {"global_step": None, "var_list": None, "name": "optimizer"}, _minimize,
        types={"var_list": "Iterable[Any] | None", "name": "str"}, aliases=("params", "get_or_create"), calls=60,
    ),
    "Optimizer.with_parameters": Recipe(
        lambda: {"params": [things.parameter()]},
        lambda: train.AdamOptimizer().with_parameters,
        types={"params": "Iterable[Any]"},
    ),
}  # fmt: skip
