"""Precision and compilation of modules, as `RunConfig` asks for them."""

from __future__ import annotations

import pytest
import torch

import torchest
from torchest import feature_column as fc
from torchest.engine.execution import Execution

KEYS = [f"c{number}" for number in range(4)]


def rows(count: int, seed: int):
    torch.manual_seed(seed)
    features = {key: torch.randint(0, 50, (count,)) for key in KEYS}
    labels = (sum(features.values()) % 7 < 3).long()
    return {**features, "x": torch.rand(count)}, labels


def trained(model_dir, **config):
    columns = [fc.embedding_column(fc.categorical_column_with_identity(key, 50), 8) for key in KEYS]
    estimator = torchest.DNNClassifier(
        [64, 32],
        [fc.numeric_column("x"), *columns],
        optimizer=lambda parameters: torchest.optimizers.Adagrad(parameters, lr=0.1),
        config=torchest.RunConfig(model_dir, tf_random_seed=5, **config),
    )
    batches = [rows(256, seed) for seed in range(20)]
    return estimator.train(lambda: iter(batches))


def test_bf16_learns_as_float32_and_keeps_weights_in_float32(tmp_path):
    scores = {}
    for precision in ("float32", "bf16"):
        estimator = trained(str(tmp_path / precision), precision=precision)
        scores[precision] = estimator.evaluate(lambda: iter([rows(2000, 99)]))
        for name in estimator.get_variable_names():
            assert estimator.get_variable_value(name).dtype.kind in "fi"
            assert estimator.get_variable_value(name).dtype.itemsize in (4, 8)
    assert scores["bf16"]["auc"] == pytest.approx(scores["float32"]["auc"], abs=0.01)
    assert scores["bf16"]["loss"] != scores["float32"]["loss"]


def test_matrix_products_are_bf16_inside_and_nothing_is_outside():
    layer, given = torch.nn.Linear(3, 3), torch.rand(2, 3)
    with Execution("bf16").autocast(torch.device("cpu")):
        assert layer(given).dtype == torch.bfloat16
    with Execution().autocast(torch.device("cpu")):
        assert layer(given).dtype == torch.float32
    assert layer(given).dtype == torch.float32


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="precision='fp8' is not known"):
        torchest.RunConfig(precision="fp8")
    with pytest.raises(ValueError, match="compile=1 must be True or False"):
        torchest.RunConfig(compile=1)


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore")  # of the compiler itself
def test_compiled_modules_learn_as_others_do(tmp_path):
    scores = {
        is_compiled: trained(str(tmp_path / str(is_compiled)), compile=is_compiled).evaluate(
            lambda: iter([rows(2000, 99)])
        )
        for is_compiled in (False, True)
    }
    assert scores[True] == pytest.approx(scores[False], rel=1e-4)
