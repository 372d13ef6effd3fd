"""What takes the place of a name of TensorFlow: an equal of torchest or torch, or a sentence.

`torchest/utils/tensorflow_names.json` has the names, `templates.json` the calls whose arguments differ. An equal
without a template takes the same arguments.
"""

from __future__ import annotations

import functools
import importlib.resources
import inspect
import json
import pkgutil
from dataclasses import dataclass
from typing import Any

from torchest.utils.tensorflow_names import sentence, table

# modules of TensorFlow 2 that are others than those of TensorFlow 1
_OF_KERAS = {name: f"tf.keras.{name[3:]}" for name in ("tf.losses", "tf.metrics", "tf.optimizers")}
# What has another form than its equal: a class for a function, or other methods
_OTHERWISE = (
    "tf.TFRecordReader",
    "tf.contrib.feature_column",
    "tf.contrib.learn.RunConfig",
    "tf.contrib.metrics",
    "tf.contrib.summary",
    "tf.feature_column.input_layer",
    "tf.feature_column.linear_model",
    "tf.io.gfile",
    "tf.keras.experimental.LinearModel",
    "tf.keras.experimental.SequenceFeatures",
    "tf.keras.layers",
    "tf.keras.losses",
    "tf.keras.metrics",
    "tf.losses.compute_weighted_loss",
    "tf.nn.sigmoid_cross_entropy_with_logits",
    "tf.squared_difference",
    "tf.summary.FileWriter",
    "tf.train.get_checkpoint_state",
)
_REDUCTION = "tf.keras.losses.Reduction"


@dataclass(frozen=True)
class Answer:
    """What takes the place of a name.

    Attributes:
        equal: The full name of the equal; "" if there is none.
        text: A sentence about it.
    """

    equal: str
    text: str


@functools.cache
def templates() -> dict[str, dict[str, str]]:
    """Templates of calls by TensorFlow's names: on tensors, in input functions, and of modules of Python."""
    file = importlib.resources.files("torchest.migrate") / "templates.json"
    tables: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return tables


@functools.cache
def answer(path: str, *, is_old: bool) -> Answer:
    """What takes the place of a name of TensorFlow.

    Args:
        path: The full name, such as "tf.estimator.DNNClassifier".
        is_old: Whether it is the name of TensorFlow 1.
    """
    path = _of_module(path, is_old=is_old)
    equal = (_in_v1(path) if is_old else "") or _in_table(path)
    if equal and resolve(equal) is not None:
        return Answer(_short(equal), f"{path} is {_short(equal)}.")
    return Answer("", sentence(path) or f"torchest has no {path}.")


@functools.cache
def resolve(name: str) -> Any:
    """The object of a full name; None if there is none."""
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return None


def lacks(equal: str, positional: int, keywords: tuple[str, ...]) -> str:
    """Which argument of a call an equal does not take; "" if it takes all.

    Args:
        equal: The full name of the equal.
        positional: The number of arguments without a keyword.
        keywords: The keywords.
    """
    try:
        parameters = inspect.signature(resolve(equal)).parameters.values()
    except (TypeError, ValueError):
        return ""
    kinds = {each.kind for each in parameters}
    names = {
        each.name
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    by_place = [
        each
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.POSITIONAL_ONLY)
    ]
    if inspect.Parameter.VAR_POSITIONAL not in kinds and positional > len(by_place):
        return f"argument {len(by_place) + 1}"
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return ""
    return next((keyword for keyword in keywords if keyword not in names), "")


def _of_module(path: str, *, is_old: bool) -> str:
    for module, of_keras in _OF_KERAS.items():
        if not is_old and (path == module or path.startswith(f"{module}.")):
            return of_keras + path[len(module) :]
    return path


def _in_v1(path: str) -> str:
    name = f"torchest.v1.{path.partition('.')[2]}"
    return name if path != "tf" and resolve(name) is not None else ""


def _in_table(path: str) -> str:
    """The equal of the longest part of a name that the table has, with the names that follow."""
    parts = path.split(".")
    for end in range(len(parts), 1, -1):
        key = ".".join(parts[:end])
        if key in table():
            equal = table()[key]
            if " " in equal or (_is_otherwise(key) and key != _REDUCTION):
                return ""
            is_simple = not equal.startswith("torch.") or _is_dtype(equal)
            return ".".join([equal, *parts[end:]]) if is_simple else ""
    return ""


def _is_otherwise(key: str) -> bool:
    return any(key == each or key.startswith(f"{each}.") for each in _OTHERWISE)


def _is_dtype(equal: str) -> bool:
    import torch

    return isinstance(resolve(equal), torch.dtype)


def _short(equal: str) -> str:
    """The shortest public name of an equal: `torchest.RunConfig` for that of `torchest.v1.estimator`."""
    name = equal.rpartition(".")[2]
    if "." not in equal or not equal.startswith("torchest."):
        return equal
    wanted = resolve(equal)
    for short in (f"torchest.{name}", f"torchest.v1.{name}"):
        if len(short) < len(equal) and resolve(short) is wanted:
            return short
    parts = equal.split(".")
    parents = (".".join(parts[:end]) for end in range(2, len(parts)))
    for parent in parents:  # ModeKeys of torchest.estimator.ModeKeys.TRAIN
        short = _short(parent)
        if short != parent:
            return short + equal[len(parent) :]
    return equal.replace("torchest.v1.", "torchest.", 1) if _same_in_both(equal) else equal


def _same_in_both(equal: str) -> bool:
    plain = equal.replace("torchest.v1.", "torchest.", 1)
    return plain != equal and resolve(plain) is not None and resolve(plain) is resolve(equal)
