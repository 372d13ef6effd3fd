from __future__ import annotations

import pytest

from torchest.warm_start.tensorflow_names import torchest_name

LAYER = "dnn/input_from_feature_columns/input_layer"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("linear/linear_model/bias_weights", "linear.bias"),
        (
            "linear/linear_model/age_bucketized_X_town/weights",
            "linear.age_bucketized_X_town.weight",
        ),
        ("linear/linear_model/age/weights:0", "linear.age.weight"),
        ("linear/linear_model/town/embedding_weights", "linear.town.table.weight"),
        (f"{LAYER}/town_embedding/embedding_weights", "dnn.embeddings.town.weight"),
        ("dnn/hiddenlayer_10/kernel", "dnn.hidden.10.weight"),
        ("dnn/hiddenlayer_0/bias", "dnn.hidden.0.bias"),
        ("dnn/hiddenlayer_1/batchnorm_1/gamma", "dnn.batch_norm.1.weight"),
        ("dnn/hiddenlayer_1/batchnorm_1/moving_variance", "dnn.batch_norm.1.running_var"),
        ("dnn/logits/kernel", "dnn.logits.weight"),
        ("baseline/bias", "baseline.bias"),
        ("linear.age.weight", None),
        ("encoder/kernel", None),
    ],
)
def test_a_variable_of_tensorflow(theirs, ours):
    assert torchest_name(theirs) == ours
