"""Asks TensorFlow's strategies what they are without GPUs, and writes it to strategies.json.

"alone" has the number of replicas by strategy, "devices" what `MirroredStrategy(devices)` makes of lists of devices:
the number of replicas, or the type of the error. "guide" has the metrics that the linear regression of TensorFlow's
guide to distributed training has under `MirroredStrategy`, "context" what an input_fn is told there, and "config" the
properties of a `RunConfig` with a strategy, by TF_CONFIG.
"""

from __future__ import annotations

import json
import os

import tensorflow as tf
from write_json import write_json

DEVICES = {
    "/cpu:0": ["/cpu:0"],
    "CPU:0": ["CPU:0"],
    "/device:CPU:0": ["/device:CPU:0"],
    "none": [],
    "twice": ["/cpu:0", "/cpu:0"],
    "a second one": ["/cpu:0", "/cpu:1"],
    "a GPU": ["/gpu:0"],
    "both kinds": ["/cpu:0", "/gpu:0"],
    "not a device": ["here"],
}
NAMES = (
    "global_id_in_cluster",
    "is_chief",
    "num_ps_replicas",
    "num_worker_replicas",
    "task_id",
    "task_type",
)
CLUSTER = {"chief": ["localhost:1"], "worker": ["localhost:2", "localhost:3"]}
TASKS = {
    "nothing": None,
    "chief": {"cluster": CLUSTER, "task": {"type": "chief", "index": 0}},
    "worker": {"cluster": CLUSTER, "task": {"type": "worker", "index": 1}},
    "evaluator": {"cluster": CLUSTER, "task": {"type": "evaluator", "index": 0}},
}


def replicas(devices):
    try:
        return tf.distribute.MirroredStrategy(devices).num_replicas_in_sync
    except Exception as error:
        return type(error).__name__


def alone():
    made = (
        tf.distribute.MirroredStrategy(),
        tf.distribute.MultiWorkerMirroredStrategy(),
        tf.distribute.experimental.CentralStorageStrategy(),
    )
    names = ("MirroredStrategy", "MultiWorkerMirroredStrategy", "CentralStorageStrategy")
    return {name: strategy.num_replicas_in_sync for name, strategy in zip(names, made, strict=True)}


def guide(contexts):
    strategy = tf.distribute.MirroredStrategy()
    config = tf.estimator.RunConfig(train_distribute=strategy, eval_distribute=strategy)
    regressor = tf.estimator.LinearRegressor(
        feature_columns=[tf.feature_column.numeric_column("feats")], optimizer="SGD", config=config
    )

    def input_fn(input_context=None):
        contexts.append(
            input_context
            and {
                name: getattr(input_context, name)
                for name in ("num_input_pipelines", "input_pipeline_id", "num_replicas_in_sync")
            }
        )
        return tf.data.Dataset.from_tensors(({"feats": [1.0]}, [1.0])).repeat(1000).batch(10)

    regressor.train(input_fn=input_fn, steps=10)
    results = regressor.evaluate(input_fn=input_fn, steps=10)
    return {name: float(value) for name, value in results.items()}


def config(tf_config):
    os.environ.pop("TF_CONFIG", None)
    strategy = tf.distribute.MirroredStrategy()
    if tf_config is not None:
        os.environ["TF_CONFIG"] = json.dumps(tf_config)
    try:
        made = tf.estimator.RunConfig(train_distribute=strategy)
    except Exception as error:
        return {"TF_CONFIG": tf_config, "error": str(error)}
    finally:
        os.environ.pop("TF_CONFIG", None)
    return {
        "TF_CONFIG": tf_config,
        **{name: getattr(made, name) for name in NAMES},
        "cluster_spec": made.cluster_spec.as_dict(),
    }


if __name__ == "__main__":
    CONTEXTS: list[object] = []
    write_json(
        __file__,
        {
            "alone": alone(),
            "devices": {name: replicas(devices) for name, devices in DEVICES.items()},
            "guide": guide(CONTEXTS),
            "context": CONTEXTS[0],
            "config": {name: config(task) for name, task in TASKS.items()},
        },
    )
