"""Tables that share storage: as separate tables in all but speed."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from torchest import columns
from torchest.columns.features import Features
from torchest.optimizers import SGD, Adagrad, Adam, Ftrl, RMSProp, row_gradients
from torchest.optimizers.shared_storage import new_empty, storage_of

KEYS = ("a", "b", "c")
BATCHES = [
    {"a": [1, 5, 5], "b": [0, -1, 3], "c": [2, 2, 2]},
    {"a": [0, 5, 1], "b": [4, 4, -1], "c": [1, 0, 5]},
    {"a": [3, 3, 3], "b": [-1, -1, -1], "c": [5, 5, 4]},
]
LISTED = {"a": [1, 5, 5], "b": [[0, 1], [-1, -1], [3, 3]], "c": [2, 2, 2]}
OPTIMIZERS = {
    "Ftrl": lambda parameters: Ftrl(parameters, lr=0.1, l2_shrinkage_regularization_strength=0.1),
    "Adagrad": lambda parameters: Adagrad(parameters, lr=0.1),
    "Adam": lambda parameters: Adam(parameters, lr=0.1),
    "lazy Adam": lambda parameters: Adam(parameters, lr=0.1, lazy=True),
    "RMSProp": lambda parameters: RMSProp(parameters, lr=0.1),
    "SGD": lambda parameters: SGD(parameters, lr=0.1, momentum=0.9),
    "torch's Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1),
}


def layer(max_norm: float | None = None) -> columns.DenseFeatures:
    torch.manual_seed(7)
    made = [columns.categorical_column_with_identity(key, 6) for key in KEYS]
    return columns.DenseFeatures(
        [columns.embedding_column(column, 2, max_norm=max_norm) for column in made]
    )


def batch(raw, *, together: bool) -> Features:
    features = Features(raw)
    features.joins = together
    return features


def step(model, optimizer, raw, *, together: bool) -> torch.Tensor:
    optimizer.zero_grad()
    output = model(batch(raw, together=together))
    output.square().sum().backward()
    if not hasattr(optimizer, "takes_row_gradients"):
        for parameter in model.parameters():
            row_gradients.densify(parameter)
    optimizer.step()
    return output.detach()


def trained(make_optimizer, *, together: bool, batches=BATCHES):
    model = layer()
    optimizer = make_optimizer(list(model.parameters()))
    outputs = [step(model, optimizer, raw, together=together) for raw in batches]
    return model, optimizer, outputs


def assert_same(one, other):
    (model, optimizer, outputs), (model2, optimizer2, outputs2) = one, other
    assert all(map(torch.equal, outputs, outputs2))
    state, state2 = model.state_dict(), model2.state_dict()
    assert list(state) == list(state2)
    assert all(torch.equal(state[name], state2[name]) for name in state)
    slots, slots2 = (each.state_dict()["state"] for each in (optimizer, optimizer2))
    assert slots.keys() == slots2.keys()
    for place in slots:
        for name, value in slots[place].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(slots2[place][name]))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("batches", [BATCHES, [BATCHES[0], LISTED, BATCHES[1], LISTED]])
def test_training_together_has_the_bits_of_training_one_by_one(name, batches):
    together = trained(OPTIMIZERS[name], together=True, batches=batches)
    assert storage_of(next(together[0].parameters())) is not None
    assert_same(together, trained(OPTIMIZERS[name], together=False, batches=batches))


def test_all_tables_have_one_pending_gradient():
    model = layer()
    model(BATCHES[0]).sum().backward()
    parameters = list(model.parameters())
    (holder,) = row_gradients.holders(parameters)
    assert holder.shape == (18, 2)
    assert len(row_gradients.pending(holder)) == 1
    # b has no id in row 1: its row 0 is touched with a gradient of 0, as TensorFlow does
    assert row_gradients.summed(holder).rows.tolist() == [1, 5, 6, 9, 14]


def test_the_gradient_of_one_table_is_asked_for():
    model = layer()
    model(BATCHES[0]).sum().backward()
    _, second, third = model.parameters()
    gradient = row_gradients.summed(second)
    assert gradient.rows.tolist() == [0, 3]
    assert gradient.values.tolist() == [[1, 1], [1, 1]]
    assert row_gradients.summed(third).values.tolist() == [[3, 3]]


def test_some_of_the_tables_are_cleared():
    model = layer()
    model(BATCHES[0]).sum().backward()
    first, second, third = model.parameters()
    row_gradients.clear([first, third])
    assert row_gradients.summed(first) is None
    assert row_gradients.summed(second).rows.tolist() == [0, 3]


def test_tables_in_two_optimizers():
    def make(parameters):
        return [Ftrl(parameters[:1], lr=0.1), Adagrad(parameters[1:], lr=0.1)]

    found = []
    for together in (True, False):
        model = layer()
        optimizers = make(list(model.parameters()))
        for raw in BATCHES:
            for optimizer in optimizers:
                optimizer.zero_grad()
            model(batch(raw, together=together)).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
        found.append(torch.cat(list(model.parameters())).detach())
    assert torch.equal(*found)


def test_a_table_is_frozen_and_thawed():
    found = []
    for together in (True, False):
        model = layer()
        optimizer = Adagrad(model.parameters(), lr=0.1)
        first = next(model.parameters())
        for raw, trains in zip([*BATCHES, *BATCHES], [1, 1, 0, 0, 1, 1], strict=True):
            first.requires_grad_(bool(trains))
            before = first.detach().clone()
            step(model, optimizer, raw, together=together)
            assert torch.equal(before, first) is not bool(trains)
        found.append(torch.cat(list(model.parameters())).detach())
    assert torch.equal(*found)


def test_a_table_has_a_dense_gradient_too():
    found = []
    for together in (True, False):
        model = layer()
        optimizer = Adagrad(model.parameters(), lr=0.1)
        for raw in BATCHES:
            optimizer.zero_grad()
            loss = model(batch(raw, together=together)).square().sum()
            (loss + next(model.parameters()).square().sum()).backward()
            optimizer.step()
        found.append(torch.cat(list(model.parameters())).detach())
    assert torch.equal(*found)


def test_a_table_is_looked_up_alone():
    model = layer()
    model(BATCHES[0]).sum().backward()
    first = next(model.parameters())
    row_gradients.look_up(first, torch.tensor([4, 5])).sum().backward()
    assert row_gradients.summed(first).rows.tolist() == [1, 4, 5]
    assert row_gradients.summed(first).values.tolist() == [[1, 1], [1, 1], [3, 3]]


def test_a_batch_that_uses_one_table_only_leaves_the_others_as_they_are():
    model, optimizer, _ = trained(OPTIMIZERS["Adam"], together=True)
    optimizer.zero_grad()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    row_gradients.look_up(next(model.parameters()), torch.tensor([4])).sum().backward()
    optimizer.step()
    changed = [
        not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
    ]
    assert changed == [True, False, False]


@pytest.mark.parametrize(
    "separate",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 - made here
        lambda model: model.double().float(),
    ],
)
def test_a_model_whose_tables_lie_apart_again_goes_on_the_same(separate):
    found = []
    for together in (True, False):
        model, _, _ = trained(OPTIMIZERS["Adagrad"], together=together)
        model = separate(model)
        optimizer = Adagrad(model.parameters(), lr=0.1)
        for raw in BATCHES:
            step(model, optimizer, raw, together=together)
        assert [parameter.shape for parameter in model.parameters()] == [(6, 2)] * 3
        found.append(torch.cat(list(model.parameters())).detach())
    assert torch.equal(*found)


def test_pickles_hold_each_table_once():
    columns_ = [columns.categorical_column_with_identity(f"c{place}", 1000) for place in range(10)]
    model = columns.LinearFeatures(columns_)
    model({f"c{place}": [1] for place in range(10)})
    assert len(pickle.dumps(model)) < 2 * 10 * 1000 * 4


def test_an_optimizer_is_restored():
    model, optimizer, _ = trained(OPTIMIZERS["Ftrl"], together=True)
    restored = OPTIMIZERS["Ftrl"](model.parameters())
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    other, one_by_one, _ = trained(OPTIMIZERS["Ftrl"], together=False)
    for raw in BATCHES:
        step(model, restored, raw, together=True)
        step(other, one_by_one, raw, together=False)
    assert_same((model, restored, []), (other, one_by_one, []))


def test_values_are_written_into_the_parameters_and_read_from_them():
    model = layer()
    model(BATCHES[0])
    with torch.no_grad():
        for value, parameter in enumerate(model.parameters()):
            parameter.fill_(value)
    assert model({"a": [1], "b": [2], "c": [3]}).tolist() == [[0, 0, 1, 1, 2, 2]]
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
    assert model({"a": [1], "b": [2], "c": [3]}).tolist() == [[1, 1, 2, 2, 3, 3]]


def test_a_parameter_is_exchanged():
    model = layer()
    model(BATCHES[0])
    model.part("b").weight = nn.Parameter(torch.ones(6, 2))
    assert model(BATCHES[0])[0, 2:4].tolist() == [1, 1]


def test_a_norm_and_a_hook_are_kept():
    short = layer(max_norm=0.01)
    norms = torch.linalg.vector_norm(short(BATCHES[0]).reshape(3, 3, 2), dim=2)
    assert norms.max() < 0.0101
    model = layer()
    model.part("b").register_forward_hook(lambda module, args, output: output * 0)
    assert model(BATCHES[0])[:, 2:4].abs().sum() == 0
    assert model(BATCHES[0])[:, :2].abs().sum() > 0


def test_shared_embeddings_are_looked_up_together():
    made = [columns.categorical_column_with_identity(key, 6) for key in KEYS]
    shared = columns.shared_embeddings(made, 2)
    found = []
    for together in (True, False):
        torch.manual_seed(3)
        model = columns.DenseFeatures(shared)
        optimizer = Adagrad(model.parameters(), lr=0.1)
        for raw in BATCHES:
            step(model, optimizer, raw, together=together)
        found.append(torch.cat(list(model.parameters())).detach())
    assert torch.equal(*found)


def test_a_step_on_large_tables_neither_reads_nor_makes_them_anew():
    made = [columns.categorical_column_with_identity(key, 1_000_000) for key in KEYS]
    model = columns.DenseFeatures([columns.embedding_column(column, 8) for column in made])
    optimizer = Adagrad(model.parameters())
    step(model, optimizer, BATCHES[0], together=True)
    with torch.profiler.profile(profile_memory=True) as profile:
        step(model, optimizer, BATCHES[0], together=True)
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    assert allocated < 100_000


def test_the_parameters_of_a_model_that_is_gone_do_not_keep_its_storage():
    model = layer()
    model(BATCHES[0])
    parameter = next(model.parameters())
    del model
    assert storage_of(parameter) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("rows", [3, 300_000])
def test_new_memory_begins_at_a_cache_line(dtype, rows):
    made = new_empty(torch.empty(0, dtype=dtype), [rows, 16])
    assert made.shape == (rows, 16)
    assert made.dtype == dtype
    assert made.is_contiguous()
    assert made.data_ptr() % 64 == 0
    assert made.fill_(2).double().mean() == 2


@pytest.mark.parametrize(("dimensions", "times"), [((2, 2, 2, 2), 1), ((2, 2, 2, 3), 2)])
def test_a_wide_and_a_deep_part_of_the_same_columns_have_a_batch_encoded_once(dimensions, times):
    keys = ("town", "town_code", "a1", "a10")  # "a10_embedding" comes before "a1_embedding"
    made = [columns.categorical_column_with_hash_bucket(key, 6) for key in keys]
    wide = columns.LinearFeatures(made)
    deep = columns.DenseFeatures(map(columns.embedding_column, made, dimensions))
    for parameter in wide.parameters():
        nn.init.normal_(parameter)
    features = Features({key: ["x", "y", "z"] for key in keys})
    (wide(features) + deep(features).sum(1, keepdim=True)).sum().backward()
    used = [type(column).__name__ for column in features.usage.columns]
    assert used.count("JointColumn") == used.count("RowOrderColumn") == times
    one_by_one = batch({key: ["x", "y", "z"] for key in keys}, together=False)
    torch.testing.assert_close(wide(features), wide(one_by_one))
    assert torch.equal(deep(features), deep(one_by_one))
