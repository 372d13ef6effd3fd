"""The device half of categorical columns: a table whose rows are looked up and combined."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from torchest.checkpoint.directory import Checkpoint, latest_checkpoint
from torchest.checkpoint.tensorflow.locate import tensorflow_checkpoint
from torchest.checkpoint.tensorflow.reader import TensorFlowCheckpoint
from torchest.columns.embedding import EmbeddingColumn, SharedEmbeddingColumn
from torchest.columns.ids import PaddedIds
from torchest.errors import DamagedCheckpointError, suggest
from torchest.optimizers.row_gradients import look_up, new_empty
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Self

    from torchest.columns.base import CategoricalColumn
    from torchest.columns.embedding import SharedEmbeddingColumnCreator
    from torchest.columns.ids import Ids
    from torchest.columns.layers.table_bank import BankRows

AnyEmbedding: TypeAlias = EmbeddingColumn | SharedEmbeddingColumn


class Table(nn.Module):
    """A table of one vector per id. The output for an example is the sum, mean or scaled sum of the vectors of its ids.

    A row without ids has a vector of zeros. A training step reads and writes only the rows that the batch
    uses (with the optimizers of torchest).

    Args:
        rows: The number of ids.
        dimension: The width of a vector.
        combiner: "sum", "mean" (divided by the sum of the weights) or "sqrtn" (divided by the root of the
            sum of their squares).
        initializer: Fills the new table in place.
        max_norm: Scales looked-up vectors down to at most this norm. The table itself does not change.
        bank_rows: The rows of a bank that are the table; None for a parameter of its own. `weight` is a view
            of these rows then: write to it in place. To freeze such a table later, to parametrize it or to train it
            by an optimizer of its own, give it its own parameter:
            `table.weight = nn.Parameter(table.weight.detach().clone())`.

    Attributes:
        categorical_column: The column of the ids.

    Shape:
        - weight: [rows, dimension]
        - input: `Ids` of a batch, or `PaddedIds`
        - output: [batch, dimension]
    """

    def __init__(
        self,
        rows: int,
        dimension: int,
        combiner: str,
        initializer: Callable[[Tensor], object] = nn.init.zeros_,
        max_norm: float | None = None,
        bank_rows: BankRows | None = None,
    ) -> None:
        super().__init__()
        self._parameters["weight"] = None  # of a table in a bank
        self._bank_rows = bank_rows
        if bank_rows is None:
            self.weight = nn.Parameter(new_empty(torch.empty(0), [rows, dimension]))
        self.combiner = combiner
        self.max_norm = max_norm
        self.categorical_column: CategoricalColumn | None = None
        with torch.no_grad():
            initializer(self.weight)

    @property
    def bank_rows(self) -> BankRows | None:
        """The rows of the table in a bank; None if it has a parameter of its own."""
        return self._bank_rows if self._parameters.get("weight", self) is None else None

    def leave_bank(self) -> None:
        """Gives a table in a bank its own parameter, in the same memory."""
        if self.bank_rows is not None:
            weight: Tensor = self.weight
            self.weight = nn.Parameter(weight.detach(), weight.requires_grad)
            self._bank_rows = None

    def forward(self, ids: Ids | PaddedIds) -> Tensor:
        """Looks up and combines."""
        if isinstance(ids, PaddedIds):
            return self._padded(ids.values, ids.weights)
        if ids.offsets is None:
            return self._one_each(ids.values, ids.weights)
        return self._bags(ids.values, ids.offsets, ids.weights)

    def vectors(self, ids: Tensor) -> Tensor:
        """The vector of each id, zeros for −1: [*ids.shape, dimension]."""
        vectors = self._look_up(ids.clamp_min(0))
        return vectors * (ids >= 0).to(vectors.dtype).unsqueeze(-1)

    def _look_up(self, ids: Tensor) -> Tensor:
        place = self.bank_rows
        weight, rows = (self.weight, None) if place is None else (place.bank.weight, place.rows)
        vectors = look_up(weight, ids, within=rows)
        if self.max_norm is None:
            return vectors
        norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        return vectors * (self.max_norm / norms.clamp_min(self.max_norm))

    def __getattr__(self, name: str) -> Tensor | nn.Module:
        if name == "weight" and (place := self.bank_rows) is not None:
            return place.bank.weight[place.rows]
        return super().__getattr__(name)

    def __delattr__(self, name: str) -> None:
        if name == "weight":  # which torch's parametrizations delete, after they have read it
            self._check_own_parameter()
        super().__delattr__(name)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Sets `requires_grad`, as for any module.

        Raises:
            ValueError: The table is in a bank, so it cannot be frozen alone.
        """
        place = self.bank_rows
        if place is None:
            return super().requires_grad_(requires_grad)
        if place.bank.weight.requires_grad != requires_grad:
            self._check_own_parameter()
        return self

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Sets `requires_grad`, as for any module.

        Raises:
            ValueError: The table is in a bank, so that its parameter is also that of others; not if `recurse` is False.
        """
        if recurse:
            self._check_own_parameter()
        return super().parameters(recurse)

    def _check_own_parameter(self) -> None:
        """Raises ValueError if the table is in a bank."""
        place = self.bank_rows
        if place is not None:
            raise ValueError(
                f"This table shares the parameter {place.bank.name + '.weight'!r} with others of its layer, and so has "
                "no parameter that can be frozen, trained or parametrized by itself: make its column with "
                "trainable=..., or give the table a parameter of its own: "
                "table.weight = nn.Parameter(table.weight.detach().clone(), requires_grad=...)."
            )

    def _save_to_state_dict(
        self, destination: dict[str, object], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.bank_rows is not None:
            weight: Tensor = self.weight
            destination[f"{prefix}weight"] = weight if keep_vars else weight.detach()

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, object],
        prefix: str,
        local_metadata: dict[str, object],
        *rest: object,
    ) -> None:
        place = self.bank_rows
        if place is not None:
            if local_metadata.get("assign_to_params_buffers"):
                place.bank.convert(state_dict.get(f"{prefix}weight"))
                local_metadata = {**local_metadata, "assign_to_params_buffers": False}
            self._parameters["weight"] = nn.Parameter(self.weight.detach(), requires_grad=False)
        try:
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
        finally:
            if place is not None:
                self._parameters["weight"] = None

    def _one_each(self, ids: Tensor, weights: Tensor | None) -> Tensor:
        """One id, or none (−1), for each example. Its weight matters for sums; otherwise only its sign does."""
        if weights is not None and self.combiner != "sum":
            ids, weights = torch.where(weights > 0, ids, -1), None
        vectors = self._look_up(ids.clamp_min(0))  # [batch, dimension]
        factor = (ids >= 0).to(vectors.dtype)
        if weights is not None:
            factor = factor * weights.to(vectors.dtype)
        return vectors * factor.unsqueeze(1)

    def _padded(self, ids: Tensor, weights: Tensor | None) -> Tensor:
        """Like `_bags`, with shapes that do not depend on values: for exported models and XLA."""
        if weights is not None and self.combiner != "sum":
            ids = torch.where(weights > 0, ids, -1)
        table: Tensor = self.weight
        factor = (ids >= 0).to(table.dtype)  # [batch, n]
        if weights is not None:
            factor = factor * weights.to(factor.dtype)
        is_trained = torch.is_grad_enabled() and table.requires_grad
        looked_up = _without_gaps(ids) if is_trained else ids.clamp_min(0)
        summed = (self._look_up(looked_up) * factor.unsqueeze(2)).sum(1)
        if self.combiner == "sum":
            return summed
        scale = factor.sum(1) if self.combiner == "mean" else factor.square().sum(1).sqrt()
        return summed / scale.masked_fill(scale == 0, 1).unsqueeze(1)

    def _bags(self, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
        counts = offsets.diff()
        bag = torch.repeat_interleave(
            torch.arange(len(counts), device=ids.device), counts, output_size=len(ids)
        )
        if weights is not None and self.combiner != "sum":
            kept = weights > 0
            ids, weights = _instead_of_dropped(ids, kept), weights.clamp_min(0)
            counts = torch.zeros_like(counts).index_add(0, bag, kept.to(counts.dtype))
        vectors = self._look_up(_with_touched(ids, counts))[: len(ids)]  # [ids, dimension]
        if weights is None:
            weights = torch.ones_like(ids, dtype=vectors.dtype)
        weights = weights.to(vectors.dtype)
        summed = vectors.new_zeros(len(counts), vectors.shape[1])
        summed = summed.index_add(0, bag, vectors * weights.unsqueeze(1))
        if self.combiner == "sum":
            return summed
        parts = weights if self.combiner == "mean" else weights.square()
        scale = torch.zeros_like(counts, dtype=vectors.dtype).index_add(0, bag, parts)
        if self.combiner == "sqrtn":
            scale = scale.sqrt()
        return summed / scale.masked_fill(scale == 0, 1).unsqueeze(1)


def _instead_of_dropped(ids: Tensor, kept: Tensor) -> Tensor:
    """Replaces dropped ids by one that is kept, or by 0.

    Dropped ids would reach the optimizer with a gradient of 0, and momentum would move their rows. Replacing them keeps
    the number of ids, so nothing is read from the device.
    """
    if len(ids) == 0:
        return ids
    first_kept = ids[kept.to(torch.int8).argmax()]
    return torch.where(kept, ids, torch.where(kept.any(), first_kept, 0))


def _with_touched(ids: Tensor, counts: Tensor) -> Tensor:
    """Appends an id to those of bags: 0 if a bag is empty, else one of them.

    In TensorFlow, an empty row looks up id 0 with a gradient of 0, so optimizers that also move rows without a gradient
    (momentum, l2 shrinkage) move row 0. Nothing is read from the device for this.
    """
    if len(ids) == 0:
        return ids.new_zeros(min(1, len(counts)))
    return torch.cat([ids, torch.where((counts == 0).any(), torch.zeros_like(ids[:1]), ids[:1])])


def _without_gaps(ids: Tensor) -> Tensor:
    """Replaces padding in ids: by 0 if a row is empty, else by an id in use; see `_with_touched`."""
    if ids.numel() == 0:
        return ids
    there = ids >= 0
    return torch.where(there, ids, torch.where(there.any(1).all(), ids.max(), 0))


def table_name(column: AnyEmbedding) -> str:
    """The name of an embedding's table: that of its categorical column, or of the shared table."""
    if isinstance(column, SharedEmbeddingColumn):
        return column.shared_embedding_column_creator.name
    return column.categorical_column.name


