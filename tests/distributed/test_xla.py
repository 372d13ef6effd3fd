"""One XLA device: the numbers of the CPU, and how often something is compiled.

Compilations are counted where torch_xla counts them. `make test-accelerators` runs these tests.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import columns, inputs
from torchest.distributed import TPUStrategy

IS_THERE = importlib.util.find_spec("torch_xla") is not None
DEVICE = TPUStrategy() if IS_THERE else None  # before the first backward pass of the process


def needs_xla(test):
    reason = "needs torch_xla: make test-accelerators"
    return pytest.mark.xla(pytest.mark.skipif(not IS_THERE, reason=reason)(test))


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


@needs_xla
@pytest.mark.parametrize("make", [linear, deep, custom])
def test_twenty_steps_are_compiled_three_times_and_give_the_cpus_weights(make, tmp_path):
    cpu = on_cpu(make, tmp_path).train(input_fn)
    with Counted() as counted:
        xla = on_xla(make, tmp_path).train(input_fn)
    assert_same_variables(cpu, xla)
    assert counted.compilations <= 3
    assert counted.executions == 20
    assert counted.left_to_cpu == set()


@needs_xla
@pytest.mark.parametrize("make", [linear, deep])
def test_evaluation_and_prediction_give_the_cpus_numbers(make, tmp_path):
    cpu, xla = on_cpu(make, tmp_path).train(input_fn), on_xla(make, tmp_path).train(input_fn)
    expected = cpu.evaluate(input_fn)
    with Counted() as counted:
        results = xla.evaluate(input_fn)
    assert results == pytest.approx(expected, abs=1e-5)
    assert counted.compilations <= 4  # the first batch, merging, in two ways, and the last batch
    assert counted.left_to_cpu == set()
    for actual, row in zip(xla.predict(input_fn), cpu.predict(input_fn), strict=True):
        assert actual.keys() == row.keys()
        assert actual["classes"].tolist() == row["classes"].tolist()
        np.testing.assert_allclose(actual["logits"], row["logits"], rtol=0, atol=1e-5)


@needs_xla
def test_training_goes_on_from_a_checkpoint_without_compiling_anything_anew(tmp_path):
    cpu = on_cpu(linear, tmp_path).train(input_fn).train(input_fn)
    xla = on_xla(linear, tmp_path).train(input_fn)
    with Counted() as counted:
        xla.train(input_fn)
    assert_same_variables(cpu, xla)
    assert counted.compilations == 0


@needs_xla
def test_a_checkpoint_of_the_device_is_evaluated_on_the_cpu(tmp_path):
    xla = on_xla(deep, tmp_path).train(input_fn)
    same = deep(tmp_path / "xla", torchest.RunConfig())
    assert same.evaluate(input_fn) == pytest.approx(xla.evaluate(input_fn), abs=1e-5)


def shared_model_fn(features, labels, mode):
    """Layers of one shape, two of which share their weight."""

    def make():
        layers = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
        layers[2].weight = layers[0].weight
        return layers

    net = torchest.get_or_create("net", make)
    loss = (net(features["age"].unsqueeze(1)).squeeze(1) - labels).square().mean()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def sharing(model_dir, config):
    return torchest.Estimator(shared_model_fn, model_dir, config)


@needs_xla
def test_parameters_stay_shared_and_others_of_one_shape_apart(tmp_path):
    cpu, xla = (where(sharing, tmp_path).train(input_fn) for where in (on_cpu, on_xla))
    assert_same_variables(cpu, xla)
    assert "net.2.weight" not in xla.get_variable_names()
    assert xla.get_variable_value("net.0.weight") != xla.get_variable_value("net.1.weight")


class Losses(torchest.SessionRunHook):
    def __init__(self):
        self.seen = []

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.seen.append(run_values.results)


@needs_xla
def test_a_hook_that_reads_the_loss_of_every_step_makes_nothing_run_apart(tmp_path):
    losses = {}
    for where in (on_cpu, on_xla):
        hook = Losses()
        with Counted() as counted:
            where(custom, tmp_path).train(input_fn, hooks=[hook])
        losses[where] = hook.seen
    assert losses[on_xla] == pytest.approx(losses[on_cpu], abs=1e-5)
    assert counted.executions == 20


@needs_xla
def test_a_loss_that_becomes_nan_ends_training(tmp_path):
    def nan_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(1, 1))
        loss = (net(features["age"].unsqueeze(1)) * float("nan")).mean()
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

    with pytest.raises(torchest.NanLossDuringTrainingError):
        on_xla(lambda *given: torchest.Estimator(nan_fn, *given), tmp_path).train(input_fn)


TAGS = columns.categorical_column_with_hash_bucket("tags", 50)
WEIGHTED = columns.weighted_categorical_column(
    columns.categorical_column_with_identity("shops", 20), "weights"
)


def lists_input_fn():
    random = np.random.default_rng(7)
    for step in range(6):
        lengths = random.integers(0, 5 + 2 * step, size=16)  # up to 14 in the last batch
        shops = [random.integers(0, 20, size=length).tolist() for length in lengths]
        features = {
            "tags": [[f"tag {number}" for number in row] for row in shops],
            "shops": shops,
            "weights": [random.normal(size=len(row)).tolist() for row in shops],
        }
        yield features, random.integers(0, 2, size=16)


def of_lists(model_dir, config):
    dense = [
        columns.embedding_column(TAGS, 4, combiner="sqrtn"),
        columns.embedding_column(WEIGHTED, 4),
        columns.indicator_column(TAGS),
    ]
    return torchest.DNNLinearCombinedClassifier(
        model_dir, [TAGS, WEIGHTED], "Ftrl", dense, "Adagrad", [6], config=config
    )


@needs_xla
def test_lists_of_ids_are_compiled_once_for_a_power_of_two(tmp_path):
    cpu = on_cpu(of_lists, tmp_path).train(lists_input_fn)
    with Counted() as counted:
        xla = on_xla(of_lists, tmp_path).train(lists_input_fn)
    assert_same_variables(cpu, xla)
    assert counted.compilations <= 3  # the first step, up to 8 ids, up to 16 ids
    assert counted.left_to_cpu == set()


def sequence_model_fn(features, labels, mode):
    watched = columns.sequence_categorical_column_with_identity("watched", 9)
    seconds = columns.sequence_numeric_column("seconds")
    layer = torchest.get_or_create(
        "layer",
        lambda: columns.SequenceFeatures([columns.embedding_column(watched, 3), seconds]),
    )
    steps, lengths = layer(features)
    there = torch.arange(steps.shape[1], device=steps.device) < lengths.unsqueeze(1)
    loss = ((steps.sum(2) * there).sum(1) - labels).square().mean()
    adagrad = torchest.get_or_create(
        "adagrad", lambda: torchest.optimizers.Adagrad(layer.parameters(), lr=0.1)
    )
    return torchest.EstimatorSpec(mode, loss=loss, train_op=adagrad)


def sequence_input_fn():
    rows = [[1, 2, 3], [4], [], [5, 6]]
    for step in range(5):
        watched = rows[step % 3 :] + rows[: step % 3]
        seconds = [[0.1 * number for number in row] for row in watched]
        yield {"watched": watched, "seconds": seconds}, torch.ones(4)


def of_sequences(model_dir, config):
    return torchest.Estimator(sequence_model_fn, model_dir, config)


@needs_xla
def test_sequences_are_compiled_once_for_a_power_of_two(tmp_path):
    cpu = on_cpu(of_sequences, tmp_path).train(sequence_input_fn)
    with Counted() as counted:
        xla = on_xla(of_sequences, tmp_path).train(sequence_input_fn)
    assert_same_variables(cpu, xla)
    assert counted.compilations <= 2
    assert counted.left_to_cpu == set()


def recurrent(model_dir, config):
    watched = columns.sequence_categorical_column_with_identity("watched", 9)
    return torchest.experimental.RNNClassifier(
        [columns.embedding_column(watched, 3)],
        units=[4],
        cell_type="gru",
        model_dir=model_dir,
        config=config,
    )


@needs_xla
def test_a_recurrent_estimator_gives_the_cpus_weights(tmp_path):
    def labelled_input_fn():
        return ((features, torch.tensor([1, 0, 0, 1])) for features, _ in sequence_input_fn())

    cpu = on_cpu(recurrent, tmp_path).train(labelled_input_fn)
    xla = on_xla(recurrent, tmp_path).train(labelled_input_fn)
    assert_same_variables(cpu, xla)


@needs_xla
def test_sequences_of_differing_lengths_are_an_error(tmp_path):
    def unequal_input_fn():
        yield {"watched": [[1, 2], [3]], "seconds": [[0.5], [0.5]]}, torch.ones(2)

    with pytest.raises(ValueError, match="sequences of differing lengths, 1 and 2 in row 0"):
        on_xla(of_sequences, tmp_path).train(unequal_input_fn)


def with_dropout(model_dir, config):
    config = config.replace(save_checkpoints_steps=5)
    return torchest.DNNClassifier([8], [AGE], model_dir, config=config, dropout=0.5)


class Interrupt(torchest.SessionRunHook):
    def after_run(self, run_context, run_values):
        if run_context.session.global_step == 8:
            raise KeyboardInterrupt


@needs_xla
def test_interrupted_training_goes_on_bit_for_bit(tmp_path):
    whole = on_xla(with_dropout, tmp_path / "whole").train(input_fn)
    with pytest.raises(KeyboardInterrupt):
        on_xla(with_dropout, tmp_path / "parts").train(input_fn, hooks=[Interrupt()])
    torch.rand(1)
    parts = on_xla(with_dropout, tmp_path / "parts").train(input_fn)
    for name in whole.get_variable_names():
        assert np.array_equal(parts.get_variable_value(name), whole.get_variable_value(name)), name


@needs_xla
def test_evaluation_beside_training(tmp_path):
    results = {}
    for where in (on_cpu, on_xla):
        made = where(linear, tmp_path)
        config = made.config.replace(save_checkpoints_steps=8)
        estimator = linear(None, config)
        train = torchest.TrainSpec(input_fn, max_steps=20)
        evaluation = torchest.EvalSpec(input_fn, steps=None, throttle_secs=0)
        results[where], _ = torchest.train_and_evaluate(estimator, train, evaluation)
    assert results[on_xla] == pytest.approx(results[on_cpu], abs=1e-5)


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"needs the package torch_xla.*pip install 'torchest\[xla\]'"
    ):
        TPUStrategy()


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="in one process, but by RANK and WORLD_SIZE there are 2"):
        TPUStrategy()


@needs_xla
def test_only_a_strategy_that_is_made_imports_it():
    program = (
        "import sys, torchest; torchest.DNNClassifier, torchest.distributed.TPUStrategy; "
        "assert 'torch_xla' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@needs_xla
def test_a_device_that_comes_too_late_for_gradients_is_an_error():
    program = (
        "import torch, torchest; torch.ones(1, requires_grad=True).sum().backward(); "
        "torchest.distributed.TPUStrategy()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert "Make it at the start of the program." in done.stderr
