"""A torchrun of 1 to 4 nodes: nodes join a training and are killed, and it goes on with those that are left.

    python -m benchmarks.elastic

Each node is a torchrun with one process on this machine. The training of `benchmarks.resizes` must end at its last step
with the weights of one process that nobody disturbs, which has used each row once in each pass.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.resize_training import STEPS
from benchmarks.resizes import difference, environment, last_checkpoint, lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 180.0  # seconds
# how soon nodes go on without others, and how soon a dead one is noticed
_PACE = "last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=3,join_timeout=120"


class Node:
    """A torchrun with one process that takes part in a training of 1 to 4 nodes.

    Args:
        directory: The directory of the training.
        name: The name of the node.
        port: Where the nodes meet; the first one listens there.
        seconds: How long each step takes, at least.
    """

    def __init__(self, directory: Path, name: str, port: int, seconds: float) -> None:
        self._directory = directory
        self._name = name
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes=1:4", "--nproc-per-node=1",
            "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{port}", "--rdzv-id=elastic",
            f"--rdzv-conf={_PACE}", "--max-restarts=100",
            "-m", "benchmarks.resize_training", str(directory), name, str(seconds),
        ]  # fmt: skip
        self._log = (directory / f"log.{name}").open("w")
        # torchrun's nodes share a store by default, and then a node that joins later waits for ever
        shared = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        self.torchrun = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=environment() | shared
        )

    def wait_for_steps(self, processes: int, steps: int = 3) -> int:
        """Waits until it has made some steps in a number of processes; returns the number of its process."""
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up and self.torchrun.poll() is None:
            logs = (self._directory / "rows").glob(f"{self._name}.*")
            newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
            lines = [] if newest is None else lines_of(newest)
            first, *made = lines or [{}]  # nothing is in a new file at first
            if first.get("processes") == processes and len(made) >= steps:
                return int(first["pid"])
            time.sleep(0.05)
        raise RuntimeError(f"{self._name} makes no steps:\n{Path(self._log.name).read_text()}")

    def kill(self, pid: int) -> None:
        """Kills it, and its process."""
        self.torchrun.kill()
        os.kill(pid, signal.SIGKILL)
        self.torchrun.wait()

    def end(self) -> None:
        """Ends it, if it has not ended."""
        if self.torchrun.poll() is None:
            self.torchrun.terminate()
            self.torchrun.wait(_PATIENCE)
        self._log.close()


class Result(NamedTuple):
    """What came of it.

    Attributes:
        seconds: What happened, and the seconds until the first steps after it.
        step: The step of the last checkpoint.
        difference: The largest difference of weights from those of one process that nobody disturbs.
    """

    seconds: list[tuple[str, float]]
    step: int
    difference: float


def join_and_kill(directory: Path, changes: Sequence[str], seconds: float = 0.02) -> Result:
    """Trains to the end.

    Args:
        directory: An empty directory.
        changes: "join" for each node that joins, "kill" for each that is killed: the one that came last.
        seconds: How long each step takes, at least.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    nodes: list[Node] = []
    taken: list[tuple[str, float]] = []
    everyone: list[Node] = []
    try:
        for change in changes:
            began = time.monotonic()
            if change == "join":
                nodes.append(Node(directory, f"node{len(everyone)}", port, seconds))
                everyone.append(nodes[-1])
            else:
                last = nodes.pop()
                last.kill(last.wait_for_steps(len(nodes) + 1))
            for node in nodes:
                node.wait_for_steps(len(nodes))
            taken.append((f"{change}: {len(nodes)} nodes", time.monotonic() - began))
        codes = [node.torchrun.wait(_PATIENCE) for node in nodes]
        if any(codes):
            raise RuntimeError(f"torchrun has failed: {codes}")
    finally:
        for node in everyone:
            node.end()
    last_one = last_checkpoint(directory)
    return Result(taken, last_one.global_step, difference(directory, last_one))


def main() -> None:
    """Lets nodes join and kills some, and ends with 1 if anything was lost."""
    with tempfile.TemporaryDirectory() as directory:
        result = join_and_kill(
            Path(directory), ["join", "join", "join", "kill", "join", "kill", "kill"], 0.05
        )
    for change, seconds in result.seconds:
        print(f"{change} after {seconds:.1f} s")
    print(
        f"ended at step {result.step} of {STEPS}; weights differ by {result.difference:.1e} from those of one process"
    )
    sys.exit(0 if result.step == STEPS and result.difference < 1e-9 else 1)


if __name__ == "__main__":
    main()