def is_trainable(column: AnyEmbedding) -> bool:
    """Whether training changes the table of an embedding."""
    return _settings(column).trainable


def table_of(column: AnyEmbedding, bank_rows: BankRows | None = None) -> Table:
    """A new table for an embedding, loaded from the column's checkpoint, if it has one.

    Args:
        column: The embedding.
        bank_rows: Its rows in a bank; None for a parameter of its own.

    Raises:
        ValueError: The checkpoint has no such tensor, or one of another shape.
    """
    settings = _settings(column)
    table = Table(
        column.categorical_column.num_buckets,
        column.dimension,
        column.combiner,
        settings.initializer,
        column.max_norm,
        bank_rows,
    )
    table.categorical_column = column.categorical_column
    if settings.ckpt_to_load_from is not None:
        assert settings.tensor_name_in_ckpt is not None
        _load(table, settings.ckpt_to_load_from, settings.tensor_name_in_ckpt, column.subject)
    if bank_rows is None:
        table.requires_grad_(settings.trainable)
    return table


def _settings(column: AnyEmbedding) -> EmbeddingColumn | SharedEmbeddingColumnCreator:
    if isinstance(column, SharedEmbeddingColumn):
        return column.shared_embedding_column_creator
    return column


def _load(table: Table, path: str, name: str, subject: str) -> None:
    """Loads a table from a checkpoint, or from the newest one in a directory; both may be TensorFlow's."""
    of_tensorflow = tensorflow_checkpoint(files.normal(path))
    checkpoint: Checkpoint | TensorFlowCheckpoint
    try:
        if of_tensorflow is None:
            checkpoint = Checkpoint(latest_checkpoint(path) or path).check()
        else:
            checkpoint = TensorFlowCheckpoint(of_tensorflow)
    except DamagedCheckpointError:
        raise
    except ValueError as error:
        raise ValueError(
            f"{subject}: ckpt_to_load_from={path!r} has no checkpoint: give a model_dir, or one of its "
            "directories such as 'model.ckpt-100'."
        ) from error
    if name not in checkpoint.names():
        raise ValueError(
            f"{subject}: tensor_name_in_ckpt={name!r} is not in the checkpoint {checkpoint.path!r}."
            f"{suggest(name, checkpoint.names())}"
        )
    saved = checkpoint.tensor(name)
    if saved.shape != table.weight.shape:
        raise ValueError(
            f"{subject} has a table of shape {list(table.weight.shape)}, but {name!r} in the checkpoint "
            f"{checkpoint.path!r} has {list(saved.shape)}: give a tensor of the same shape, or change "
            "the column."
        )
    with torch.no_grad():
        table.weight.copy_(saved)
