"""Linear, deep, combined and baseline estimators give the numbers that TensorFlow gives, at every step.

How the cases are to be read is said in tests/reference/canned_traces.py.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from reference_arrays import array, params, read

import torchest
from torchest import columns, heads, optimizers, v1
from torchest.checkpoint.directory import Checkpoint, Contents, write_checkpoint

FILES = {kind: read(f"canned_{kind}") for kind in ("linear", "deep", "v1")}
CASES = [case for file in FILES.values() for case in file["cases"]]
ROWS = {  # the same in all
    part: {key: array(described) for key, described in arrays.items()}
    for part, arrays in FILES["linear"]["rows"].items()
}
N_ROWS = 50
PREDICTED_ROWS = 5
TOLERANCE = 2e-5

OPTIMIZERS = {
    "Adagrad": optimizers.Adagrad,
    "Adam": optimizers.Adam,
    "Ftrl": optimizers.Ftrl,
    "RMSprop": optimizers.RMSProp,
    "SGD": optimizers.SGD,
}
ACTIVATIONS = {
    "gelu": torch.nn.functional.gelu,
    "softsign": torch.nn.functional.softsign,
    "softplus": torch.nn.functional.softplus,
    "relu6": torch.nn.functional.relu6,
    "elu": torch.nn.functional.elu,
    "selu": torch.selu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
VARIABLES = {
    r"linear/linear_model/bias_weights": r"linear.bias",
    r"linear/linear_model/(\w+)/weights": r"linear.\1.weight",
    r"linear/linear_model/(\w+)/embedding_weights": r"linear.\1.table.weight",
    r"dnn/input_from_feature_columns/input_layer/(\w+)_embedding/embedding_weights": (
        r"dnn.embeddings.\1.weight"
    ),
    r"dnn/hiddenlayer_(\d+)/kernel": r"dnn.hidden.\1.weight",
    r"dnn/hiddenlayer_(\d+)/bias": r"dnn.hidden.\1.bias",
    r"dnn/hiddenlayer_\d+/batchnorm_(\d+)/gamma": r"dnn.batch_norm.\1.weight",
    r"dnn/hiddenlayer_\d+/batchnorm_(\d+)/beta": r"dnn.batch_norm.\1.bias",
    r"dnn/hiddenlayer_\d+/batchnorm_(\d+)/moving_mean": r"dnn.batch_norm.\1.running_mean",
    r"dnn/hiddenlayer_\d+/batchnorm_(\d+)/moving_variance": r"dnn.batch_norm.\1.running_var",
    r"dnn/logits/kernel": r"dnn.logits.weight",
    r"dnn/logits/bias": r"dnn.logits.bias",
    r"baseline/bias": r"baseline.bias",
}
SLOT = re.compile(r"training(?:_\d+)?/\w+?/(.+)/(\w+)")


# ---- what data describe


def made(described):
    """The object that data describe."""
    if isinstance(described, list):
        return [made(item) for item in described]
    if not isinstance(described, dict):
        return described
    name = described["function"]
    if "arguments" not in described:
        return ACTIVATIONS[name]
    arguments = {key: made(item) for key, item in described["arguments"].items()}
    if name in OPTIMIZERS:
        return OPTIMIZERS[name](**arguments)
    if name.endswith("_decay"):
        arguments["global_step"] = v1.train.get_global_step()
    if name == "piecewise_constant":
        arguments["x"] = v1.train.get_global_step()
    places = (columns, heads, optimizers.schedules, v1.train)
    return next(getattr(place, name) for place in places if hasattr(place, name))(**arguments)


def estimator(case, model_dir):
    arguments = {key: made(item) for key, item in case["arguments"].items()}
    place = v1 if case.get("generation") == 1 else torchest
    return getattr(place, case["estimator"])(model_dir=model_dir, **arguments)


def batch_of(case, rows):
    features, labels = ROWS["features"], ROWS["labels"]
    taken = {key: features[key][rows] for key in case.get("features", features)}
    if isinstance(case["label"], dict):
        return taken, {head: labels[key][rows] for head, key in case["label"].items()}
    return taken, labels[case["label"]][rows]


def training(case, steps):
    """An input_fn of whole batches, over and over the rows."""
    size = case["batch_size"]
    batches = [(step * size + np.arange(size)) % N_ROWS for step in range(steps)]
    return lambda: (batch_of(case, rows) for rows in batches)


def once(case, n_rows=N_ROWS):
    """An input_fn of the first rows, of which the last batch may be short."""
    size = case["batch_size"]
    starts = range(0, n_rows, size)
    return lambda: (batch_of(case, np.arange(start, min(start + size, n_rows))) for start in starts)


# ---- TensorFlow's variables by torchest's names


def our_name(tf_name):
    for pattern, ours in VARIABLES.items():
        if re.fullmatch(pattern, tf_name):
            return re.sub(pattern, ours, tf_name)
    raise KeyError(tf_name)


def our_variables(case, variables):
    """Values by torchest's names; without what torchest has no tensors for."""
    actual = {}
    for tf_name, value in variables.items():
        if tf_name == "global_step" or tf_name.endswith("/iter"):
            continue
        slot = SLOT.fullmatch(tf_name)
        of = slot.group(1) if slot else tf_name
        name = our_name(of)
        if slot:
            part = f"{name.split('.')[0]}_" if "Combined" in case["estimator"] else ""
            name = f"{part}optimizer.{name}.{slot.group(2)}"
        values = np.array(value, np.float32)
        actual[name] = np.ascontiguousarray(values.T) if of.endswith("/kernel") else values
    return actual


