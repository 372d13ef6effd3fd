"""Trains models as one of several processes does, in a group of one: over NCCL where there is a GPU, else over gloo.

python one_process_world.py <directory>
"""

from __future__ import annotations

import sys
from pathlib import Path

import distributed_program as program
import torch
import torch.distributed as dist

from torchest import estimator
from torchest.distributed.cluster import Cluster
from torchest.distributed.data_parallel import DataParallel

CASES = ("linear", "two_optimizers", "statistics")
# how gradients are added up, and the bytes of dense ones above which DistributedDataParallel does it
WAYS = {"by_exchange": 1 << 40, "by_ddp": 0}


def main() -> None:
    torch.set_default_dtype(torch.float64)
    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backends, store=dist.HashStore(), rank=0, world_size=1)
    world = DataParallel(Cluster())
    estimator.strategy_of_environment = lambda: world
    for way, largest in WAYS.items():
        with program.path(largest=largest):
            for case in CASES:
                program.train(Path(sys.argv[1]) / way, case)
    print(f"trained on {world.device.type} over {dist.get_backend_config()}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
