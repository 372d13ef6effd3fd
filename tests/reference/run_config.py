"""Asks TensorFlow's RunConfig what it makes of TF_CONFIG, and writes it to run_config.json.

Each case has the JSON of TF_CONFIG and the properties of `RunConfig()`; or true under "refused".
"""

from __future__ import annotations

import json
import os

import tensorflow as tf
from tensorflow.python.distribute import distribute_coordinator, estimator_training
from write_json import write_json

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
OF_MASTER = {"master": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1", "e:1"]}
WITH_EVALUATOR = {"chief": ["a:1"], "evaluator": ["b:1"], "worker": ["c:1"]}
OF_WORKERS = {"worker": ["a:1", "b:1", "c:1"]}
CASES = {
    "nothing": {},
    "a directory": {"model_dir": "models/a"},
    "an empty directory": {"model_dir": ""},
    "a worker alone": {"task": {"type": "worker", "index": 0}},
    "a second worker without a cluster": {"task": {"type": "worker", "index": 3}},
    "a parameter server without a cluster": {"task": {"type": "ps", "index": 0}},
    "a chief alone": {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}},
    "a master alone": {"cluster": {"master": ["a:1"]}, "task": {"type": "master", "index": 0}},
    "an evaluator": {
        "cluster": {"chief": ["a:1"]},
        "task": {"type": "evaluator", "index": 0},
    },
    "addresses of a session": {
        "session_master": "grpc://x",
        "eval_session_master": "grpc://y",
        "service": {"k": 1},
    },
    "a service that is a number": {"service": 3},
    "a task that is a string": {"task": "worker"},
    "a cluster that is a list": {"cluster": ["a:1"]},
    "two chiefs": {"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}},
    "a chief and a master": {
        "cluster": {"chief": ["a:1"], "master": ["b:1"]},
        "task": {"type": "chief", "index": 0},
    },
    "parameter servers alone": {"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}},
    "a chief without a cluster": {"task": {"type": "chief", "index": 0}},
    "a cluster without a task": {"cluster": CLUSTER},
    "a worker without an index": {"cluster": CLUSTER, "task": {"type": "worker"}},
    "a task that the cluster does not have": {
        "cluster": CLUSTER,
        "task": {"type": "master", "index": 0},
    },
    **{
        f"{kind} {index} of a cluster": {
            "cluster": CLUSTER,
            "task": {"type": kind, "index": index},
        }
        for kind, index in (
            ("chief", 0),
            ("worker", 0),
            ("worker", 1),
            ("worker", "1"),
            ("ps", 0),
            ("evaluator", 2),
            ("worker", 7),
            ("worker", -1),
            ("worker", "x"),
        )
    },
    **{
        f"{kind} {index} of a cluster with a master": {
            "cluster": OF_MASTER,
            "task": {"type": kind, "index": index},
        }
        for kind, index in (("master", 0), ("worker", 1), ("ps", 1), ("evaluator", 0))
    },
    **{
        f"{kind} {index} of a cluster that lists its evaluator": {
            "cluster": WITH_EVALUATOR,
            "task": {"type": kind, "index": index},
        }
        for kind, index in (("chief", 0), ("worker", 0), ("evaluator", 0))
    },
}
# tf.estimator takes a cluster of workers alone only with a strategy, whose coordinator fills in these
WITH_STRATEGY = {
    f"worker {index} of workers": {
        "cluster": OF_WORKERS,
        "task": {"type": "worker", "index": index},
    }
    for index in (0, 2)
}
NAMES_WITH_STRATEGY = (
    "cluster_spec",
    "global_id_in_cluster",
    "is_chief",
    "num_ps_replicas",
    "num_worker_replicas",
    "task_id",
    "task_type",
)
NAMES = (
    "cluster_spec",
    "evaluation_master",
    "global_id_in_cluster",
    "is_chief",
    "master",
    "model_dir",
    "num_ps_replicas",
    "num_worker_replicas",
    "service",
    "task_id",
    "task_type",
)


def asked(config):
    os.environ["TF_CONFIG"] = json.dumps(config)
    try:
        made = tf.estimator.RunConfig()
    except (ValueError, TypeError, AttributeError):
        return {"TF_CONFIG": config, "refused": True}
    values = {name: getattr(made, name) for name in NAMES}
    return {"TF_CONFIG": config, **values, "cluster_spec": made.cluster_spec.as_dict()}


def asked_with_strategy(config):
    os.environ["TF_CONFIG"] = json.dumps(config)
    made = tf.estimator.RunConfig(train_distribute=tf.distribute.MirroredStrategy(["cpu:0"]))
    context = distribute_coordinator._WorkerContext(
        made.train_distribute, made.cluster_spec, config["task"]["type"], config["task"]["index"]
    )
    estimator_training._init_run_config_from_worker_context(made, context)
    values = {name: getattr(made, name) for name in NAMES_WITH_STRATEGY}
    return {"TF_CONFIG": config, **values, "cluster_spec": made.cluster_spec.as_dict()}


if __name__ == "__main__":
    plain = {name: asked(config) for name, config in CASES.items()}
    others = {name: asked_with_strategy(config) for name, config in WITH_STRATEGY.items()}
    write_json(__file__, {**plain, **others})
