"""Encodes all columns of a batch whose arrays are plain in one compiled loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from torchest.columns.base import Recipe
from torchest.columns.crossed import CrossedColumn
from torchest.columns.encode.forms import FormsOf
from torchest.columns.numeric import NumericColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from torchest.columns.base import CategoricalColumn, DenseColumn
    from torchest.columns.encode.fingerprint import Int64s
    from torchest.columns.features import Features
    from torchest.utils.arrays import ArrowArray, NumpyArray


_NO_CODES = np.empty((0, 0), np.int64)


class ColumnRows(NamedTuple):
    """The table rows that several columns use in a batch.

    Attributes:
        numbers: The positions of the columns, ascending.
        rows: int64 [batch, columns], negative where an example has none.
        all_present: Whether no row is negative.
    """

    numbers: tuple[int, ...]
    rows: Int64s
    all_present: bool


class _Key(NamedTuple):
    """A feature that is encoded: by a column of its own, or as a key of a cross.

    Attributes:
        key: The key of the feature; for a cross itself, one of those that it reads.
        column: The column that makes ids of it; the cross, where it is no column's.
        is_raw: Whether it is a key of a cross without a column: text is hashed, and integers stay as they are.
    """

    key: str
    column: CategoricalColumn
    is_raw: bool = False

    def recipe(self) -> Recipe | None:
        from torchest.kernels import ids

        if self.is_raw:
            return Recipe(ids.RAW, ids.TAKES_TEXT | ids.TAKES_NUMBERS | ids.TAKES_BOOLS)
        return self.column.recipe()


class RowEncoder:
    """Finds the table rows of categorical columns.

    Args:
        columns: The columns. Those without a recipe are left out.
        firsts: The row of each column's id 0, int64 [columns].
    """

    def __init__(self, columns: Sequence[CategoricalColumn], firsts: Int64s) -> None:
        from torchest.kernels import ids

        numbers = [place for place, column in enumerate(columns) if column.has_recipe]
        self._numbers = tuple(numbers)
        chosen = [columns[place] for place in numbers]
        self._keys = [_Key(column.feature_keys[0], column) for column in chosen]
        recipes = np.zeros((len(chosen), ids.RECIPE), np.int64)
        recipes[:, ids.FIRST] = firsts[numbers]
        for recipe, column in zip(recipes, chosen, strict=True):
            if isinstance(column, CrossedColumn):
                keys = [_key_of(leaf, column) for leaf in column.leaves]
                keys.sort(key=lambda key: key.is_raw)  # as in `CrossedColumn.look_up`
                recipe[[ids.LEAF, ids.LEAVES]] = len(self._keys) - len(chosen), len(keys)
                self._keys.extend(keys)
        of_keys = np.zeros((len(self._keys) - len(chosen), ids.RECIPE), np.int64)
        lacking = list(range(len(self._keys)))
        # Exchanged as a whole, as several threads encode.
        self._recipes = np.concatenate([recipes, of_keys]), lacking
        self._counts = len(chosen), len(self._keys)
        self._kernels = ids
        self._has_crosses = len(self._keys) > len(chosen)
        self._tables: list[NumpyArray] = []  # whose addresses are in recipes
        features = [key.key for key in self._keys]
        takes_floats = [key.column.takes_floats for key in self._keys]
        self._forms = FormsOf(features, takes_floats, self._codes)

    def rows(self, features: Features) -> ColumnRows | None:
        """The rows of columns whose arrays have one number or string for each example; None if there is none."""
        recipes, lacking = self._recipes
        if lacking:
            recipes = recipes.copy()
            self._recipes = (
                recipes,
                [place for place in lacking if not self._write_recipe(recipes[place], place)],
            )
        forms = self._forms(features)
        if forms is None:
            return None
        columns, count = self._counts
        rows = np.empty((forms.rows, columns), np.int64)
        codes = _NO_CODES
        if count > columns:
            codes = np.empty((count - columns, forms.rows), np.int64)
        without = np.empty(count, np.int64)
        arguments = recipes, forms.table, rows, codes, without
        total = self._kernels.rows_of_text(*arguments)
        if total == self._kernels.LEFT:
            total = self._kernels.rows_of_others(*arguments)
        if self._has_crosses:
            total = self._kernels.rows_of_crosses(recipes, rows, codes, without, total)
        if not total:
            return ColumnRows(self._numbers, rows, all_present=True)
        for place in np.flatnonzero(without > 0):
            self._keys[place].column.note_missing(forms.arrays[place])
        of_columns = without[:columns]
        if total < 0:
            kept = np.flatnonzero(of_columns >= 0)
            numbers = tuple(self._numbers[place] for place in kept)
            return (
                ColumnRows(numbers, rows[:, kept], not of_columns[kept].any()) if numbers else None
            )
        return ColumnRows(self._numbers, rows, all_present=False)

    def _write_recipe(self, fields: Int64s, place: int) -> bool:
        """Writes the recipe of a key if its column has one by now, as a vocabulary has once a word of it was seen."""
        from torchest.kernels import ids

        recipe = self._keys[place].recipe()
        if recipe is None:
            return False
        table = 0
        if recipe.table is not None:
            self._tables.append(recipe.table)
            table = recipe.table.__array_interface__["data"][0]
        written = {
            ids.COLUMN: recipe.kind,
            ids.TAKES: recipe.takes,
            ids.COUNT: recipe.size,
            ids.COUNT_INVERSE: _inverse(recipe.size),
            ids.OOV: recipe.oov,
            ids.OOV_INVERSE: _inverse(recipe.oov),
            ids.UNKNOWN: recipe.unknown,
            ids.TABLE: table,
            ids.START: recipe.start,
        }
        for field, value in written.items():
            fields[field] = value
        return True

    def _codes(self, place: int, array: ArrowArray) -> NumpyArray | None:
        return self._keys[place].column.codes_of_entries(array)


def _key_of(leaf: str | CategoricalColumn, cross: CrossedColumn) -> _Key:
    if isinstance(leaf, str):
        return _Key(leaf, cross, is_raw=True)
    return _Key(leaf.feature_keys[0], leaf)


def _inverse(divisor: int) -> int:
    """(2**64 − 1) // divisor, as int64."""
    return int(np.uint64((2**64 - 1) // divisor).view(np.int64)) if divisor else 0


class NumberEncoder:
    """Puts numeric columns of one number per row, without a normalizer_fn, side by side.

    Args:
        columns: The columns that `single_numbers` returns.
    """

    def __init__(self, columns: Sequence[NumericColumn]) -> None:
        from torchest.kernels import numbers

        keys = [column.key for column in columns]
        self._forms = FormsOf(keys, [True] * len(keys))
        self._width = len(keys)
        self._side_by_side = numbers.side_by_side
        defaults: list[Any] = [column.default_value for column in columns]
        self._defaults = np.array(
            [np.nan if default is None else default[0] for default in defaults], np.float32
        )

    def matrix(self, features: Features) -> npt.NDArray[np.float32] | None:
        """The numbers of a batch, float32 [batch, columns]; None if the columns have to encode them."""
        forms = self._forms(features)
        if forms is None:
            return None
        matrix = np.empty((forms.rows, self._width), np.float32)
        return matrix if self._side_by_side(forms.table, self._defaults, matrix) else None


def single_numbers(columns: Sequence[DenseColumn]) -> list[NumericColumn] | None:
    """The columns if all are numeric ones of one number per row without a normalizer_fn."""
    single = [
        column
        for column in columns
        if type(column) is NumericColumn and not column.normalizer_fn and column.shape == (1,)
    ]
    return single if len(single) == len(columns) else None
