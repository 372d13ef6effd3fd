"""The names of variables of TensorFlow's canned estimators, and their names in torchest.

>>> torchest_name("linear/linear_model/age/weights")
'linear.age.weight'
"""

from __future__ import annotations

import re

_NAMES = (
    (r"linear/linear_model/bias_weights?", r"linear.bias"),
    (r"linear/linear_model/(.+)/embedding_weights", r"linear.\1.table.weight"),
    (r"linear/linear_model/(.+)/weights", r"linear.\1.weight"),
    (r"dnn/.*?input_layer/(.+?)_embedding/embedding_weights", r"dnn.embeddings.\1.weight"),
    (r"dnn/.*?hiddenlayer_(\d+)/kernel", r"dnn.hidden.\1.weight"),
    (r"dnn/.*?hiddenlayer_(\d+)/bias", r"dnn.hidden.\1.bias"),
    (r"dnn/.*?batchnorm_(\d+)/gamma", r"dnn.batch_norm.\1.weight"),
    (r"dnn/.*?batchnorm_(\d+)/beta", r"dnn.batch_norm.\1.bias"),
    (r"dnn/.*?batchnorm_(\d+)/moving_mean", r"dnn.batch_norm.\1.running_mean"),
    (r"dnn/.*?batchnorm_(\d+)/moving_variance", r"dnn.batch_norm.\1.running_var"),
    (r"baseline/bias", r"baseline.bias"),
    (r"dnn/.*?logits/kernel", r"dnn.logits.weight"),
    (r"dnn/.*?logits/bias", r"dnn.logits.bias"),
)


def torchest_name(name: str) -> str | None:
    """Torchest's name of a variable of TensorFlow's canned estimators; None for other names."""
    for pattern, replacement in _NAMES:
        match = re.fullmatch(pattern, name.removesuffix(":0"))
        if match is not None:
            return match.expand(replacement)
    return None
