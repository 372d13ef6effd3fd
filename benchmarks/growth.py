"""How the speed of training changes as work grows: larger batches, more columns, more buckets, more processes.

    python -m benchmarks.growth --plot growth.png --json growth.json

Each point is a training in processes of its own (`growth_point.py`). Needs matplotlib (`pip install '.[bench]'`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.growth_point import Point

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
BATCHES = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536]
COLUMNS = [1, 3, 10, 30, 100, 300, 1000]
BUCKETS = [10_000, 100_000, 1_000_000, 10_000_000]
RANKS = [1, 2, 3]


class Line(NamedTuple):
    """One line of a panel.

    Attributes:
        panel: The title of the panel.
        label: The name of the line.
        points: What is measured, by its place on the axis.
    """

    panel: str
    label: str
    points: dict[int, Point]


def _varied(base: Point, field: str, sizes: list[int]) -> dict[int, Point]:
    return {size: dataclasses.replace(base, **{field: size}) for size in sizes}


LINES = [
    Line("batch size", "linear", _varied(Point(), "rows", BATCHES)),
    Line("batch size", "DNN", _varied(Point("dnn"), "rows", BATCHES)),
    Line("columns", "linear, strings", _varied(Point(numbers=0), "strings", COLUMNS)),
    Line("columns", "linear, numbers", _varied(Point(strings=0), "numbers", COLUMNS)),
    Line("buckets of a column", "linear, batches of 512", _varied(Point(), "buckets", BUCKETS)),
    Line("buckets of a column", "linear, batches of 4,096", _varied(Point(rows=4096), "buckets", BUCKETS)),
    Line("processes", "linear, batches of 4,096", _varied(Point(rows=4096), "ranks", RANKS)),
    Line("processes", "DNN, batches of 4,096", _varied(Point("dnn", rows=4096), "ranks", RANKS)),
]  # fmt: skip


class Result(NamedTuple):
    """The speed at one point; None if the training failed."""

    panel: str
    label: str
    size: int
    rows_a_second: float | None


def main() -> None:
    """Measures all points, and draws them."""
    arguments = _arguments()
    import matplotlib as mpl  # before minutes of measuring, as it may not be there

    mpl.use("Agg")
    results = list(measure(arguments.seconds))
    print_table(results)
    about = f"{_commit()}, {os.cpu_count()} cores, {platform.processor() or platform.machine()}"
    if arguments.json:
        kept = {"about": about, "results": [result._asdict() for result in results]}
        Path(arguments.json).write_text(json.dumps(kept, indent=1), encoding="utf-8")
    write_plot(results, about, arguments.plot)


def measure(seconds: float) -> Iterator[Result]:
    """Trains each point."""
    for line in LINES:
        for size, point in line.points.items():
            print(f"{line.panel} {size:,}: {line.label}", file=sys.stderr, flush=True)
            point = dataclasses.replace(point, seconds=seconds)  # noqa: PLW2901
            yield Result(line.panel, line.label, size, speed_of(point))


def speed_of(point: Point) -> float | None:
    """The rows a second of a point, trained in as many processes as it has ranks; None if that fails."""
    command = [sys.executable, "-W", "ignore", "-m"]
    if point.ranks > 1:
        command += [
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={point.ranks}",
            "-m",
        ]
    command += ["benchmarks.growth_point", point.json()]
    with tempfile.TemporaryDirectory() as files:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": files}
        output = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
            cwd=ROOT, check=False,
        ).stdout  # fmt: skip
    answers = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return answers[-1]["rows/s"] if answers else None


def print_table(results: list[Result]) -> None:
    """One line for each point."""
    print("| | | | rows/s |\n|---|---|--:|--:|")
    for panel, label, size, speed in results:
        shown = "failed" if speed is None else f"{speed:,.0f}"
        print(f"| {panel} | {label} | {size:,} | {shown} |")


def write_plot(results: list[Result], about: str, path: str) -> None:
    """One panel for each kind of growth, on logarithmic axes."""
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys(result.panel for result in results))
    figure, all_axes = plt.subplots(2, 2, figsize=(11, 8), squeeze=False)
    for panel, axes in zip(panels, all_axes.flat, strict=False):
        _draw(axes, [result for result in results if result.panel == panel])
        axes.set_xlabel(panel)
    figure.suptitle(f"Training speed of torchest ({about})")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw(axes: Any, results: list[Result]) -> None:
    for label in dict.fromkeys(result.label for result in results):
        measured = [r for r in results if r.label == label and r.rows_a_second is not None]
        if measured:
            speeds = [result.rows_a_second for result in measured]
            axes.plot([result.size for result in measured], speeds, "o-", label=label)
    sizes = sorted({result.size for result in results})
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30)
    axes.minorticks_off()
    axes.set_ylabel("rows/s")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout
    return f"commit {commit.strip()}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="how long the clock runs for a point"
    )
    parser.add_argument("--plot", metavar="FILE", default="growth.png", help="write a PNG")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
