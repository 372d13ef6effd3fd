"""A linear regression under MirroredStrategy, which starts a process for each GPU by itself.

python examples/mirrored.py                  # all GPUs of this machine, or the CPU
python examples/mirrored.py /cpu:0 /cpu:1    # two processes on the CPU, to try it out
torchrun --nproc-per-node=2 examples/mirrored.py
"""

from __future__ import annotations

import sys

import torchest
from torchest import columns, inputs


def input_fn() -> inputs.Dataset:
    return inputs.Dataset.from_tensors(({"feats": [1.0]}, [1.0])).repeat(1000).batch(10)


def main() -> None:
    strategy = torchest.distributed.MirroredStrategy(sys.argv[1:] or None)
    config = torchest.RunConfig(train_distribute=strategy, eval_distribute=strategy)
    regressor = torchest.LinearRegressor(
        [columns.numeric_column("feats")], optimizer="SGD", config=config
    )
    regressor.train(input_fn, steps=10)
    results = regressor.evaluate(input_fn, steps=10)
    if config.is_chief:
        print(f"{strategy.num_replicas_in_sync} replicas: loss {results['loss']:.3g}")


if __name__ == "__main__":
    main()
