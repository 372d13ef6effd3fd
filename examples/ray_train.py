"""The digits of multi_worker.py under Ray Train: Ray starts the processes and connects them, torchest trains in them.

    pip install 'torchest[ray]'
    python examples/ray_train.py --storage /shared/digits --workers 2

All machines share the storage; the model is in its folder `model`. Unless Ray is told otherwise, its workers on GPUs
connect over NCCL only: torchest needs gloo on the CPU beside it.
"""

from __future__ import annotations

import argparse
from typing import Any

import multi_worker
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer

import torchest


def train_loop(config: dict[str, Any]) -> None:
    """Runs in every worker."""
    results = multi_worker.run(config["model_dir"], config["steps"])
    checkpoint = None
    if ray.train.get_context().get_world_rank() == 0:
        newest = torchest.latest_checkpoint(config["model_dir"])
        checkpoint = ray.train.Checkpoint.from_directory(newest)
    metrics = {name: float(value) for name, value in results.items()}
    ray.train.report(metrics, checkpoint=checkpoint)


def run(storage: str, workers: int, steps: int = 60, use_gpu: bool = False) -> ray.train.Result:
    """Trains in so many workers; the result has the last metrics and checkpoint."""
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={"model_dir": f"{storage}/model", "steps": steps},
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if use_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(num_workers=workers, use_gpu=use_gpu),
        run_config=ray.train.RunConfig(name="digits", storage_path=storage),
    )
    return trainer.fit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--storage", required=True, help="a directory that all machines share")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--use_gpu", action="store_true")
    arguments = parser.parse_args()
    result = run(arguments.storage, arguments.workers, use_gpu=arguments.use_gpu)
    print(f"Ray has {result.checkpoint.path}, of accuracy {result.metrics['accuracy']:.3f}")


if __name__ == "__main__":
    main()
