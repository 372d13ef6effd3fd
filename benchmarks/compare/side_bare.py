"""A bare torch loop with torchest's kernels, without hooks, metrics, summaries and checkpoints.

Its ids are there before the clock starts; or, as "bare torch, strings", it encodes every batch as torchest does.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.compare.data import NUMBERS, STRINGS, make_batches
from benchmarks.compare.device import DEVICE, wait
from benchmarks.compare.worker import Stopwatch, task_and_seconds
from torchest import feature_column as fc
from torchest.columns.encode.stacked import RowOrderColumn, StackedColumn, StackedDenseColumn
from torchest.columns.features import Features
from torchest.columns.layers.fused_linear import add_product
from torchest.inputs.background import in_background_if_faster
from torchest.losses import reduce, sigmoid_cross_entropy
from torchest.optimizers import Adagrad, Ftrl
from torchest.optimizers.row_gradients import RowOrder, look_up, look_up_sums

_DISTINCT = 40  # batches that are there


class Linear(nn.Module):
    """One weight for each id, and one for each number."""

    def __init__(self, table_rows: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(table_rows, 1))
        self.numbers = nn.Parameter(torch.zeros(len(NUMBERS), 1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, ids: Tensor, order: RowOrder, numbers: Tensor) -> Tensor:
        """Logits [batch, 1]."""
        sums = look_up_sums(self.table, ids, order)
        return add_product([sums], self.bias, numbers, [self.numbers])


class Deep(nn.Module):
    """Embeddings and numbers through hidden layers."""

    def __init__(self, table_rows: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(table_rows, 16) / 4)
        widths = [len(NUMBERS) + 16 * len(STRINGS), 256, 128, 64]
        self.hidden = nn.ModuleList(map(nn.Linear, widths, widths[1:]))
        self.logits = nn.Linear(64, 1)

    def forward(self, ids: Tensor, order: RowOrder, numbers: Tensor) -> Tensor:
        """Logits [batch, 1]."""
        values = torch.cat([look_up(self.table, ids, order).flatten(1), numbers], 1)
        for layer in self.hidden:
            values = layer(values).relu_()
        logits: Tensor = self.logits(values)
        return logits


class Encoding:
    """Batches as the loop takes them, on the device.

    Args:
        buckets: Of each column.
    """

    def __init__(self, buckets: int) -> None:
        hashed = [fc.categorical_column_with_hash_bucket(key, buckets) for key in STRINGS]
        starts = tuple(place * buckets for place in range(len(hashed)))
        self._ids = StackedColumn(tuple(hashed), starts)
        self._order = RowOrderColumn(self._ids, len(hashed) * buckets)
        self._numbers = StackedDenseColumn(tuple(map(fc.numeric_column, NUMBERS)))

    def __call__(self, features: dict[str, Any], labels: Any) -> tuple[Any, ...]:
        """Row numbers, their order, numbers, labels."""
        batch = Features(features)
        ids, order = batch.encoded(self._ids).rows, batch.encoded(self._order)
        labels = torch.from_numpy(labels)[:, None].float()
        parts = ids, order, batch.encoded(self._numbers), labels
        return tuple(part.to(DEVICE) for part in parts)


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    buckets, rows = task["buckets"], task["rows"]
    table_rows = buckets * len(STRINGS)
    encoding = Encoding(buckets)
    raw = make_batches(rows, _DISTINCT)
    if task["source"] == "strings":
        batches = in_background_if_faster(
            (encoding(*batch) for batch in itertools.cycle(raw)), buffer_size=2
        )
    else:
        batches = itertools.cycle([encoding(*batch) for batch in raw])
    models: list[Linear | Deep] = []
    optimizers: list[torch.optim.Optimizer] = []
    if task["model"] != "dnn":
        models.append(Linear(table_rows).to(DEVICE))
        optimizers.append(Ftrl(models[-1].parameters(), lr=0.2))
    if task["model"] != "linear":
        models.append(Deep(table_rows).to(DEVICE))
        optimizers.append(Adagrad(models[-1].parameters()))
    stopwatch = Stopwatch(rows, seconds, wait)
    for ids, order, numbers, labels in batches:
        logits = sum(model(ids, order, numbers) for model in models)
        loss = reduce(sigmoid_cross_entropy(labels, logits))
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        if not stopwatch.tick():
            break


if __name__ == "__main__":
    main()
