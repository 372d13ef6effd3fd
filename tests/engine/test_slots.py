"""Checkpoints of tables that share a parameter: as of tables with one parameter each."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import torchest
from torchest import columns
from torchest.columns.layers.stored_parameters import dissolve_banks
from torchest.optimizers import SGD, Adam, Ftrl, RMSProp

KEYS = ("a1", "a10", "b")  # "a10_embedding" comes before "a1_embedding", and "a10" after "a1"
OPTIMIZERS = {
    "Ftrl": partial(Ftrl, lr=0.1),
    "Adam": partial(Adam, lr=0.1),
    "RMSProp": partial(RMSProp, lr=0.1, momentum=0.5),
    "SGD": partial(SGD, lr=0.1),
    "torch's Adam": partial(torch.optim.Adam, lr=0.1),
    "torch's Adagrad": partial(torch.optim.Adagrad, lr=0.1, initial_accumulator_value=0.2),
}
FACTORED = partial(torch.optim.Adafactor, lr=0.1)  # has a slot for the rows and one for the columns


def input_fn():
    rng = np.random.default_rng(1)
    features = {key: rng.integers(0, 9, 60) for key in KEYS}
    labels = rng.normal(size=60).astype(np.float32)
    return torchest.inputs.Dataset.from_tensor_slices((features, labels)).batch(10)


def layer() -> columns.LinearFeatures:
    made = [columns.categorical_column_with_identity(key, 9) for key in KEYS]
    return columns.LinearFeatures(made)


def embeddings() -> columns.DenseFeatures:
    made = [columns.categorical_column_with_identity(key, 9) for key in KEYS]
    return columns.DenseFeatures([columns.embedding_column(each, 2) for each in made])


def separate(make_layer=layer):
    """A layer with a parameter for each table, as in checkpoints that earlier versions wrote."""
    made = make_layer()
    dissolve_banks(made)
    return made


def model_fn(features, labels, mode, params):
    model = torchest.get_or_create("linear", params["layer"])
    loss = (model(features).sum(1) - labels).square().mean()
    make = params["optimizer"]
    optimizer = torchest.get_or_create("optimizer", lambda: make(model.parameters()))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)


def estimator(model_dir, optimizer, make_layer=layer):
    params = {"layer": make_layer, "optimizer": OPTIMIZERS[optimizer]}
    return torchest.Estimator(model_fn, model_dir, torchest.RunConfig(tf_random_seed=1), params)


def contents(model):
    reader = torchest.load_checkpoint(model.model_dir)
    return {name: reader.tensor(name) for name in reader.names()}


def assert_same(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_slots_are_kept_table_by_table(tmp_path):
    model = estimator(tmp_path, "Ftrl").train(input_fn, steps=2)
    slots = {name: value.shape for name, value in contents(model).items() if "optimizer" in name}
    of_tables = {f"optimizer.linear.{key}.weight" for key in KEYS}
    assert {name.rpartition(".")[0] for name in slots} == of_tables | {"optimizer.linear.bias"}
    assert all(shape == (9, 1) for name, shape in slots.items() if "bias" not in name)
    assert model.get_variable_names()[:4] == [
        "global_step", "linear.a1.weight", "linear.a10.weight", "linear.b.weight",
    ]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_checkpoint_of_separate_tables_resumes_in_one_parameter_and_back(optimizer, tmp_path):
    expected = estimator(tmp_path / "whole", optimizer, embeddings)
    mixed = tmp_path / "mixed"
    for make_layer in (partial(separate, embeddings), embeddings, partial(separate, embeddings)):
        expected.train(input_fn, steps=2)
        model = estimator(mixed, optimizer, make_layer).train(input_fn, steps=2)
    assert_same(contents(model), contents(expected))


def test_a_slot_that_is_not_of_rows_is_resumed_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "Adafactor", FACTORED)
    batches = list(input_fn())[:2]
    once = estimator(tmp_path / "once", "Adafactor", embeddings).train(lambda: batches * 2)
    twice = estimator(tmp_path / "twice", "Adafactor", embeddings)
    for _ in range(2):
        twice.train(lambda: batches)
    assert contents(twice)["optimizer.linear.a1.weight.col_var"].shape == (1, 2)
    assert_same(contents(twice), contents(once))


@pytest.mark.parametrize("optimizer", ["Adafactor", "torch's Adam", "Adam"])
def test_a_warm_start_copies_slots_of_rows_and_others(optimizer, tmp_path, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "Adafactor", FACTORED)
    batches = list(input_fn())[:2]
    old = estimator(tmp_path / "old", optimizer, embeddings).train(lambda: batches)
    new = torchest.Estimator(
        model_fn,
        tmp_path / "new",
        params={"layer": embeddings, "optimizer": OPTIMIZERS[optimizer]},
        warm_start_from=torchest.WarmStartSettings(str(tmp_path / "old"), copy_slots=True),
    )
    new.train(lambda: batches)
    assert_same(contents(new), contents(old.train(lambda: batches)))


def test_tables_without_slots_get_new_ones(tmp_path):
    def without_one(features, labels, mode, params):
        model = torchest.get_or_create("linear", separate)
        loss = (model.part("a1").weight[features["a1"]].squeeze(1) - labels).square().mean()
        optimizer = torchest.get_or_create(
            "optimizer", lambda: params["optimizer"](model.parameters())
        )
        return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)

    params = {"optimizer": OPTIMIZERS["Ftrl"]}
    torchest.Estimator(without_one, tmp_path, params=params).train(input_fn, steps=1)
    before = set(torchest.load_checkpoint(tmp_path).names())
    assert "optimizer.linear.b.weight.accumulator" not in before
    model = estimator(tmp_path, "Ftrl").train(input_fn, steps=1)
    accumulator = contents(model)["optimizer.linear.b.weight.accumulator"]
    assert accumulator.min() == pytest.approx(0.1)
    assert accumulator.max() > 0.1


@pytest.mark.parametrize("optimizer", ["Ftrl", "torch's Adam"])
def test_an_optimizer_of_the_same_layer_gets_its_state_dict_back(optimizer, tmp_path):
    model = estimator(tmp_path, optimizer).train(input_fn, steps=3)
    reader = torchest.load_checkpoint(tmp_path)
    again = layer()
    again.load_state_dict(reader.module("linear"))
    made = OPTIMIZERS[optimizer](again.parameters())
    made.load_state_dict(reader.module("optimizer"))
    batch = next(iter(input_fn()))
    for _ in range(2):
        made.zero_grad()
        (again(batch[0]).squeeze(1) - torch.as_tensor(batch[1])).square().mean().backward()
        if "torch" in optimizer:
            for parameter in again.parameters():
                torchest.optimizers.row_gradients.densify(parameter)
        made.step()
    model.train(lambda: [batch, batch])
    saved = contents(model)
    for name, value in again.state_dict().items():
        assert torch.equal(value, saved[f"linear.{name}"])


def test_a_hook_fetches_the_table_of_one_column(tmp_path):
    class Fetch(torchest.SessionRunHook):
        def before_run(self, run_context):
            return torchest.SessionRunArgs("linear.a10.weight")

        def after_run(self, run_context, run_values):
            self.table = run_values.results

    hook = Fetch()
    model = estimator(tmp_path, "Ftrl").train(input_fn, steps=2, hooks=[hook])
    assert hook.table.shape == (9, 1)
    assert np.array_equal(hook.table, model.get_variable_value("linear.a10.weight"))


def test_a_grown_vocabulary_keeps_the_rows_and_slots_of_its_words(tmp_path):
    words = {"small": ["x", "y"], "large": ["y", "z", "x"]}
    for name, listed in words.items():
        (tmp_path / name).write_text("\n".join(listed) + "\n")

    def make(size, model_dir, warm_start_from=None):
        listed = tmp_path / size
        made = [
            columns.categorical_column_with_vocabulary_file("word", str(listed)),
            columns.categorical_column_with_identity("other", 3),
        ]
        return torchest.LinearRegressor(
            made,
            model_dir=tmp_path / model_dir,
            optimizer="Adagrad",
            warm_start_from=warm_start_from,
        )

    features = {"word": np.array([b"x", b"y", b"y"]), "other": np.array([0, 1, 1])}
    old = make("small", "old").train(lambda: [(features, np.float32([1, 2, 3]))])
    info = torchest.VocabInfo(
        str(tmp_path / "large"), 3, 0, str(tmp_path / "small"), 2, torch.nn.init.ones_
    )
    settings = torchest.WarmStartSettings(
        old.model_dir, var_name_to_vocab_info={"linear.word.weight": info}, copy_slots=True
    )
    unused = {"word": np.array([b"?"]), "other": np.array([-1])}
    new = make("large", "new", settings).train(lambda: [(unused, np.float32([0]))])
    for name, fresh in (
        ("linear.word.weight", 1),
        ("optimizer.linear.word.weight.accumulator", 0.1),
    ):
        x, y = old.get_variable_value(name)[:, 0]
        after = new.get_variable_value(name)[:, 0]
        assert after[:1] == y
        assert after[2:] == x
        assert name.startswith("optimizer") or after[1] == fresh
    for name in ("linear.other.weight", "optimizer.linear.other.weight.accumulator"):
        assert np.array_equal(old.get_variable_value(name)[1:], new.get_variable_value(name)[1:])
