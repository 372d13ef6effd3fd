"""A bare torch loop: the same kernels on ids that are there, without strings, hooks, metrics and checkpoints."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.compare.data import NUMBERS, STRINGS, make_batches
from benchmarks.compare.worker import Stopwatch, task_and_seconds
from torchest.optimizers import Adagrad, Ftrl
from torchest.optimizers.row_gradients import RowOrder, look_up

_DISTINCT = 40  # batches that are there


class Linear(nn.Module):
    """One weight for each id, and one for each number."""

    def __init__(self, table_rows: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(table_rows, 1))
        self.numbers = nn.Linear(len(NUMBERS), 1)

    def forward(self, ids: Tensor, order: RowOrder, numbers: Tensor) -> Tensor:
        """Logits [batch, 1]."""
        return look_up(self.table, ids, order).sum(1) + self.numbers(numbers)


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
            values = layer(values).relu()
        logits: Tensor = self.logits(values)
        return logits


def main() -> None:
    """Runs one task."""
    task, seconds = task_and_seconds()
    buckets, rows = task["buckets"], task["rows"]
    table_rows = buckets * len(STRINGS)
    batches = [ready(*batch, buckets) for batch in make_batches(rows, _DISTINCT)]
    models: list[Linear | Deep] = []
    optimizers: list[torch.optim.Optimizer] = []
    if task["model"] != "dnn":
        models.append(Linear(table_rows))
        optimizers.append(Ftrl(models[-1].parameters(), lr=0.2))
    if task["model"] != "linear":
        models.append(Deep(table_rows))
        optimizers.append(Adagrad(models[-1].parameters()))
    stopwatch = Stopwatch(rows, seconds)
    for ids, order, numbers, labels in itertools.cycle(batches):
        logits = sum(model(ids, order, numbers) for model in models)
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        if not stopwatch.tick():
            break


def ready(features: dict[str, Any], labels: Any, buckets: int) -> tuple[Any, ...]:
    """A batch as a loop takes it: row numbers, their order, numbers, labels."""
    from torchest import feature_column as fc
    from torchest.columns.features import Features

    batch = Features(features)
    columns = [fc.categorical_column_with_hash_bucket(key, buckets) for key in STRINGS]
    ids = torch.stack([batch.encoded(column).values for column in columns], 1)
    ids += torch.arange(len(columns)) * buckets
    numbers = torch.stack([torch.from_numpy(features[key]) for key in NUMBERS], 1)
    order = RowOrder.of(ids.reshape(-1), buckets * len(columns))
    return ids, order, numbers, torch.from_numpy(labels)[:, None].float()


if __name__ == "__main__":
    main()
