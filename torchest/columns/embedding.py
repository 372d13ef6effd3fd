"""Embedding columns: a learned vector for each id of a categorical column.

The layer of the column makes the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from torchest.columns import checks
from torchest.columns.base import CategoricalColumn, ColumnOverIds
from torchest.columns.sequence import SequenceCategoricalColumn
from torchest.columns.weighted import WeightedCategoricalColumn
from torchest.errors import suggest
from torchest.utils.checks import boolean, is_list, number, one_of, path, text, whole_number

if TYPE_CHECKING:
    from typing_extensions import Self

    from torchest.columns.base import Assets
    from torchest.utils.json_form import JSON

Initializer: TypeAlias = Callable[[Tensor], object]

COMBINERS = ("mean", "sqrtn", "sum")


@dataclass(frozen=True)
class TruncatedNormal:
    """Fills a tensor from a normal distribution around 0, truncated at two standard deviations.

    Attributes:
        stddev: The standard deviation before the tails are cut off.
    """

    stddev: float

    def __call__(self, tensor: Tensor) -> Tensor:
        """Fills the tensor in place by the inverse distribution function, which needs no rejected draws."""
        if tensor.is_meta:
            return tensor  # torch would import its compiler to draw no numbers
        edge = math.erf(2 / math.sqrt(2))
        with torch.no_grad():
            drawn = tensor.uniform_(-edge, edge).erfinv_().mul_(self.stddev * math.sqrt(2))
            return drawn.clamp_(-2 * self.stddev, 2 * self.stddev)


@dataclass(frozen=True, eq=False)
class EmbeddingColumn(ColumnOverIds):
    """A vector for each id; made by `embedding_column`."""

    categorical_column: CategoricalColumn
    dimension: int
    combiner: str
    initializer: Initializer
    ckpt_to_load_from: str | None
    tensor_name_in_ckpt: str | None
    max_norm: float | None
    trainable: bool
    use_safe_embedding_lookup: bool = True

    @property
    def name(self) -> str:
        """The name of the categorical column with the suffix `_embedding`."""
        return embedding_name(self.categorical_column)


@dataclass(frozen=True)
class SharedEmbeddingColumnCreator:
    """Settings of a table that several columns share; made by `shared_embeddings`.

    Attributes:
        name: The name of the table in checkpoints.
        num_buckets: The number of rows.
        dimension: The width of a vector.
    """

    dimension: int
    initializer: Initializer = field(hash=False)
    ckpt_to_load_from: str | None
    tensor_name_in_ckpt: str | None
    num_buckets: int
    trainable: bool
    name: str
    use_safe_embedding_lookup: bool = True


@dataclass(frozen=True, eq=False)
class SharedEmbeddingColumn(ColumnOverIds):
    """A vector for each id, from a table shared with other columns; made by `shared_embeddings`."""

    categorical_column: CategoricalColumn
    shared_embedding_column_creator: SharedEmbeddingColumnCreator
    combiner: str
    max_norm: float | None
    use_safe_embedding_lookup: bool = True

    @property
    def name(self) -> str:
        """The name of the categorical column with the suffix `_shared_embedding`."""
        return f"{self.categorical_column.name}_shared_embedding"

    @property
    def dimension(self) -> int:
        """The width of a vector."""
        return self.shared_embedding_column_creator.dimension

    @classmethod
    def of_json(cls, fields: JSON, assets: Assets) -> Self:
        """Makes a column from its fields, where the settings of the table are a tuple."""
        creator = SharedEmbeddingColumnCreator(*fields["shared_embedding_column_creator"])
        return super().of_json({**fields, "shared_embedding_column_creator": creator}, assets)


def embedding_name(column: CategoricalColumn) -> str:
    """The name of an embedding of a column with a table of its own."""
    return f"{column.name}_embedding"


def embedding_column(  # noqa: PLR0913 - TensorFlow's arguments
    categorical_column: CategoricalColumn,
    dimension: int,
    combiner: str = "mean",
    initializer: Initializer | str | None = None,
    ckpt_to_load_from: str | None = None,
    tensor_name_in_ckpt: str | None = None,
    max_norm: float | None = None,
    trainable: bool = True,
    use_safe_embedding_lookup: bool = True,
) -> EmbeddingColumn:
    """A dense column of learned vectors, one for each id of a categorical column.

    Args:
        categorical_column: The column of the ids.
        dimension: The width of a vector, at least 1.
        combiner: How the vectors of a row with several ids combine: "sum", "mean", or "sqrtn" (the sum
            over the root of the number of ids).
        initializer: Fills a new table in place: a function of a tensor, or the name of one of
            torch.nn.init such as "xavier_uniform". Defaults to a truncated normal distribution of
            standard deviation 1/√dimension.
        ckpt_to_load_from: A checkpoint to take the table from, of torchest or of TensorFlow.
        tensor_name_in_ckpt: The name of the table in the checkpoint.
        max_norm: Scales looked-up vectors down to at most this norm.
        trainable: Whether training changes the table.
        use_safe_embedding_lookup: Accepted for compatibility with TensorFlow, without effect: a row without
            ids always has a vector of zeros.

    Raises:
        ValueError: An argument is wrong.
        TypeError: The initializer is neither a function nor a name.

    >>> from torchest.columns.categorical import categorical_column_with_hash_bucket
    >>> embedding_column(categorical_column_with_hash_bucket("town", 32), 4).name
    'town_embedding'
    """
    checks.categorical(categorical_column, "categorical_column")
    name = embedding_name(categorical_column)
    width = whole_number(f"Column {name!r}: dimension", dimension, at_least=1)
    return EmbeddingColumn(
        categorical_column,
        width,
        one_of(f"Column {name!r}: combiner", combiner, COMBINERS),
        _checked_initializer(initializer, width, name),
        *_checked_source(ckpt_to_load_from, tensor_name_in_ckpt, name),
        _checked_max_norm(max_norm, name),
        boolean(f"Column {name!r}: trainable", trainable),
        boolean(f"Column {name!r}: use_safe_embedding_lookup", use_safe_embedding_lookup),
    )


def shared_embeddings(  # noqa: PLR0913 - TensorFlow's arguments
    categorical_columns: Iterable[CategoricalColumn],
    dimension: int,
    combiner: str = "mean",
    initializer: Initializer | str | None = None,
    shared_embedding_collection_name: str | None = None,
    ckpt_to_load_from: str | None = None,
    tensor_name_in_ckpt: str | None = None,
    max_norm: float | None = None,
    trainable: bool = True,
    use_safe_embedding_lookup: bool = True,
) -> list[SharedEmbeddingColumn]:
    """Dense columns of learned vectors that share one table, one for each categorical column.

    Args:
        categorical_columns: Columns of one kind, or weighted or sequence columns of that kind, with
            the same number of ids.
        dimension: The width of a vector, at least 1.
        combiner: As in `embedding_column`.
        initializer: As in `embedding_column`.
        shared_embedding_collection_name: The name of the table. Defaults to the columns' names in
            alphabetical order, joined by `_`, and `_shared_embedding`.
        ckpt_to_load_from: As in `embedding_column`.
        tensor_name_in_ckpt: As in `embedding_column`.
        max_norm: As in `embedding_column`.
        trainable: As in `embedding_column`.
        use_safe_embedding_lookup: As in `embedding_column`.

    Returns:
        The columns, in the order of `categorical_columns`.

    Raises:
        ValueError: An argument is wrong.
        TypeError: The initializer is neither a function nor a name.
    """
    listed = _checked_columns(categorical_columns)
    joined = "_".join(sorted(column.name for column in listed))
    name = f"{joined}_shared_embedding"
    if shared_embedding_collection_name is not None:
        name = (
            text("shared_embedding_collection_name", shared_embedding_collection_name, empty=True)
            or name
        )
    width = whole_number(f"Column {name!r}: dimension", dimension, at_least=1)
    is_safe = boolean(f"Column {name!r}: use_safe_embedding_lookup", use_safe_embedding_lookup)
    combines = one_of(f"Column {name!r}: combiner", combiner, COMBINERS)
    longest = _checked_max_norm(max_norm, name)
    creator = SharedEmbeddingColumnCreator(
        width,
        _checked_initializer(initializer, width, name),
        *_checked_source(ckpt_to_load_from, tensor_name_in_ckpt, name),
        listed[0].num_buckets,
        boolean(f"Column {name!r}: trainable", trainable),
        name,
        is_safe,
    )
    return [SharedEmbeddingColumn(column, creator, combines, longest, is_safe) for column in listed]


def _checked_initializer(initializer: object, dimension: int, name: str) -> Initializer:
    if initializer is None:
        return TruncatedNormal(1 / math.sqrt(dimension))
    if isinstance(initializer, str):
        return _named_initializer(initializer, name)
    if not callable(initializer):
        raise TypeError(
            f"initializer of column {name!r} is {checks.shown(initializer)}: give a function that fills a tensor in "
            "place, such as torch.nn.init.xavier_uniform_, or its name."
        )
    checked: Initializer = initializer
    return checked


def _named_initializer(initializer: str, name: str) -> Initializer:
    known: dict[str, Initializer] = {
        function[:-1]: getattr(nn.init, function)
        for function in dir(nn.init)
        if function.endswith("_") and not function.startswith("_")
    }
    for function in ("constant", "sparse"):  # need more than a tensor
        del known[function]
    stem = initializer.removesuffix("_")
    if stem not in known:
        raise ValueError(
            f"initializer of column {name!r} is {checks.shown(initializer)}, which is not a function of a tensor in "
            f"torch.nn.init.{suggest(initializer, known)}"
        )
    return known[stem]


def _checked_source(checkpoint: object, tensor: object, name: str) -> tuple[str | None, str | None]:
    """The checkpoint and the name of a tensor in it, or neither."""
    if (checkpoint is None) != (tensor is None):
        raise ValueError(
            f"Column {name!r} has ckpt_to_load_from={checks.shown(checkpoint)} and tensor_name_in_ckpt="
            f"{checks.shown(tensor)}: give both, or neither."
        )
    if checkpoint is None:
        return None, None
    return path("ckpt_to_load_from", checkpoint), text("tensor_name_in_ckpt", tensor)


def _checked_max_norm(max_norm: object, name: str) -> float | None:
    if max_norm is None:
        return None
    return number(f"Column {name!r}: max_norm", max_norm, " None is no limit.", above=0)


def _checked_columns(columns: object) -> list[CategoricalColumn]:
    if not is_list(columns):
        raise ValueError(
            f"categorical_columns is {checks.shown(columns)}: give a list of categorical columns."
        )
    listed = [checks.categorical(column, "categorical_columns") for column in columns]
    if not listed:
        raise ValueError("categorical_columns is empty: give the columns that share the table.")
    first = listed[0]
    for other in listed[1:]:
        kinds = type(_innermost(first)), type(_innermost(other))
        if kinds[0] is not kinds[1]:
            raise ValueError(
                f"categorical_columns has {first.name!r} ({kinds[0].__name__}) and {other.name!r} "
                f"({kinds[1].__name__}): columns that share a table must be of one kind."
            )
        if first.num_buckets != other.num_buckets:
            raise ValueError(
                f"categorical_columns has {first.name!r} with {first.num_buckets} ids and {other.name!r} with "
                f"{other.num_buckets}: columns that share a table must have the same number of ids."
            )
    return listed


def _innermost(column: CategoricalColumn) -> CategoricalColumn:
    while isinstance(column, WeightedCategoricalColumn | SequenceCategoricalColumn):
        column = column.categorical_column
    return column