def start_from(case, variables, model_dir, scratch_dir):
    """Writes a checkpoint of step 0 with the given values, and the model's own for the others."""
    estimator(case, scratch_dir).train(training(case, 1))
    start = Checkpoint(scratch_dir / "model.ckpt-0")
    model = start.model()
    for name, value in our_variables(case, variables).items():
        if name in model:
            assert model[name].shape == value.shape, name
            model[name] = torch.tensor(value)
    state = {key: value for key, value in start.state.items() if key != "training"}
    contents = Contents(model=model, optimizer=start.optimizer(), state=state)
    write_checkpoint(model_dir, 0, lambda: contents, keep=None)


# ---- the replay


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Batches are small: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Losses(torchest.SessionRunHook):
    def __init__(self):
        self.losses = []

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.losses.append(run_values.results)


@pytest.fixture(scope="module", params=params(CASES))
def trained(request, tmp_path_factory):
    case = request.param
    model_dir = tmp_path_factory.mktemp("model")
    if case["initial"]:
        start_from(case, case["initial"], model_dir, tmp_path_factory.mktemp("scratch"))
    model = estimator(case, model_dir)
    recorded = Losses()
    if "losses" in case:
        model.train(training(case, case["steps"]), hooks=[recorded])
    return case, model, recorded.losses


def assert_close(actual, expected, what):
    """Relative or absolute, whichever allows more."""
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    assert actual.shape == expected.shape, what
    allowed = TOLERANCE * np.maximum(1, np.abs(expected))
    error = np.abs(actual - expected)
    if not (error <= allowed).all():
        at = np.unravel_index(np.argmax(error / allowed), error.shape)
        place = f"{what}{list(map(int, at))}"
        pytest.fail(f"{place}: {actual[at]} is not TensorFlow's {expected[at]}")


def test_there_are_as_many_cases_as_there_should_be():
    assert len(FILES["linear"]["cases"]) >= 60
    assert len(FILES["deep"]["cases"]) >= 40
    assert len(FILES["v1"]["cases"]) >= 40
    assert FILES["deep"]["rows"] == FILES["linear"]["rows"] == FILES["v1"]["rows"]


def test_the_loss_of_each_step(trained):
    case, _, losses = trained
    assert_close(losses, case.get("losses", []), "losses")


def test_the_final_weights_and_slots(trained):
    case, model, _ = trained
    if "variables" not in case:
        return
    expected = our_variables(case, case["variables"])
    names = set(model.get_variable_names())
    if case.get("generation") == 1:  # TensorFlow has other names for slots
        names = {name for name in names if "optimizer." not in name}
    assert names == {*expected, "global_step"}
    for name, value in expected.items():
        assert_close(model.get_variable_value(name), value, name)


def test_all_metrics(trained):
    case, model, _ = trained
    results = model.evaluate(once(case))
    assert results.keys() == case["metrics"].keys()
    for name, value in case["metrics"].items():
        if name != "global_step" or "losses" in case:
            assert_close(results[name], value, name)


def test_predictions_their_keys_shapes_and_dtypes(trained):
    case, model, _ = trained
    predictions = list(model.predict(once(case, PREDICTED_ROWS)))
    assert len(predictions) == PREDICTED_ROWS
    names = ["/".join(key) if isinstance(key, tuple) else key for key in predictions[0]]
    assert names == list(case["predictions"])
    for key, name in zip(predictions[0], names, strict=True):
        values = np.stack([prediction[key] for prediction in predictions])
        expected = array(case["predictions"][name])
        assert (values.dtype, values.shape) == (expected.dtype, expected.shape), name
        if expected.dtype == object:
            assert values.tolist() == expected.tolist(), name
        else:
            assert_close(values, expected, name)
