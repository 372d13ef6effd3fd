"""Checks of the columns and other arguments that layers take."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from torchest.columns.base import FeatureColumn
from torchest.columns.checks import column_list
from torchest.columns.embedding import COMBINERS
from torchest.columns.sequence import SequenceCategoricalColumn, SequenceNumericColumn
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Iterable


def in_order(columns: Iterable[FeatureColumn], argument: str) -> list[FeatureColumn]:
    """Sorts columns by name, the order of outputs, whatever the user's order is.

    Args:
        columns: The user's columns.
        argument: The name of the user's argument.

    Raises:
        ValueError: There are none, two have the same name, or one is not a column.
    """
    listed = column_list(columns, argument)
    if not listed:
        raise ValueError(
            f"{argument} is empty: give at least one column, such as columns.numeric_column('age')."
        )
    names = sorted(column.name for column in listed)
    for name, following in itertools.pairwise(names):
        if name == following:
            raise ValueError(
                f"{argument} has two columns with the name {name!r}: leave one of them out."
            )
    return sorted(listed, key=lambda column: column.name)


def check_combiner(argument: str, combiner: object) -> None:
    """Raises ValueError if there is no such combiner."""
    checks.one_of(argument, combiner, COMBINERS)


def check_layer(trainable: object, name: object) -> None:
    """Raises TypeError or ValueError for a wrong `trainable` or `name` of a layer."""
    checks.boolean("trainable", trainable)
    if name is not None:
        checks.text("name", name)


def is_of_sequences(column: FeatureColumn) -> bool:
    """Whether the column, or its categorical column, is a sequence column."""
    if isinstance(column, SequenceNumericColumn | SequenceCategoricalColumn):
        return True
    inner = getattr(column, "categorical_column", None)
    return isinstance(inner, FeatureColumn) and is_of_sequences(inner)
