"""`make_parse_example_spec`: how the features that columns read are stored in serialized examples.

>>> from torchest.columns.numeric import numeric_column
>>> make_parse_example_spec([numeric_column("age")])
{'age': FixedLenFeature(shape=(1,), dtype=torch.float32, default_value=None)}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.columns import checks
from torchest.columns.base import FeatureColumn
from torchest.columns.feature_specs import merge
from torchest.utils.checks import is_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchest.columns.feature_specs import FeatureSpec


def make_parse_example_spec(feature_columns: Iterable[FeatureColumn]) -> dict[str, FeatureSpec]:
    """How to parse the features that columns read.

    Numeric columns read features of their shape, dtype and default; all others read any number of
    values. A key of a crossed column that is not a column is read as text.

    Args:
        feature_columns: The columns of a model, such as an estimator's.

    Returns:
        A `FixedLenFeature` or `VarLenFeature` for each feature, by key; for
        `torchest.inputs.parse_example`.

    Raises:
        ValueError: An item is not a column, or two columns read a feature in different ways.
    """
    if isinstance(feature_columns, FeatureColumn) or not is_list(feature_columns):
        raise ValueError(
            f"feature_columns is {checks.shown(feature_columns)}: give a list of feature columns."
        )
    specs: dict[str, FeatureSpec] = {}
    for column in feature_columns:
        if not isinstance(column, FeatureColumn):
            raise ValueError(
                f"feature_columns has {checks.shown(column)}: give feature columns only."
            )
        merge(specs, column.parse_specs(), column.name)
    return specs
