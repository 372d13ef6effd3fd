"""What is compared: tasks by name, and on which sides each runs."""

from __future__ import annotations

from dataclasses import dataclass

TORCHEST, TENSORFLOW, BARE, BARE_STRINGS, VOWPAL, PRODUCTS = (
    "torchest", "tf.estimator", "bare torch", "bare torch, strings", "Vowpal Wabbit", "matrix products",
)  # fmt: skip
FEWER_BUCKETS = "torchest, 100,000 buckets"
TITLES = {"linear": "linear", "dnn": "DNN", "wide": "wide and deep"}


@dataclass(frozen=True)
class Task:
    """One line of the table.

    Attributes:
        what: "train", "evaluate", "predict dicts", "predict batches", "predict one", "first step" or
            "checkpoint".
        model: "linear", "dnn" or "wide".
        rows: The size of a batch.
        buckets: Of each string column.
        source: "batches" that are ready in memory, "numpy", "pandas" or "parquet".
        precision: "float32" or "bf16"; the latter for torchest alone.
        sides: Who takes part.
    """

    what: str
    model: str = "linear"
    rows: int = 4096
    buckets: int = 100_000
    source: str = "batches"
    precision: str = "float32"
    sides: tuple[str, ...] = (TORCHEST, TENSORFLOW)

    @property
    def name(self) -> str:
        """Such as "train-linear-512"."""
        parts = [self.what.replace(" ", "-"), self.model, str(self.rows)]
        parts += [f"{self.buckets // 1_000_000}M"] if self.buckets != 100_000 else []
        parts += [self.source] if self.source != "batches" else []
        parts += [self.precision] if self.precision != "float32" else []
        return "-".join(parts)

    @property
    def unit(self) -> str:
        """What its figures are."""
        return {"predict one": "s a call", "first step": "s", "checkpoint": "s"}.get(
            self.what, "rows/s"
        )


def _all() -> list[Task]:
    everybody = (TORCHEST, TENSORFLOW, BARE, BARE_STRINGS)
    tasks = []
    for model in TITLES:
        for rows in (512, 4096):
            more = (VOWPAL,) if model == "linear" else (PRODUCTS,)
            tasks.append(Task("train", model, rows, sides=(*everybody, *more)))
    tasks += [
        Task("train", model, precision="bf16", sides=(TORCHEST, TENSORFLOW))
        for model in ("dnn", "wide")
    ]
    for rows in (512, 4096):
        sides = (TORCHEST, FEWER_BUCKETS)
        tasks.append(Task("train", "linear", rows, buckets=2_000_000, sides=(*sides, TENSORFLOW)))
        tasks.append(Task("train", "linear", rows, buckets=10_000_000, sides=sides))
    tasks += [
        Task("train", "linear", source="numpy"),
        Task("train", "linear", source="pandas"),
        Task("train", "linear", source="parquet", sides=(TORCHEST,)),
    ]
    tasks += [Task("evaluate", model, rows) for model in ("linear", "dnn") for rows in (512, 4096)]
    tasks += [
        Task(what, "linear", rows)
        for what in ("predict dicts", "predict batches")
        for rows in (512, 4096)
    ]
    tasks += [Task("predict one", model, 1) for model in ("linear", "dnn")]
    tasks += [Task("first step", model, 512) for model in ("linear", "dnn")]
    tasks.append(Task("checkpoint", "linear", 512, buckets=3_200_000))
    return tasks


TASKS = {task.name: task for task in _all()}
