"""Values that users pass by mistake, and whether one fits the annotation of an argument."""

from __future__ import annotations

import decimal
import math
import numbers
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch


def _nothing(*_: Any, **__: Any) -> None:
    return None


# Each is made anew for a call, which may change it.
POOL: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "NaN": lambda: math.nan,
    "inf": lambda: math.inf,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "2**70": lambda: 2**70,
    "1.5": lambda: 1.5,
    "-0.5": lambda: -0.5,
    "True": lambda: True,
    "np.True_": lambda: np.True_,
    "np.int64(2)": lambda: np.int64(2),
    "Decimal": lambda: decimal.Decimal("1.5"),
    "complex": lambda: 1j,
    "'False'": lambda: "False",
    "'1'": lambda: "1",
    "empty text": lambda: "",
    "misspelt": lambda: "misspelt",
    "NUL": lambda: "a\0b",
    "huge text": lambda: "x" * 10_000,
    "bytes": lambda: b"x",
    "[]": list,
    "{}": dict,
    "()": lambda: (),
    "[[1]]": lambda: [[1]],
    "[None]": lambda: [None],
    "[NaN]": lambda: [math.nan],
    "[1, 'a']": lambda: [1, "a"],
    "['a']": lambda: ["a"],
    "[-1]": lambda: [-1],
    "{1: 2}": lambda: {1: 2},
    "{'a': 'b'}": lambda: {"a": "b"},
    "set": lambda: {1.5},
    "object": object,
    "function": lambda: _nothing,
    "class": lambda: object,
    "float array": lambda: np.array([1.5, math.nan]),
    "text array": lambda: np.array(["a", "b"]),
    "array of rank 0": lambda: np.array(1.5),
    "complex array": lambda: np.array([1j]),
    "tensor": lambda: torch.tensor([[0.5, 1.5]]),
    "Series": lambda: pd.Series(["a", "b"], name="s"),
    "DataFrame": lambda: pd.DataFrame({"a": [1, 2]}),
}

# The aliases that annotations use, and the classes of torchest that tests for an instance cannot tell.
ALIASES = {
    "WarmStartFrom": "str | os.PathLike[str] | WarmStartSettings | None",
    "LearningRate": "float | Callable",
    "ReceiverFn": "Callable",
    "AssetsExtra": "Mapping[str, str | os.PathLike[str]]",
    "Compare": "Callable",
    "Words": "str | os.PathLike[str] | Sequence[str | bytes | int]",
    "Initializer": "Callable",
    "Directory": "str | os.PathLike[str]",
    "Key": "str | CategoricalColumn",
    "FeatureSpec": "FixedLenFeature | VarLenFeature",
    "torch.device": "torch_device",
    "nn.Module": "Module",
    "torch.nn.Module": "Module",
    "torch.Tensor": "Tensor",
    "Numbers": "Tensor",
    "np.ndarray": "ndarray",
    "npt.NDArray": "ndarray",
    "pd.DataFrame": "DataFrame",
    "pd.Series": "Series",
}
FOREIGN = {
    "Module": torch.nn.Module,
    "ndarray": np.ndarray,
    "DataFrame": pd.DataFrame,
    "Series": pd.Series,
    "Optimizer": torch.optim.Optimizer,
    "bytes": bytes,
    "os.PathLike": os.PathLike,
}


def fits(annotation: str, value: Any) -> bool:
    """Whether a value may be accepted for an argument of that annotation; a value that fits may be refused too.

    >>> fits("int | None", None), fits("int | None", 1.5), fits("Sequence[float]", [1, "a"])
    (True, False, False)
    """
    return any(_fits_one(part, value) for part in _split(annotation, "|"))


def _fits_one(annotation: str, value: Any) -> bool:
    head, _, rest = annotation.partition("[")
    inner = _split(rest.removesuffix("]"), ",")
    if head in ALIASES:
        return fits(ALIASES[head], value)
    if head in SIMPLE:
        return SIMPLE[head](value)
    if head in ("Sequence", "Iterable", "list", "tuple"):
        return _is_list(value) and all(fits(inner[0] or "Any", item) for item in value)
    if head in ("Mapping", "dict"):
        return isinstance(value, Mapping) and all(
            fits(inner[0] or "Any", key) and fits(inner[-1] or "Any", item)
            for key, item in value.items()
        )
    cls = FOREIGN.get(head) or _class_of_torchest(head)
    return isinstance(value, cls)


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not _is_bool(value) and math.isfinite(value)


def _is_list(value: Any) -> bool:
    is_scalar = isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim == 0
    return (
        isinstance(value, Iterable)
        and not is_scalar
        and not isinstance(value, (str, bytes, Mapping))
    )


def _is_numeric(value: Any) -> bool:
    """Whether torch.as_tensor, or what does the same for pandas, would make a tensor of it."""
    if isinstance(value, str | bytes | Mapping | type) or callable(value) or value is None:
        return False
    try:
        return np.asarray(value).dtype.kind in "biufc"
    except ValueError:
        return False


SIMPLE: dict[str, Callable[[Any], bool]] = {
    "Any": lambda _: True,
    "object": lambda _: True,
    "T": lambda _: True,
    "None": lambda value: value is None,
    "bool": _is_bool,
    "int": lambda value: isinstance(value, numbers.Integral) and not _is_bool(value),
    "float": _is_number,
    "count": lambda value: _is_number(value) and value == int(value),
    "str": lambda value: isinstance(value, str),
    "os.PathLike": lambda value: isinstance(value, (os.PathLike, bytes)),
    "Callable": callable,
    "Tensor": _is_numeric,
    "Batch": lambda value: _is_list(value) or isinstance(value, (Mapping, pd.DataFrame)),
    "torch_device": lambda value: isinstance(value, (str, torch.device)),
    "dtype": lambda value: isinstance(value, (str, torch.dtype, type, np.dtype)),
}


def _split(annotation: str, separator: str) -> list[str]:
    """Parts of an annotation at separators outside brackets."""
    parts, depth = [""], 0
    for character in annotation:
        depth += (character == "[") - (character == "]")
        if character == separator and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _class_of_torchest(name: str) -> type:
    last = name.rsplit(".", maxsplit=1)[-1]
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("torchest"):
            cls = vars(module).get(last)
            if isinstance(cls, type):
                return cls
    raise LookupError(f"No class {name!r} for an annotation; add it to ALIASES.")
