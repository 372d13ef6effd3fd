"""The names of variables of TensorFlow's premade estimators, and their names in torchest.

>>> torchest_name("linear/linear_model/age/weights")
'linear.age.weight'
>>> tensorflow_names("linear.age group.weight")
['linear/linear_model/age_group/weights']
"""

from __future__ import annotations

import re

_LAYER = "dnn/input_from_feature_columns/input_layer"
# `{}` is the name of a column or of a table, or the number of a layer
_NAMES = (
    ("linear.bias", "linear/linear_model/bias_weights"),
    ("linear.{}.table.weight", "linear/linear_model/{}/embedding_weights"),
    ("linear.{}.weight", "linear/linear_model/{}/weights"),
    ("dnn.embeddings.{}.weight", f"{_LAYER}/{{}}_embedding/embedding_weights"),
    ("dnn.embeddings.{}.weight", f"{_LAYER}/{{}}/embedding_weights"),  # of several columns
    ("dnn.embeddings.{}.weight", "{}"),  # likewise, in TensorFlow 2
    ("dnn.hidden.{}.weight", "dnn/hiddenlayer_{}/kernel"),
    ("dnn.hidden.{}.bias", "dnn/hiddenlayer_{}/bias"),
    ("dnn.batch_norm.{}.weight", "dnn/hiddenlayer_{}/batchnorm_{}/gamma"),
    ("dnn.batch_norm.{}.bias", "dnn/hiddenlayer_{}/batchnorm_{}/beta"),
    ("dnn.batch_norm.{}.running_mean", "dnn/hiddenlayer_{}/batchnorm_{}/moving_mean"),
    ("dnn.batch_norm.{}.running_var", "dnn/hiddenlayer_{}/batchnorm_{}/moving_variance"),
    ("dnn.logits.weight", "dnn/logits/kernel"),
    ("dnn.logits.bias", "dnn/logits/bias"),
    ("baseline.bias", "baseline/bias"),
)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\\-]")  # of columns, in names of variables


def torchest_name(name: str) -> str | None:
    """Torchest's name of a variable of TensorFlow's premade estimators; None for other names."""
    for ours, theirs in _NAMES:
        match = theirs != "{}" and _match(theirs, name.removesuffix(":0"))
        if match:
            return ours.format(*match.groups())
    return None


def tensorflow_names(name: str) -> list[str]:
    """The names that a parameter or buffer of a premade estimator may have in TensorFlow, the likeliest first."""
    return [
        theirs.replace("{}", _NOT_IN_NAMES.sub("_", "".join(match.groups())))
        for ours, theirs in _NAMES
        if (match := _match(ours, name))
    ]


def _match(template: str, name: str) -> re.Match[str] | None:
    first, *others = template.split("{}")
    pattern = re.escape(first)
    for number, text in enumerate(others):
        pattern += (r"\1" if number else "(.+)") + re.escape(text)
    return re.fullmatch(pattern, name)
