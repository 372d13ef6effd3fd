"""The public callables of torchest, found in the package itself: a new public name is fuzzed, or has no recipe."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

import torch

import torchest
from torchest.columns import FeatureColumn

MODULES = (
    "torchest",
    "torchest.columns",
    "torchest.inputs",
    "torchest.metrics",
    "torchest.losses",
    "torchest.optimizers",
    "torchest.optimizers.schedules",
    "torchest.export",
    "torchest.experimental",
    "torchest.distributed",
    "torchest.v1",
    "torchest.v1.losses",
    "torchest.v1.metrics",
    "torchest.v1.train",
)
# Their methods are called by torchest, not by its users.
CALLED_BY_TORCHEST = (
    torchest.SessionRunHook,
    torchest.CheckpointSaverListener,
    torchest.Exporter,
    torchest.distributed.Strategy,
    torch.optim.Optimizer,
    FeatureColumn,
    Exception,
)
COMMAND_LINE = "command_line.main"


@functools.cache
def callables() -> dict[str, Any]:
    """All public functions, classes (their constructors) and methods, by name; what classes inherit comes once.

    A function or class is called by its module, as in `columns.numeric_column`, a method by the class that
    defines it, as in `Dataset.batch`.
    """
    by_name: dict[str, Any] = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in _public_names(module):
            value = getattr(module, name)
            if not callable(value) or not _is_ours(value) or value in by_name.values():
                continue
            by_name[f"{module_name}.{name}".removeprefix("torchest.")] = value
            is_protocol = getattr(value, "_is_protocol", False)  # whose instances torchest makes
            if (
                inspect.isclass(value)
                and not is_protocol
                and not issubclass(value, CALLED_BY_TORCHEST)
            ):
                by_name.update(_methods(value))
    main = importlib.import_module("torchest.command_line").main
    return {**by_name, COMMAND_LINE: main}


def _public_names(module: Any) -> list[str]:
    names = getattr(module, "__all__", None)
    if names is not None:
        return list(names)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def _methods(cls: type) -> dict[str, Any]:
    methods: dict[str, Any] = {}
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        value = getattr(value, "__func__", value)  # of a class method
        is_public = not name.startswith("_") and not getattr(value, "__isabstractmethod__", False)
        if is_public and inspect.isfunction(value) and _is_ours(value):
            methods[value.__qualname__] = value
    return methods


def _is_ours(value: Any) -> bool:
    return getattr(value, "__module__", "").split(".")[0] == "torchest"
