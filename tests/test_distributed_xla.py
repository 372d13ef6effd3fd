"""One XLA device: the numbers of the CPU, and how often something is compiled.

Compilations are counted where torch_xla counts them. `make test-accelerators` runs these tests.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import columns, inputs
from torchest.distributed import XLAStrategy

IS_THERE = importlib.util.find_spec("torch_xla") is not None
DEVICE = XLAStrategy() if IS_THERE else None  # before the first backward pass of the process
needs_xla = [
    pytest.mark.xla,
    pytest.mark.skipif(not IS_THERE, reason="needs torch_xla: make test-accelerators"),
]
ROWS, BATCH = 630, 32  # 20 steps; the last batch has 22 rows
AGE = columns.numeric_column("age")
CLASS = columns.categorical_column_with_vocabulary_list("class", ["first", "second", "third"])
TOWN = columns.categorical_column_with_hash_bucket("town", 100)
BOTH = columns.crossed_column(["class", "town"], 200)


def table_of_rows():
    random = np.random.default_rng(5)
    features = {
        "age": random.normal(size=ROWS).astype(np.float32),
        "class": random.choice(["first", "second", "third", "crew"], ROWS),
        "town": random.choice([f"town {number}" for number in range(300)], ROWS),
    }
    return features, (random.random(ROWS) < 0.4).astype(np.int64)


def input_fn():
    return inputs.Dataset.from_tensor_slices(table_of_rows()).batch(BATCH)


def linear(model_dir, config):
    return torchest.LinearClassifier([AGE, CLASS, TOWN, BOTH], model_dir, config=config)


def deep(model_dir, config):
    dense = [
        AGE,
        columns.indicator_column(CLASS),
        columns.embedding_column(TOWN, 4),
        columns.embedding_column(BOTH, 4),
    ]
    return torchest.DNNClassifier([8, 4], dense, model_dir, config=config, batch_norm=True)


def model_fn(features, labels, mode):
    """A column layer, a net of its own, two optimizers: one for tables, one of torch's."""
    layer = torchest.get_or_create(
        "layer", lambda: columns.DenseFeatures([AGE, columns.embedding_column(TOWN, 4)])
    )
    net = torchest.get_or_create(
        "net", lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1))
    )
    output = net(layer(features)).squeeze(1)
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"output": output})
    loss = nn.functional.binary_cross_entropy_with_logits(output, labels.float())
    if mode == torchest.ModeKeys.EVAL:
        return torchest.EstimatorSpec(mode, loss=loss)
    tables = torchest.get_or_create(
        "tables", lambda: torchest.optimizers.Adagrad(layer.parameters(), lr=0.1)
    )
    dense = torchest.get_or_create("dense", lambda: torch.optim.Adam(net.parameters(), lr=0.01))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=[tables, dense])


def custom(model_dir, config):
    return torchest.Estimator(model_fn, model_dir, config)


def on_cpu(make, model_dir):
    return make(model_dir / "cpu", torchest.RunConfig(tf_random_seed=1))


def on_xla(make, model_dir):
    config = torchest.RunConfig(tf_random_seed=1, train_distribute=DEVICE, eval_distribute=DEVICE)
    return make(model_dir / "xla", config)


class Counted:
    """Counts what torch_xla compiles, and the operations that it leaves to the CPU."""

    def __enter__(self):
        from torch_xla.debug import metrics

        metrics.clear_all()
        self._metrics = metrics
        return self

    def __exit__(self, *_):
        counters = {
            name: self._metrics.counter_value(name) or 0 for name in self._metrics.counter_names()
        }
        self.compilations = counters.get("UncachedCompile", 0)
        self.executions = self.compilations + counters.get("CachedCompile", 0)
        self.left_to_cpu = {name for name, count in counters.items() if "aten::" in name and count}


def assert_same_variables(one, other):
    names = one.get_variable_names()
    assert names == other.get_variable_names()
    for name in names:
        np.testing.assert_allclose(
            other.get_variable_value(name),
            one.get_variable_value(name),
            rtol=0,
            atol=1e-5,
            err_msg=name,
        )


@pytest.mark.parametrize("make", [linear, deep, custom])
class TestEstimators:
    pytestmark = needs_xla

    def test_twenty_steps_are_compiled_three_times_and_give_the_cpus_weights(self, make, tmp_path):
        cpu = on_cpu(make, tmp_path).train(input_fn)
        with Counted() as counted:
            xla = on_xla(make, tmp_path).train(input_fn)
        assert_same_variables(cpu, xla)
        assert counted.compilations <= 3
        assert counted.left_to_cpu == set()
