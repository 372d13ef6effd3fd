"""What a step costs in one, two and three processes: CPU time, messages and bytes of each process.

    python -m benchmarks.distributed

Each point is a training in processes of its own (`distributed_point.py`), with one thread each. Time of the CPU, unlike
that of the clock, hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.distributed_point import Point

ROOT = Path(__file__).parent.parent
RANKS = [1, 2, 3]
POINTS = {
    "linear, 512 rows": Point("linear", 512),
    "linear, 4,096 rows": Point("linear", 4096),
    "DNN, 512 rows": Point("dnn", 512),
    "DNN, 4,096 rows": Point("dnn", 4096),
    "DNN, 4 × 512 rows accumulated": Point("dnn", 512, accumulate=4),
    "dense net, 512 rows": Point("net", 512),
    "dense net, 512 rows, torch alone": Point("net", 512, is_torch_alone=True),
    "dense net, 4 × 512 rows accumulated": Point("net", 512, accumulate=4),
    "convolutions, 32 images": Point("convolutions", 32),
    "convolutions, 32 images, torch alone": Point("convolutions", 32, is_torch_alone=True),
}
FIGURES = ("cpu_ms", "messages", "bytes")


def main() -> None:
    """Measures all points, or those whose names have a text, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of points")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3, help="the least CPU time is shown")
    arguments = parser.parse_args()
    print("| | processes | CPU ms | messages | bytes |\n|---|--:|--:|--:|--:|")
    for name, point in POINTS.items():
        if arguments.names and not any(part in name for part in arguments.names):
            continue
        point = dataclasses.replace(point, steps=arguments.steps)  # noqa: PLW2901
        for ranks in RANKS:
            rounds = [cost(point, ranks) for _ in range(arguments.rounds)]
            best = min(rounds, key=lambda figures: figures["cpu_ms"])
            cpu, messages, sent = (best[figure] for figure in FIGURES)
            print(f"| {name} | {ranks} | {cpu:.1f} | {messages:.1f} | {sent:,.0f} |", flush=True)


def cost(point: Point, ranks: int) -> dict[str, float]:
    """What a step costs a process, on average over the processes."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.distributed_point"]
    port = _free_port()
    processes = [
        subprocess.Popen(
            [*command, json.dumps(dataclasses.asdict(point))],
            env=_environment(rank, ranks, port),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    outputs = [process.communicate()[0] for process in processes]
    figures = [json.loads(output.splitlines()[-1]) for output in outputs]
    return {name: statistics.mean(each[name] for each in figures) for name in figures[0]}


def _environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    of_rank = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
    several = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **of_rank} if ranks > 1 else {}
    threads = {"OMP_NUM_THREADS": 1, "NUMBA_NUM_THREADS": 1, "PYTHONPATH": ROOT}
    return {**os.environ, **{name: str(value) for name, value in {**several, **threads}.items()}}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
