"""The figures of a comparison as a table and as a picture."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.compare.tasks import TENSORFLOW, TORCHEST

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class Result:
    """What one side of a task took.

    Attributes:
        task: The task's name.
        unit: Of the values.
        side: Who.
        values: One for each round.
        memory: The most that the process had, in bytes; None if that is not known.
    """

    task: str
    unit: str
    side: str
    values: list[float] = field(default_factory=list)
    memory: int | None = None

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)


def advantage(ours: Result, theirs: Result) -> float:
    """How many times faster ours is: the median of the rounds' ratios."""
    ratios = [a / b for a, b in zip(ours.values, theirs.values, strict=False)]
    ratio = statistics.median(ratios)
    return ratio if ours.unit.endswith("/s") else 1 / ratio


def print_table(results: list[Result]) -> None:
    """One line for each side of each task."""
    print("| task | side | min | median | max | | torchest is faster | peak memory |")
    print("|---|---|--:|--:|--:|---|--:|--:|")
    ours = {result.task: result for result in results if result.side == TORCHEST}
    for result in results:
        if not result.values:
            print(f"| {result.task} | {result.side} | | failed | | | | |")
            continue
        spread = (min(result.values), result.median, max(result.values))
        shown = " | ".join(map(_number, spread))
        mine = ours.get(result.task)
        has_ratio = mine is not None and mine is not result and mine.values
        ratio = f"{advantage(mine, result):.2f}×" if mine is not None and has_ratio else ""
        memory = f"{result.memory / 2**20:,.0f} MiB" if result.memory else ""
        print(f"| {result.task} | {result.side} | {shown} | {result.unit} | {ratio} | {memory} |")


def print_ratios(results: list[Result]) -> None:
    """One line for each task: how many times faster torchest is than each of the other sides."""
    print("| task | torchest | | to tf.estimator | to the limit |")
    print("|---|--:|---|--:|---|")
    others: dict[str, list[Result]] = {result.task: [] for result in results}
    for result in results:
        if result.side != TORCHEST and result.values:
            others[result.task].append(result)
    for ours in results:
        if ours.side != TORCHEST or not ours.values:
            continue
        ratios = {other.side: f"{advantage(ours, other):.2f}×" for other in others[ours.task]}
        reference = ratios.pop(TENSORFLOW, "")
        limits = ", ".join(f"{ratio} {side}" for side, ratio in ratios.items())
        print(f"| {ours.task} | {_number(ours.median)} | {ours.unit} | {reference} | {limits} |")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def write_plot(results: Iterable[Result], path: str) -> None:
    """Bars of the medians of rows a second, with lines from the least to the most."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shown = [result for result in results if result.unit == "rows/s" and result.values]
    tasks = list(dict.fromkeys(result.task for result in shown))
    sides = list(dict.fromkeys(result.side for result in shown))
    figure, axes = plt.subplots(figsize=(10, 1 + 0.5 * len(tasks)))
    height = 0.8 / len(sides)
    for place, side in enumerate(sides):
        of_side = [result for result in shown if result.side == side]
        places = [tasks.index(result.task) + place * height for result in of_side]
        medians = [result.median for result in of_side]
        below = [result.median - min(result.values) for result in of_side]
        above = [max(result.values) - result.median for result in of_side]
        axes.barh(places, medians, height, xerr=[below, above], label=side)
    axes.set_yticks([number + 0.4 - height / 2 for number in range(len(tasks))], tasks)
    axes.invert_yaxis()
    axes.set_xlabel("rows/s")
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
