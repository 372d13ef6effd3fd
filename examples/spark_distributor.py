"""The program multi_worker.py under Spark's TorchDistributor, which runs torchrun in Spark's tasks.

    pip install 'torchest[spark]'        # and Java 17 or newer
    python examples/spark_distributor.py --model_dir /shared/digits --processes 2
    python examples/spark_distributor.py --model_dir models/digits --processes 2 --local

Each process is a task of Spark, and all machines share model_dir and this folder; with `--local`, the processes are on
the machine of the driver. The program itself knows nothing of Spark.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

PROGRAM = Path(__file__).with_name("multi_worker.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model_dir", required=True, help="a directory that all machines share")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--local", action="store_true", help="all processes on this machine")
    parser.add_argument("--use_gpu", action="store_true")
    arguments = parser.parse_args()
    spark = SparkSession.builder.appName("digits").getOrCreate()
    try:
        distributor = TorchDistributor(
            arguments.processes, local_mode=arguments.local, use_gpu=arguments.use_gpu
        )
        distributor.run(str(PROGRAM), "--model_dir", arguments.model_dir)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
