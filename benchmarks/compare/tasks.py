"""What is compared: tasks by name, and the sides on which each runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

TORCHEST, TENSORFLOW, BARE, BARE_STRINGS, VOWPAL, PRODUCTS = (
    "torchest", "tf.estimator", "bare torch", "bare torch, strings", "Vowpal Wabbit", "matrix products",
)  # fmt: skip
FEWER_BUCKETS, IN_MEMORY, ONE_COLUMN = (
    "torchest, 100,000 buckets", "torchest, in memory", "torchest, one column",
)  # fmt: skip
READING, TF_DATA, PYARROW = "reading a file", "tf.data", "pyarrow.csv"
TITLES = {"linear": "linear", "dnn": "DNN", "wide": "wide and deep"}
PROGRAMS = {"titanic": 32, "iris": 256, "toy": 2}  # with their batch sizes


@dataclass(frozen=True)
class Task:
    """One measurement, of several sides.

    Attributes:
        what: "train", "evaluate", "predict dicts", "predict batches", "predict one", "first step", "checkpoint",
            "restore", "program", "calls", "encode" or "read".
        model: "linear", "dnn", "wide", "numbers" (linear, of 1,000 numbers), the name of a program or of a file.
        rows: The size of a batch.
        buckets: The hash buckets of each string column.
        source: "batches" or rows in memory, "numpy", "pandas", "parquet", "csv", or "cached" or "shuffled" batches
            of a CSV file.
        precision: "float32" or "bf16"; the latter for torchest alone.
        columns: The columns of the model "numbers".
        steps: The steps of a program.
        busy: Whether every core also runs a process that never waits.
        in_memory: The number of rows that are made before the clock starts.
        sides: The sides that take part.
    """

    what: str
    model: str = "linear"
    rows: int = 4096
    buckets: int = 100_000
    source: str = "batches"
    precision: str = "float32"
    columns: int = 1000
    steps: int = 0
    busy: bool = False
    in_memory: int = 409_600
    sides: tuple[str, ...] = (TORCHEST, TENSORFLOW)

    @property
    def name(self) -> str:
        """Such as "train-linear-512"."""
        parts = [self.what.replace(" ", "-"), self.model, str(self.rows)]
        parts += [_short(self.buckets)] if self.buckets != 100_000 else []
        parts += [self.source] if self.source != "batches" else []
        parts += [self.precision] if self.precision != "float32" else []
        parts += ["busy"] if self.busy else []
        return "-".join(parts)

    @property
    def module(self) -> str:
        """The beginning of the names of the modules that run it, one for each side."""
        if self.model == "numbers":
            return "numbers"
        modules = {
            "program": "program",
            "calls": "program",
            "checkpoint": "checkpoint",
            "restore": "checkpoint",
            "read": "input",
        }
        return modules.get(self.what, "side")

    @property
    def units(self) -> dict[str, str]:
        """The unit of each figure of a measurement; "value" is the main one."""
        if self.what == "checkpoint":
            return {"value": "s", "halted": "s", "memory": "× weights and slots"}
        if self.what == "read" and self.source != "csv":
            return {"value": "µs a batch"}
        value = {
            "predict one": "s a call",
            "first step": "s",
            "restore": "s",
            "program": "steps/s",
            "calls": "calls a step",
            "encode": "ms a batch",
        }.get(self.what, "rows/s")
        return {"value": value}

    def quick(self) -> Task:
        """The same task with less to do."""
        few = {"buckets": 320_000} if self.module == "checkpoint" else {}
        return dataclasses.replace(self, steps=self.steps // 10, in_memory=65_536, **few)


def _short(buckets: int) -> str:
    return f"{buckets // 1_000_000}M" if buckets >= 1_000_000 else f"{buckets // 1000}k"


def _programs() -> list[Task]:
    sides = (TORCHEST, TENSORFLOW, BARE)
    tasks = [
        Task("program", model, rows, steps=2000 if busy else 5000, busy=busy, sides=sides)
        for busy in (False, True)
        for model, rows in PROGRAMS.items()
    ]
    return [*tasks, Task("calls", "titanic", PROGRAMS["titanic"], steps=1000, sides=(TORCHEST,))]


def _training() -> list[Task]:
    everybody = (TORCHEST, TENSORFLOW, BARE, BARE_STRINGS)
    tasks = [Task("train", "linear", 64, sides=(*everybody, VOWPAL))]
    for model in TITLES:
        for rows in (512, 4096):
            limit = VOWPAL if model == "linear" else PRODUCTS
            tasks.append(Task("train", model, rows, sides=(*everybody, limit)))
    tasks += [Task("train", model, precision="bf16") for model in ("dnn", "wide")]
    for rows in (512, 4096):
        sides = (TORCHEST, FEWER_BUCKETS)
        tasks.append(Task("train", "linear", rows, buckets=2_000_000, sides=(*sides, TENSORFLOW)))
        tasks.append(Task("train", "linear", rows, buckets=10_000_000, sides=sides))
    return [
        *tasks,
        Task("train", "linear", source="numpy"),
        Task("train", "linear", source="pandas"),
        Task("train", "linear", source="parquet", sides=(TORCHEST, IN_MEMORY)),
    ]


def _all() -> list[Task]:
    tasks = [*_programs(), *_training()]
    tasks += [Task("evaluate", model, rows) for model in ("linear", "dnn") for rows in (512, 4096)]
    tasks += [
        Task(what, "linear", rows)
        for what in ("predict dicts", "predict batches")
        for rows in (512, 4096)
    ]
    tasks += [Task("predict one", model, 1) for model in ("linear", "dnn")]
    tasks += [Task("first step", model, 512) for model in ("linear", "dnn")]
    tasks.append(Task("checkpoint", "linear", 512, buckets=3_200_000))
    sides = (TORCHEST, TENSORFLOW, READING)
    tasks.append(Task("restore", "linear", 512, buckets=3_200_000, sides=sides))
    sides = (TORCHEST, ONE_COLUMN, TENSORFLOW)
    tasks += [Task(what, "numbers", 512, sides=sides) for what in ("encode", "train")]
    sides = (TORCHEST, TF_DATA, PYARROW)
    tasks += [Task("read", "clicks", rows, source="csv", sides=sides) for rows in (32, 4096)]
    sides = (TORCHEST, TF_DATA)
    tasks += [
        Task("read", "titanic", 32, source=source, sides=sides) for source in ("cached", "shuffled")
    ]
    tasks.append(Task("read", "iris", 256, sides=sides))
    return tasks


# the tasks of a quick run
QUICK = (
    *(f"program-{model}-{rows}" for model, rows in PROGRAMS.items()),
    "program-titanic-32-busy",
    "program-iris-256-busy",
    "calls-*",
    "train-linear-64",
    "train-linear-512",
    "train-linear-4096",
    "train-dnn-512",
    "train-dnn-4096",
    "train-wide-4096",
    "train-*-bf16",
    "evaluate-*-512",
    "predict-batches-linear-512",
    "first-step-*",
    "checkpoint-*",
    "restore-*",
    "encode-*",
    "read-clicks-4096-csv",
    "read-titanic-*",
    "read-iris-*",
)
TASKS = {task.name: task for task in _all()}
