"""torchest's public names against those of tf.estimator and tf.feature_column.

`reference/tf_api.json` has TensorFlow's names and signatures. What torchest does not have yet stands in
`reference/still_to_come.json`; after adding or removing a name,

    python tests/test_api_table.py

writes that list anew. Where torchest differs on purpose, DEVIATIONS says how and why.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import inspect
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

REFERENCE = Path(__file__).parent / "reference"
TABLE: dict[str, dict[str, Any]] = json.loads((REFERENCE / "tf_api.json").read_text())
STILL_TO_COME = REFERENCE / "still_to_come.json"
PLACES = {
    "tf.estimator": ["torchest", "torchest.estimator"],
    "tf.feature_column": ["torchest.columns", "torchest.feature_column"],
    "tf.compat.v1.estimator": ["torchest.v1", "torchest.v1.estimator"],
    "tf.compat.v1.train": ["torchest.v1.train"],
}
MISSING = object()
REQUIRED = "must be given"
RELUS = (torch.relu, torch.nn.functional.relu, torch.nn.ReLU)


@dataclass(frozen=True)
class Deviation:
    """How a signature differs from TensorFlow's.

    Attributes:
        reason: Why, in words.
        extra: Parameters besides TensorFlow's; each has a default.
        left_out: TensorFlow's parameters that torchest does not have.
        defaults: Other defaults than TensorFlow's, as `default_of` writes them.
    """

    reason: str
    extra: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)


TAKES_MODE = Deviation("takes the mode, as the abstract Head of tf.estimator does", extra=("mode",))

WITHOUT_NAME = Deviation("operations have no names", left_out=("name",))
SIMPLE_CELLS = Deviation("says what the default is", defaults={"cell_type": "simple_rnn"})
DEVIATIONS = {
    "tf.estimator.BinaryClassHead.update_metrics": TAKES_MODE,
    "tf.estimator.MultiClassHead.update_metrics": TAKES_MODE,
    "tf.estimator.MultiHead.update_metrics": TAKES_MODE,
    "tf.estimator.MultiLabelHead.update_metrics": TAKES_MODE,
    "tf.estimator.RegressionHead.update_metrics": TAKES_MODE,
    "tf.estimator.RegressionHead.predictions": Deviation(
        "predictions can be chosen by key, as with the other heads", extra=("keys",)
    ),
    "tf.estimator.DNNLinearCombinedEstimator": Deviation(
        "takes what all other estimators take", extra=("warm_start_from",)
    ),
    "tf.estimator.EstimatorSpec": Deviation(
        "several processes need to know whether a loss is a mean or a sum",
        extra=("loss_reduction",),
    ),
    "tf.estimator.Estimator.export_saved_model": Deviation(
        "the formats of the exported model are a choice", extra=("formats",)
    ),
    "tf.estimator.Estimator.predict": Deviation(
        "several processes can predict together", extra=("across_processes",)
    ),
    "tf.estimator.RunConfig": Deviation(
        "gradients are clipped and accumulated in one place, whatever the model, and waiting for other processes has "
        "limits",
        extra=(
            "clip_norm",
            "accumulate_steps",
            "precision",
            "ddp_comm_hook",
            "sync_batch_norm",
            "compile",
            "step_timeout_secs",
            "chief_timeout_secs",
        ),
    ),
    "tf.estimator.SecondOrStepTimer": Deviation(
        "a clock can be given, so that tests need not wait", extra=("clock",)
    ),
    "tf.estimator.experimental.RNNClassifier": SIMPLE_CELLS,
    "tf.estimator.experimental.RNNEstimator": SIMPLE_CELLS,
    "tf.compat.v1.estimator.DNNLinearCombinedEstimator": Deviation(
        "takes what all other estimators take", extra=("warm_start_from",)
    ),
    **{
        f"tf.compat.v1.train.{name}": WITHOUT_NAME
        for name in (
            "cosine_decay",
            "exponential_decay",
            "inverse_time_decay",
            "natural_exp_decay",
            "piecewise_constant",
            "polynomial_decay",
        )
    },
    "tf.estimator.WarmStartSettings": Deviation(
        "slots come along or start anew, whatever the form of vars_to_warm_start",
        extra=("copy_slots",),
    ),
}
NO_DEVIATION = Deviation("")


def find(path: str) -> Any:
    """The object at a dotted path, importing modules on the way; MISSING if there is none."""
    root, *parts = path.split(".")
    actual: Any = importlib.import_module(root)
    for part in parts:
        actual = member(actual, part)
        if actual is MISSING:
            return MISSING
    return actual


def member(container: Any, name: str) -> Any:
    """An attribute, a submodule, or an annotated field of a class (None then); otherwise MISSING."""
    if hasattr(container, name):
        return getattr(container, name)
    if inspect.isclass(container):
        annotated = [vars(cls).get("__annotations__", {}) for cls in container.__mro__]
        return None if any(name in fields for fields in annotated) else MISSING
    path = f"{container.__name__}.{name}"
    is_package = hasattr(container, "__path__")
    if is_package and importlib.util.find_spec(path) is not None:
        return importlib.import_module(path)
    return MISSING


def found_in_each_place(name: str) -> list[Any]:
    """What torchest has under TensorFlow's name, in each of the modules where it should stand."""
    prefix = next(prefix for prefix in PLACES if name.startswith(f"{prefix}."))
    return [find(place + name.removeprefix(prefix)) for place in PLACES[prefix]]


