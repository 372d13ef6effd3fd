"""A convolutional net that several processes train together, on one machine or on many.

Each process is started with its own TF_CONFIG, in any order:

    export TF_CONFIG='{"cluster": {"chief": ["host0:2222"], "worker": ["host1:2222"]},
                       "task": {"type": "chief", "index": 0}}'
    python examples/multi_worker.py --model_dir /shared/digits

or all of them by torchrun or srun, without TF_CONFIG:

    torchrun --nproc-per-node=2 examples/multi_worker.py --model_dir models/digits
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from torch import nn

import torchest
from torchest import inputs

ROWS, BATCH = 1600, 64  # the batch of a process


def make_digits(rows: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Noisy images [rows, 1, 8, 8] of ten signs, and the number of each sign."""
    signs = np.random.default_rng(0).integers(0, 2, size=(10, 1, 8, 8))
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, rows)
    noise = random.normal(scale=0.7, size=(rows, 1, 8, 8))
    return {"image": (signs[labels] + noise).astype(np.float32)}, labels


def train_input_fn(input_context: torchest.distributed.InputContext) -> inputs.Dataset:
    rows = inputs.Dataset.from_tensor_slices(make_digits(ROWS, seed=1))
    rows = rows.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
    return rows.shuffle(ROWS).repeat().batch(BATCH)


def eval_input_fn(input_context: torchest.distributed.InputContext) -> inputs.Dataset:
    rows = inputs.Dataset.from_tensor_slices(make_digits(400, seed=2))
    rows = rows.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
    return rows.batch(BATCH)


def make_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 10)
    )


def model_fn(
    features: torchest.Features, labels: torch.Tensor, mode: str
) -> torchest.EstimatorSpec:
    net = torchest.get_or_create("net", make_net)
    logits = net(features["image"])
    classes = logits.argmax(1)
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"class": classes})
    loss = nn.functional.cross_entropy(logits, labels)
    accuracy = torchest.metrics.accuracy(labels, classes)
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.01))
    return torchest.EstimatorSpec(
        mode, loss=loss, train_op=adam, eval_metric_ops={"accuracy": accuracy}
    )


def run(model_dir: str | None = None, steps: int = 60) -> dict[str, Any]:
    """Trains and evaluates; returns the last metrics, or nothing if another process evaluates."""
    strategy = torchest.distributed.MultiWorkerMirroredStrategy()
    config = torchest.RunConfig(
        model_dir, tf_random_seed=1, train_distribute=strategy, eval_distribute=strategy
    )
    here = f"{config.task_type} {config.task_id}"
    print(f"{here}: {strategy.num_replicas_in_sync} processes train together", flush=True)
    results, _ = torchest.train_and_evaluate(
        torchest.Estimator(model_fn, config=config),
        torchest.TrainSpec(train_input_fn, max_steps=steps),
        torchest.EvalSpec(eval_input_fn, steps=None, start_delay_secs=0, throttle_secs=1),
    )
    if results is not None:
        print(f"{here}: accuracy {results['accuracy']:.3f} at step {results['global_step']}")
    return results or {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model_dir", help="a directory that all machines share")
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    run(arguments.model_dir, arguments.steps)


if __name__ == "__main__":
    main()
