"""Specs of the stored examples of canned estimators: their features, label and weight.

>>> from torchest.columns.numeric import numeric_column
>>> for key, spec in classifier_parse_example_spec([numeric_column("age")], "survived").items():
...     print(key, spec)
age FixedLenFeature(shape=(1,), dtype=torch.float32, default_value=None)
survived FixedLenFeature(shape=(1,), dtype=torch.int64, default_value=None)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from torchest.columns.feature_specs import FixedLenFeature
from torchest.columns.numeric import NumericColumn, numeric_column
from torchest.columns.parse_spec import make_parse_example_spec
from torchest.utils.checks import shown, text, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchest.columns.base import FeatureColumn
    from torchest.columns.feature_specs import FeatureSpec


def classifier_parse_example_spec(
    feature_columns: Iterable[FeatureColumn],
    label_key: str,
    label_dtype: torch.dtype | type[str] = torch.int64,
    label_default: object = None,
    weight_column: str | NumericColumn | None = None,
) -> dict[str, FeatureSpec]:
    """Returns the spec for parsing the examples of a classifier.

    Args:
        feature_columns: The columns of the features.
        label_key: The key of the label.
        label_dtype: `torch.int64` for class ids, `str` for names of a label_vocabulary.
        label_default: The label of examples without one. None: an error.
        weight_column: The key of the weights of the examples, or a numeric column.

    Returns:
        By key, a spec for each feature, the label [1] and the weight, for `torchest.inputs.parse_example`.

    Raises:
        ValueError: The label or the weight is read as a feature too, or an argument is invalid.
    """
    label = _label(1, label_dtype, label_default)
    return _with_label(feature_columns, label_key, label, weight_column)


def regressor_parse_example_spec(
    feature_columns: Iterable[FeatureColumn],
    label_key: str,
    label_dtype: torch.dtype = torch.float32,
    label_default: object = None,
    label_dimension: int = 1,
    weight_column: str | NumericColumn | None = None,
) -> dict[str, FeatureSpec]:
    """Returns the spec for parsing the examples of a regressor.

    Args:
        feature_columns: The columns of the features.
        label_key: The key of the label.
        label_dtype: The dtype of the label.
        label_default: The label of examples without one. None: an error.
        label_dimension: Number of labels of an example.
        weight_column: The key of the weights of the examples, or a numeric column.

    Returns:
        By key, a spec for each feature, the label [label_dimension] and the weight, for
        `torchest.inputs.parse_example`.

    Raises:
        ValueError: As for `classifier_parse_example_spec`.
    """
    dimension = whole_number("label_dimension", label_dimension, at_least=1)
    label = _label(dimension, label_dtype, label_default)
    return _with_label(feature_columns, label_key, label, weight_column)


def _label(dimension: int, dtype: torch.dtype | type[str], default: object) -> FixedLenFeature:
    try:
        return FixedLenFeature((dimension,), dtype, default)
    except (TypeError, ValueError) as error:  # begins with the name of one of its arguments
        message = str(error).replace("default_value is", "label_default is", 1)
        message = message if message.startswith("label") else f"label_{message}"
        raise type(error)(message) from None


def _with_label(
    feature_columns: Iterable[FeatureColumn],
    label_key: str,
    label: FixedLenFeature,
    weight_column: str | NumericColumn | None,
) -> dict[str, FeatureSpec]:
    specs = make_parse_example_spec(feature_columns)
    if text("label_key", label_key) in specs:
        raise ValueError(
            f"label_key is {label_key!r}, which a feature column reads: take that column out, as a model must not see "
            "its label."
        )
    specs[label_key] = label
    if weight_column is None:
        return specs
    weight = numeric_column(weight_column) if isinstance(weight_column, str) else weight_column
    if not isinstance(weight, NumericColumn):
        raise ValueError(
            f"weight_column is {shown(weight_column)}: give the key of a feature, or a numeric_column."
        )
    if weight.key in specs:
        what = "the label" if weight.key == label_key else "a feature that a column reads"
        raise ValueError(
            f"weight_column is {weight.key!r}, which is {what}: give the weight a key of its own."
        )
    return specs | make_parse_example_spec([weight])
