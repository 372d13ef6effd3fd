"""Write tf_api.json: the public names of tf.estimator and tf.feature_column with their signatures.

The names are those of tf.estimator, tf.estimator.export, tf.estimator.experimental and
tf.feature_column, and the public members of their classes, as in "tf.estimator.Estimator.train"; and,
without members, the canned estimators of tf.compat.v1.estimator, and the optimizers and decaying
learning rates of tf.compat.v1.train.
A member that a class only inherits from another class of the table, or repeats with the same
signature, stands at that other class. Each name has

    kind            "module", "class", "function", "method", "property" or "constant"
    parameters      of a function, a method (without self) or the constructor of a class, each with
                    "name", "kind" and, unless it must be given, "default". A class without a
                    constructor of its own has none
    bases           of a class: its ancestors in the table and among Python's exceptions
    value           of a constant

A default that JSON cannot hold is written as a text: "tf.float32", "tf.nn.relu", "<function>" for a
private function, "<default>" for an object that only marks that nothing was given.
"""

from __future__ import annotations

import inspect
from typing import Any

import tensorflow as tf
from write_json import write_json

MODULES = {
    "tf.estimator": tf.estimator,
    "tf.estimator.export": tf.estimator.export,
    "tf.estimator.experimental": tf.estimator.experimental,
    "tf.feature_column": tf.feature_column,
}
_TRAIN = tf.compat.v1.train
_DECAYS = ("cosine", "exponential", "inverse_time", "natural_exp", "polynomial")
OF_TF1 = {
    **{
        f"tf.compat.v1.estimator.{kind}{end}": getattr(tf.compat.v1.estimator, f"{kind}{end}")
        for kind in ("Baseline", "DNN", "DNNLinearCombined", "Linear")
        for end in ("Classifier", "Estimator", "Regressor")
    },
    **{
        f"tf.compat.v1.train.{name}": getattr(_TRAIN, name)
        for name in (
            "piecewise_constant",
            *(f"{name}_decay" for name in _DECAYS),
            *(name for name in dir(_TRAIN) if name.endswith("Optimizer")),
        )
        if name not in ("AdagradDAOptimizer", "Optimizer", "SyncReplicasOptimizer")
    },
}
# The RNN estimators derive from the older class, which to users is the same.
SAME_CLASS = {tf.compat.v1.estimator.Estimator: tf.estimator.Estimator}


def public_names(container: Any) -> list[str]:
    return [name for name in dir(container) if not name.startswith("_")]


NAMES = {
    f"{module_name}.{name}": getattr(module, name)
    for module_name, module in MODULES.items()
    for name in public_names(module)
}
CLASS_NAMES = {value: name for name, value in NAMES.items() if inspect.isclass(value)}


def default_of(value: Any) -> Any:
    """The default in JSON's types, or the text that stands for it."""
    if isinstance(value, tf.DType):
        return f"tf.{value.name}"
    if value is tf.nn.relu:
        return "tf.nn.relu"
    if callable(value):
        return "<function>"
    if type(value) is object:
        return "<default>"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return [default_of(item) for item in value]
    raise TypeError(f"No way to write this default is known: {value!r}")


def parameters_of(function: Any) -> list[dict[str, Any]]:
    """The parameters but self; TensorFlow's decorators lead inspect to the function itself."""
    described = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        entry = {"name": parameter.name, "kind": parameter.kind.name.lower()}
        if parameter.default is not inspect.Parameter.empty:
            entry["default"] = default_of(parameter.default)
        described.append(entry)
    return described


def ancestors(cls: type) -> list[type]:
    """The classes of the table, and Python's exceptions, that `cls` derives from."""
    lineage = dict.fromkeys(SAME_CLASS.get(base, base) for base in cls.__mro__)
    lineage.pop(cls)
    python_errors = (RuntimeError, ValueError, TypeError)
    return [base for base in lineage if base in CLASS_NAMES or base in python_errors]


def describe_class(cls: type) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": "class"}
    parameters = parameters_of(cls)
    if any(not parameter["kind"].startswith("var_") for parameter in parameters):
        entry["parameters"] = parameters
    if bases := ancestors(cls):
        entry["bases"] = [CLASS_NAMES.get(base, base.__name__) for base in bases]
    return entry


def describe_member(cls: type, name: str) -> dict[str, Any] | None:
    """The member, or None if the class has it from elsewhere, or TensorFlow hides it."""
    owner = next(base for base in cls.__mro__ if name in vars(base))
    inherited = any(issubclass(base, owner) for base in ancestors(cls))
    value = inspect.getattr_static(cls, name)
    hidden = type(value).__name__ == "HiddenTfApiAttribute"
    if inherited or hidden or owner.__module__ == "builtins":
        return None
    if isinstance(value, (str, int)):
        return {"kind": "constant", "value": value}
    if callable(getattr(cls, name)):
        return {"kind": "method", "parameters": parameters_of(getattr(cls, name))}
    return {"kind": "property"}


def describe_members(cls: type) -> dict[str, dict[str, Any]]:
    """The members that say something new, compared with the classes that `cls` derives from."""
    members = {}
    for name in public_names(cls):
        entry = describe_member(cls, name)
        repeated = any(
            hasattr(base, name) and entry == describe_member(base, name)
            for base in ancestors(cls)
            if base in CLASS_NAMES
        )
        if entry is not None and not repeated:
            members[name] = entry
    return members


def describe(value: Any) -> dict[str, Any]:
    if inspect.ismodule(value):
        return {"kind": "module"}
    if inspect.isclass(value):
        return describe_class(value)
    return {"kind": "function", "parameters": parameters_of(value)}


def main() -> None:
    table = {name: describe(value) for name, value in {**NAMES, **OF_TF1}.items()}
    for cls, class_name in CLASS_NAMES.items():
        for name, member in describe_members(cls).items():
            table[f"{class_name}.{name}"] = member
    write_json(__file__, dict(sorted(table.items())))


if __name__ == "__main__":
    main()
