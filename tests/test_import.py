"""Importing torchest is quick and does not import what only some programs need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import torchest

SCRIPT = """
import json, sys, time
import torch
before = set(sys.modules)
start = time.perf_counter()
import torchest
torchest.Estimator
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before)}))
"""
HEAVY = {
    "pandas",
    "pyarrow",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "tensorboard",
    "torch_xla",
    "tqdm",
}


def imported():
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=True
    ).stdout
    return json.loads(printed)


def test_importing_torchest_imports_neither_data_nor_export_libraries():
    modules = {name.split(".")[0] for name in imported()["modules"]}
    assert not modules & HEAVY
    assert not modules & {"tensorflow", "jax"}


def test_torch_is_imported_with_the_first_name_that_is_asked_for():
    script = "import sys, torchest.version, torchest; assert 'torch' not in sys.modules; torchest.Estimator"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_a_misspelt_name_is_told_from_those_there_are():
    with pytest.raises(AttributeError, match=r"no attribute 'Estimatr'\. Did you mean 'Estimator'"):
        torchest.Estimatr  # noqa: B018
    assert not hasattr(torchest, "__wrapped__")
    assert {"Estimator", "columns"} <= set(dir(torchest))


def test_importing_torchest_adds_few_modules():
    # the time, 0.3 s at the most beside that of torch, is spent in importing modules: their number is what
    # can be compared on any machine
    actual = imported()
    assert len(actual["modules"]) < 300


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("BoostedTreesClassifier", "has no boosted trees: use XGBoost"),
        ("BoostedTreesRegressor", "has no boosted trees: use XGBoost"),
        ("BoostedTreesEstimator", "has no boosted trees: use XGBoost"),
        ("KMeans", "has no clustering: use sklearn.cluster.KMeans"),
        ("TPUEstimator", "same Estimator for all devices: give it RunConfig"),
        ("tpu", "same Estimator for all devices: give it RunConfig"),
        ("Experiment", "Use train_and_evaluate"),
        ("binary_classification_head", r"binary_classification_head is torchest\.BinaryClassHead"),
        ("DNNClassifierV2", "It is called DNNClassifier"),
        ("LinearRegressorV2", "It is called LinearRegressor"),
        ("BaselineEstimatorV2", "It is called BaselineEstimator"),
        ("RNNClassifier", r"It is torchest\.experimental\.RNNClassifier"),
        ("InMemoryEvaluatorHook", r"It is torchest\.experimental\.InMemoryEvaluatorHook"),
        ("ServingInputReceiver", r"It is torchest\.export\.ServingInputReceiver"),
        ("numeric_column", r"It is torchest\.columns\.numeric_column"),
        ("make_csv_dataset", r"It is torchest\.inputs\.make_csv_dataset"),
    ],
)
def test_a_name_of_tensorflow_that_is_not_there_has_a_way_out(name, way_out):
    assert not hasattr(torchest, name)
    with pytest.raises(
        AttributeError, match=f"module 'torchest' has no attribute '{name}'.*{way_out}"
    ):
        getattr(torchest, name)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("KMeans", "use sklearn.cluster.KMeans"),
        ("linear_logit_fn_builder", r"Use torchest\.columns\.LinearFeatures"),
        ("dnn_logit_fn_builder", r"Use torchest\.columns\.DenseFeatures"),
        ("Estimator", r"It is torchest\.Estimator"),
        ("stop_if_lower", "Did you mean 'stop_if_lower_hook'"),
    ],
)
def test_an_experimental_name_that_is_not_there_has_a_way_out(name, way_out):
    with pytest.raises(AttributeError, match=f"'torchest.experimental' has no .*{way_out}"):
        getattr(torchest.experimental, name)


def test_every_public_name_of_tensorflows_estimators_is_there_or_has_a_way_out():
    table = json.loads((Path(__file__).parent / "reference" / "tf_api.json").read_text())
    for name in table:
        module, _, last = name.rpartition(".")
        if module == "tf.estimator" and not hasattr(torchest, last):
            with pytest.raises(AttributeError, match=r"(Use|use|It is) "):
                getattr(torchest, last)
