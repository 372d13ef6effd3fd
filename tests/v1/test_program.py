"""Programs as they are written for TensorFlow 1 run with `import torchest.v1 as tf`."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import torchest
import torchest.v1 as tf

ROWS = {"age": np.float32([22, 35, 58, 41]), "town": np.array(["a", "b", "a", "c"])}
LABELS = np.array([0, 1, 1, 0])
CONFIG = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None, tf_random_seed=1)


def input_fn():
    return dict(ROWS), LABELS


def dense_columns():
    town = tf.feature_column.categorical_column_with_hash_bucket("town", hash_bucket_size=10)
    return [
        tf.feature_column.numeric_column("age"),
        tf.feature_column.embedding_column(town, dimension=3),
    ]


def test_a_canned_estimator_with_an_optimizer_whose_rate_decays(tmp_path):
    model = tf.estimator.DNNClassifier(
        hidden_units=[8],
        feature_columns=dense_columns(),
        optimizer=lambda: tf.train.AdamOptimizer(
            learning_rate=tf.train.exponential_decay(
                learning_rate=0.1,
                global_step=tf.train.get_global_step(),
                decay_steps=2,
                decay_rate=0.5,
                staircase=True,
            )
        ),
        model_dir=tmp_path,
        config=CONFIG,
    )
    seen = []

    class Rates(tf.train.SessionRunHook):
        def before_run(self, run_context):
            return tf.train.SessionRunArgs("learning_rate")

        def after_run(self, run_context, run_values):
            seen.append(float(run_values.results))

    train = tf.estimator.TrainSpec(input_fn, max_steps=5, hooks=[Rates()])
    metrics, _ = tf.estimator.train_and_evaluate(
        model, train, tf.estimator.EvalSpec(input_fn, steps=1)
    )
    assert seen == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])
    assert metrics["global_step"] == 5


def test_a_model_fn_with_a_head_and_minimize(tmp_path):
    def model_fn(features, labels, mode):
        net = torchest.get_or_create(
            "net", lambda: torch.nn.Sequential(torchest.columns.DenseFeatures(dense_columns()))
        )
        last = torchest.get_or_create("last", lambda: torch.nn.Linear(4, 1))
        return tf.estimator.BinaryClassHead().create_estimator_spec(
            features,
            mode,
            last(net(features)),
            labels,
            train_op_fn=lambda loss: tf.train.FtrlOptimizer(0.1).minimize(
                loss, global_step=tf.train.get_or_create_global_step()
            ),
        )

    model = tf.estimator.Estimator(model_fn, tmp_path, CONFIG)
    model.train(input_fn, steps=3)
    slots = [name for name in model.get_variable_names() if name.startswith("optimizer.")]
    assert "optimizer.last.weight.linear" in slots
    assert any("town" in name for name in slots)


def test_a_head_says_how_an_optimizer_gets_its_parameters():
    head = tf.estimator.BinaryClassHead()
    with pytest.raises(
        TypeError, match="optimizer is a FtrlOptimizer without parameters: make one"
    ):
        head.create_estimator_spec(
            {}, "train", torch.zeros(1, 1), [1], optimizer=tf.train.FtrlOptimizer(0.1)
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.estimator.LinearRegressor([dense_columns()[0]], partitioner=object()),
        lambda: tf.estimator.DNNRegressor([3], dense_columns(), input_layer_partitioner=object()),
        lambda: tf.estimator.DNNLinearCombinedRegressor(
            linear_feature_columns=[dense_columns()[0]], input_layer_partitioner=object()
        ),
    ],
)
def test_a_partitioner_is_ignored_and_the_log_says_so(make, caplog):
    with caplog.at_level(logging.INFO, "torchest"):
        make()
    assert "partitioner has no meaning on PyTorch and is ignored." in caplog.text


def test_named_optimizers_are_those_of_tensorflow_1(tmp_path):
    rates = {"Adagrad": 0.05, "Adam": 0.05, "Ftrl": 0.05, "RMSProp": 0.05, "SGD": 0.05}
    for name, rate in rates.items():
        model = tf.estimator.DNNRegressor([3], dense_columns(), optimizer=name, config=CONFIG)

        class Optimizer(tf.train.SessionRunHook):
            def after_create_session(self, session, coord):
                self.made = session.objects["optimizer"]

        hook = Optimizer()
        model.train(input_fn, steps=1, hooks=[hook])
        assert hook.made.param_groups[0]["lr"] == rate
    with pytest.raises(ValueError, match=r"optimizer='Adamm' is not an opt.*'Adam'"):
        tf.estimator.LinearRegressor([dense_columns()[0]], optimizer="Adamm")
    with pytest.raises(ValueError, match="dnn_optimizer='Adamax' is not an optimizer"):
        tf.estimator.DNNLinearCombinedRegressor(
            dnn_feature_columns=dense_columns(), dnn_hidden_units=[2], dnn_optimizer="Adamax"
        )


def test_planned_and_other_evaluations_have_the_same_areas(tmp_path):
    model = tf.estimator.DNNClassifier([8], dense_columns(), tmp_path, config=CONFIG)
    model.train(input_fn, steps=3)
    planned = model.evaluate(input_fn, steps=1)
    head = tf.estimator.BinaryClassHead()
    other = torchest.DNNEstimator(head, [8], dense_columns(), tmp_path).evaluate(input_fn, steps=1)
    assert planned["auc"] == pytest.approx(other["auc"], abs=1e-5)
    assert planned.keys() == other.keys()
    one_class = model.evaluate(lambda: (dict(ROWS), np.ones(4, np.int64)), steps=1)
    assert one_class["auc"] == 0
    assert one_class["auc_precision_recall"] == pytest.approx(1.0)