def torchests(name: str) -> Any:
    """torchest's object for a name of the table, or MISSING."""
    return found_in_each_place(name)[0]


def exists(name: str) -> bool:
    return torchests(name) is not MISSING


def names_to_come() -> list[str]:
    """The names that torchest lacks; the members of a class that is missing go without saying."""
    lacking = {name for name in TABLE if not exists(name)}
    return sorted(name for name in lacking if name.rpartition(".")[0] not in lacking)


def parameters(function: Any) -> list[inspect.Parameter]:
    signature = inspect.signature(function)
    return [parameter for parameter in signature.parameters.values() if parameter.name != "self"]


def as_called(name: str, kind: str) -> tuple[str, str]:
    """How users meet a parameter: what a **kwargs is called does not matter."""
    return ("" if kind.startswith("var_") else name, kind)


def default_of(parameter: inspect.Parameter) -> Any:
    """The default as the table writes TensorFlow's."""
    value = parameter.default
    if value is inspect.Parameter.empty:
        return REQUIRED
    if isinstance(value, torch.dtype):
        return str(value).replace("torch.", "tf.")
    if value is str or value == "string":
        return "tf.string"
    if value in RELUS:
        return "tf.nn.relu"
    if callable(value):
        return "<function>"
    if repr(value) == "<default>":
        return "<default>"
    return list(value) if isinstance(value, tuple) else value


EXISTING = [name for name in TABLE if exists(name)]
WITH_SIGNATURE = [name for name in EXISTING if "parameters" in TABLE[name]]


@pytest.mark.parametrize("name", WITH_SIGNATURE)
def test_signature_is_tensorflows(name: str) -> None:
    deviation = DEVIATIONS.get(name, NO_DEVIATION)
    theirs = [
        entry for entry in TABLE[name]["parameters"] if entry["name"] not in deviation.left_out
    ]
    ours = parameters(torchests(name))
    same = [entry for entry in ours if entry.name not in deviation.extra]
    extra = [entry for entry in ours if entry.name in deviation.extra]

    assert [as_called(entry.name, entry.kind.name.lower()) for entry in same] == [
        as_called(entry["name"], entry["kind"]) for entry in theirs
    ]
    expected = {entry["name"]: entry.get("default", REQUIRED) for entry in theirs}
    assert [default_of(entry) for entry in same] == list((expected | deviation.defaults).values())
    assert [entry.name for entry in extra] == list(deviation.extra)
    assert REQUIRED not in [default_of(entry) for entry in extra]


@pytest.mark.parametrize("name", EXISTING)
def test_kind_is_tensorflows(name: str) -> None:
    entry, ours = TABLE[name], torchests(name)
    if entry["kind"] == "module":
        assert inspect.ismodule(ours)
    elif entry["kind"] == "class":
        assert inspect.isclass(ours)
    elif entry["kind"] == "constant":
        assert ours == entry["value"]
    else:
        assert callable(ours) == (entry["kind"] in ("function", "method"))


@pytest.mark.parametrize("name", [name for name in EXISTING if "bases" in TABLE[name]])
def test_class_derives_from_what_tensorflows_derives_from(name: str) -> None:
    for base in TABLE[name]["bases"]:
        expected = torchests(base) if base in TABLE else getattr(builtins, base)
        assert expected is not MISSING
        assert issubclass(torchests(name), expected)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in EXISTING
        if TABLE[name]["kind"] == "class"
        and name not in WITH_SIGNATURE
        and not issubclass(torchests(name), Exception)
    ],
)
def test_class_without_constructor_needs_no_arguments(name: str) -> None:
    assert REQUIRED not in [
        default_of(parameter)
        for parameter in parameters(torchests(name))
        if not parameter.kind.name.startswith("VAR_")
    ]


@pytest.mark.parametrize("name", TABLE)
def test_a_name_is_the_same_object_in_all_places(name: str) -> None:
    first, *others = found_in_each_place(name)

    assert all(other is first for other in others)


def test_names_still_to_come_are_listed() -> None:
    listed, lacking = set(json.loads(STILL_TO_COME.read_text())), set(names_to_come())

    assert sorted(listed - lacking) == [], "these exist: take them off the list of names to come"
    assert sorted(lacking - listed) == [], (
        "these do not exist: put them on the list of names to come"
    )


def test_deviations_are_of_names_in_the_table_and_real() -> None:
    for name, deviation in DEVIATIONS.items():
        theirs = {
            entry["name"]: entry.get("default", REQUIRED) for entry in TABLE[name]["parameters"]
        }
        assert deviation.reason
        assert set(deviation.left_out) | set(deviation.defaults) <= set(theirs)
        assert not set(deviation.extra) & set(theirs)
        assert all(theirs[key] != value for key, value in deviation.defaults.items())


if __name__ == "__main__":
    STILL_TO_COME.write_text(json.dumps(names_to_come(), indent=1) + "\n")
