"""The training that `benchmarks.resizes` kills and resizes: shuffled rows, the same step in any number of processes.

    torchrun --nproc-per-node=2 -m benchmarks.resize_training <directory> <name of the launch>

The rows of a step, over all processes, are the next ones of the shuffled passes. So weights are those of one process
that nobody disturbs. Each process logs the rows of its steps.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

import torchest
from torchest import inputs

ROWS, PASSES, BATCH = 250, 36, 12  # BATCH rows of a step, in 1, 2, 3 or 4 processes
STEPS = ROWS * PASSES // BATCH


class Log(torchest.SessionRunHook):
    """Writes a line for each step: its number, the time, and the rows of this process.

    Args:
        path: The file.
        seconds: How long each step takes, at least.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._file: TextIO

    def begin(self) -> None:
        """Tells of the process."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w")
        self._write({"pid": os.getpid(), "processes": int(os.environ.get("WORLD_SIZE", "1"))})

    def before_run(self, run_context: torchest.SessionRunContext) -> torchest.SessionRunArgs:
        """Fetches the rows."""
        return torchest.SessionRunArgs("row")

    def after_run(
        self, run_context: torchest.SessionRunContext, run_values: torchest.SessionRunValues
    ) -> None:
        """Writes them."""
        step = run_context.session.global_step
        self._write({"step": step, "time": time.time(), "rows": run_values.results.tolist()})
        time.sleep(self._seconds)

    def end(self, session: torchest.Session) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
    """Regression with moments."""
    net = torchest.get_or_create("net", lambda: torch.nn.Linear(2, 1))
    x = torch.stack([features["row"] / ROWS, (features["row"] % 7).double()], dim=1)
    loss = (net(x)[:, 0] - labels).square().mean()
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), 0.01))
    return torchest.EstimatorSpec(mode, {"row": features["row"]}, loss=loss, train_op=adam)


def input_fn(input_context: Any) -> inputs.Dataset:
    """This process's part of shuffled passes."""
    row = np.arange(ROWS)
    rows = inputs.Dataset.from_tensor_slices(({"row": row}, np.sin(row)))
    rows = rows.shuffle(100).repeat(PASSES)
    rows = rows.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
    return rows.batch(input_context.get_per_replica_batch_size(BATCH))


def train(model_dir: Path, hooks: Any = ()) -> None:
    """Trains to the end; goes on where an earlier call was interrupted."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    config = torchest.RunConfig(
        tf_random_seed=5,
        save_checkpoints_steps=10,
        keep_checkpoint_max=2,
        save_summary_steps=None,
        log_step_count_steps=None,
    )
    torchest.Estimator(model_fn, model_dir, config).train(input_fn, hooks=hooks)


def main(directory: Path, launch: str, seconds: str = "0") -> None:
    """Trains in the processes of torchrun."""
    logging.getLogger("torchest").setLevel(logging.WARNING)
    attempt, rank = os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["RANK"]
    log = Log(directory / "rows" / f"{launch}.{int(attempt):03}.{rank}", float(seconds))
    train(directory / "model", [log])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
