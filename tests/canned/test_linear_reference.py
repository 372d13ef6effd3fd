"""LinearClassifier on the Titanic passengers gives the numbers that TensorFlow gives, at every step."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import torchest
from torchest import columns

HERE = Path(__file__).parents[1]
CASES = json.loads((HERE / "reference" / "titanic_linear.json").read_text(encoding="utf-8"))[
    "cases"
]
NAMES = {
    "linear/linear_model/bias_weights": "linear.bias",
    "/weights": ".weight",
    "linear/linear_model/": "linear.",
    "training/Ftrl/": "optimizer.",
    "/accumulator": ".accumulator",
    "/linear": ".linear",
}
OPTIONS = {"learning_rate": "lr"}
# fares of up to 512 without normalisation: TensorFlow's own losses, in float32, are 4e-5 from those in float64
ILL_CONDITIONED = {"three classes": 2e-4}


def tolerance(case):
    return ILL_CONDITIONED.get(case["name"], 1e-5)


def limits(case):
    """Relative, or absolute near 0."""
    return {"rtol": tolerance(case), "atol": ILL_CONDITIONED.get(case["name"], 1e-6)}


class Losses(torchest.SessionRunHook):
    def __init__(self):
        self.losses = []

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.losses.append(run_values.results)


def table(file):
    frame = pd.read_csv(HERE.parent / "examples" / "data" / file)
    return frame.assign(weight=frame["parch"] + 1)


def batch_of(case, rows):
    dtypes = {"string": str, "float32": np.float32}
    features = {
        key: rows[key].astype(dtypes[dtype]).to_numpy() for key, dtype in case["features"].items()
    }
    label = case["label"]
    labels = rows[label["column"]].to_numpy()
    if "vocabulary" in label:
        labels = np.array([label["vocabulary"].index(value) for value in labels])
    return features, labels


def batches(case, file, batch_size, steps):
    """As the script made them: whole batches over and over the file, or once over it."""
    rows = table(file)
    if steps is None:
        for start in range(0, len(rows), batch_size):
            yield batch_of(case, rows.iloc[start : start + batch_size])
        return
    for step in range(steps):
        indices = (step * batch_size + np.arange(batch_size)) % len(rows)
        yield batch_of(case, rows.iloc[indices])


def input_fn(case, file, batch_size, steps):
    return lambda: batches(case, file, batch_size, steps)


def tf_name(name):
    for tf, ours in NAMES.items():
        name = name.replace(tf, ours)
    return name


def estimator(case, model_dir):
    arguments = dict(case["arguments"])
    optimizer = arguments.get("optimizer")
    if optimizer is not None:
        options = {OPTIONS.get(name, name): value for name, value in optimizer["arguments"].items()}
        arguments["optimizer"] = partial(getattr(torchest.optimizers, optimizer["name"]), **options)
    feature_columns = [
        getattr(columns, column["function"])(*column["arguments"]) for column in case["columns"]
    ]
    return torchest.LinearClassifier(feature_columns, model_dir, **arguments)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case["name"])
def trained(request, tmp_path_factory):
    case = request.param
    model = estimator(case, tmp_path_factory.mktemp("model"))
    recorded = Losses()
    train = case["train"]
    model.train(
        input_fn(case, train["file"], train["batch_size"], train["steps"]), hooks=[recorded]
    )
    return case, model, recorded.losses


def test_the_loss_of_each_step(trained):
    case, _, losses = trained
    assert len(losses) == case["train"]["steps"]
    np.testing.assert_allclose(losses, case["losses"], rtol=tolerance(case))


def test_the_first_loss_of_two_classes_is_that_of_a_coin():
    two_classes = [case for case in CASES if case["name"] == "survived"]
    assert two_classes[0]["losses"][0] == pytest.approx(0.6931472)


def test_the_final_weights_and_slots(trained):
    case, model, _ = trained
    compared = 0
    for name, value in case["variables"].items():
        ours = tf_name(name)
        if ours in model.get_variable_names():
            np.testing.assert_allclose(
                model.get_variable_value(ours), value, **limits(case), err_msg=name
            )
            compared += 1
    # every column and the bias: weight, accumulator and linear
    assert compared == 3 * (len(case["columns"]) + 1) + ("global_step" in case["variables"])


def test_all_metrics(trained):
    case, model, _ = trained
    for evaluation in case["evaluations"]:
        steps = evaluation["steps"]
        results = model.evaluate(
            input_fn(case, evaluation["file"], evaluation["batch_size"], steps)
        )
        assert results.keys() == evaluation["metrics"].keys()
        for name, value in evaluation["metrics"].items():
            # a threshold may fall between two predictions that differ in the last bit
            allowed = 1e-4 if name.startswith("auc") else tolerance(case)
            assert results[name] == pytest.approx(value, rel=allowed), name


def test_predictions_their_keys_shapes_and_dtypes(trained):
    case, model, _ = trained
    expected = case["predictions"]
    rows = batch_of(case, table(expected["file"]).iloc[: expected["rows"]])
    predictions = list(model.predict(lambda: iter([rows])))
    assert len(predictions) == expected["rows"]
    assert list(predictions[0]) == list(expected["values"])
    for key, array in expected["values"].items():
        values = np.stack([prediction[key] for prediction in predictions])
        assert list(values.shape) == array["shape"]
        if array["dtype"] == "bytes":
            assert values.dtype == object
            assert values.tolist() == [[text.encode() for text in row] for row in array["values"]]
        else:
            assert values.dtype == array["dtype"]
            np.testing.assert_allclose(
                values,
                array["values"],
                **limits(case),
                err_msg=key,
            )
