"""Asks TensorFlow's RunConfig what it makes of TF_CONFIG, and writes it to run_config.json.

Each case has the JSON of TF_CONFIG and the properties of `RunConfig()`; or true under "refused".
"""

from __future__ import annotations

import json
import os

import tensorflow as tf
from write_json import write_json

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
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
}
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


if __name__ == "__main__":
    write_json(__file__, {name: asked(config) for name, config in CASES.items()})
