"""Tables that share one parameter: as separate tables in all but speed."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from torchest import columns
from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.optimizers import SGD, Adagrad, Adam, Ftrl, RMSProp, row_gradients
from torchest.optimizers.row_gradients import new_empty

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


def embeddings(dimension: int = 2, max_norm: float | None = None, keys=KEYS):
    made = [columns.categorical_column_with_identity(key, 6) for key in keys]
    return [columns.embedding_column(column, dimension, max_norm=max_norm) for column in made]


def layer(max_norm: float | None = None) -> columns.DenseFeatures:
    torch.manual_seed(7)
    return columns.DenseFeatures(embeddings(max_norm=max_norm))


def tables_of(model) -> dict[str, torch.Tensor]:
    """Copies of the tables by name."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_tables(one, other):
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def batch(raw, *, together: bool) -> Features:
    features = Features(raw)
    features.allows_stacking = together
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
    assert [name for name, _ in together[0].named_parameters()] == ["tables_2.weight"]
    assert_same(together, trained(OPTIMIZERS[name], together=False, batches=batches))


def test_all_tables_have_one_pending_gradient():
    model = layer()
    model(BATCHES[0]).sum().backward()
    (tables,) = model.parameters()
    assert tables.shape == (18, 2)
    assert len(row_gradients.pending(tables)) == 1
    # b has no id in row 1: its row 0 is touched with a gradient of 0, as TensorFlow does
    assert row_gradients.summed(tables).rows.tolist() == [1, 5, 6, 9, 14]


def test_new_tables_hold_what_initializers_draw_column_by_column():
    torch.manual_seed(7)
    drawn = [nn.init.trunc_normal_(torch.empty(6, 2), 0, 0.5, -1, 1) for _ in KEYS]
    torch.manual_seed(7)
    model = columns.DenseFeatures(
        [
            columns.embedding_column(
                each.categorical_column,
                2,
                initializer=lambda table: nn.init.trunc_normal_(table, 0, 0.5, -1, 1),
            )
            for each in embeddings()
        ]
    )
    assert list(model.state_dict()) == ["a.weight", "b.weight", "c.weight"]
    assert all(map(torch.equal, model.state_dict().values(), drawn))


def test_tables_of_several_widths_share_a_parameter_for_each_width():
    made = [*embeddings(2, keys="ab"), *embeddings(3, keys="cd"), *embeddings(5, keys="e")]
    model = columns.DenseFeatures(made)
    shapes = {name: tuple(each.shape) for name, each in model.named_parameters()}
    assert shapes == {"tables_2.weight": (12, 2), "tables_3.weight": (12, 3), "e.weight": (6, 5)}
    assert list(model.state_dict()) == [f"{key}.weight" for key in "abcde"]
    raw = {key: [1, 5] for key in "abcde"}
    expected = [model.state_dict()[f"{key}.weight"][[1, 5]] for key in "abcde"]
    assert torch.equal(model(raw), torch.cat(expected, 1))


def test_a_column_may_be_called_as_the_parameter_of_several_tables():
    model = columns.DenseFeatures(embeddings(keys=("tables_2", "tables_2_", "a")))
    assert [name for name, _ in model.named_parameters()] == ["tables_2__.weight"]
    assert set(model.state_dict()) == {"tables_2.weight", "tables_2_.weight", "a.weight"}
    saved = tables_of(model)
    model.load_state_dict({name: value + 1 for name, value in saved.items()})
    assert torch.equal(model.state_dict()["tables_2.weight"], saved["tables_2.weight"] + 1)


def test_columns_that_are_not_trainable_keep_their_tables_while_others_train():
    made = [columns.categorical_column_with_identity(key, 6) for key in "abcd"]
    model = columns.DenseFeatures(
        [columns.embedding_column(each, 2, trainable=each.key in "cd") for each in made]
    )
    trained = {name: each.requires_grad for name, each in model.named_parameters()}
    assert trained == {"frozen_tables_2.weight": False, "tables_2.weight": True}
    before = tables_of(model)
    optimizer = Adagrad(model.parameters(), lr=0.1)
    step(model, optimizer, {key: [1, 2] for key in "abcd"}, together=True)
    changed = {
        name[0] for name, table in before.items() if not torch.equal(table, tables_of(model)[name])
    }
    assert changed == {"c", "d"}


def test_tables_in_optimizers_of_their_own():
    actual = []
    for together in (True, False):
        model = layer()
        first = model.part("a")
        first.weight = nn.Parameter(first.weight.detach().clone())
        own = [first.weight]
        rest = [each for each in model.parameters() if each is not first.weight]
        optimizers = [Ftrl(own, lr=0.1), Adagrad(rest, lr=0.1)]
        before = tables_of(model)
        for raw in BATCHES:
            for optimizer in optimizers:
                optimizer.zero_grad()
            model(batch(raw, together=together)).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
        actual.append(tables_of(model))
        assert list(actual[-1]) == ["a.weight", "b.weight", "c.weight"]
        assert not any(torch.equal(before[name], actual[-1][name]) for name in before)
    assert_same_tables(*actual)


def test_a_table_with_a_parameter_of_its_own_is_frozen_and_thawed():
    actual = []
    for together in (True, False):
        model = layer()
        first = model.part("a")
        first.weight = nn.Parameter(first.weight.detach().clone())
        optimizer = Adagrad(model.parameters(), lr=0.1)
        for raw, trains in zip([*BATCHES, *BATCHES], [1, 1, 0, 0, 1, 1], strict=True):
            first.requires_grad_(bool(trains))
            before = first.weight.detach().clone()
            step(model, optimizer, raw, together=together)
            assert torch.equal(before, first.weight) is not bool(trains)
        actual.append(tables_of(model))
    assert_same_tables(*actual)


def test_a_layer_is_frozen_as_a_whole_but_none_of_the_tables_that_share_a_parameter():
    model = layer()
    with pytest.raises(
        ValueError, match=r"shares the parameter .* trainable=\.\.\., or give the table"
    ):
        model.part("a").requires_grad_(False)
    assert model.part("a").weight.requires_grad
    model.requires_grad_(False)
    model.part("a").requires_grad_(False)
    assert not model.part("a").weight.requires_grad


@pytest.mark.parametrize(
    "use",
    [
        lambda table: [each.requires_grad_(False) for each in table.parameters()],
        lambda table: Adagrad(table.parameters()),
        lambda table: torch.optim.Adam(table.parameters()),
        lambda table: nn.utils.parametrize.register_parametrization(table, "weight", nn.ReLU()),
        nn.utils.parametrizations.weight_norm,
    ],
)
def test_a_table_without_a_parameter_of_its_own_says_so_before_anything_changes(use):
    model = layer()
    with pytest.raises(
        ValueError, match=r"shares the parameter 'tables_2.weight' with .*: make its column"
    ):
        use(model.part("b"))
    assert [name for name, _ in model.named_parameters()] == ["tables_2.weight"]
    assert list(model.state_dict()) == ["a.weight", "b.weight", "c.weight"]
    model.part("b").weight = nn.Parameter(model.part("b").weight.detach().clone())
    use(model.part("b"))


def test_parameters_module_by_module_are_those_of_the_layer():
    model = layer()
    own = [each for module in model.modules() for each in module.parameters(recurse=False)]
    assert own == list(model.parameters())


def test_a_table_has_a_dense_gradient_too():
    actual = []
    for together in (True, False):
        model = layer()
        optimizer = Adagrad(model.parameters(), lr=0.1)
        for raw in BATCHES:
            optimizer.zero_grad()
            loss = model(batch(raw, together=together)).square().sum()
            (loss + model.part("a").weight.square().sum()).backward()
            optimizer.step()
        actual.append(tables_of(model))
    assert_same_tables(*actual)


def test_a_table_is_called_by_itself():
    model = layer()
    model(BATCHES[0]).sum().backward()
    second = model.part("b")
    second(Ids(torch.tensor([4, 5]))).sum().backward()
    (tables,) = model.parameters()
    gradient = row_gradients.summed(tables)
    assert gradient.rows.tolist() == [1, 5, 6, 9, 10, 11, 14]
    assert gradient.values[:, 0].tolist() == [1, 2, 1, 1, 1, 1, 3]


def test_an_id_beyond_a_table_does_not_read_the_next_one():
    with pytest.raises(IndexError):
        layer().part("a")(Ids(torch.tensor([6])))


@pytest.mark.parametrize(
    "separate",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 - made here
        lambda model: model.double().float(),
    ],
)
def test_a_copied_or_converted_model_trains_on_the_same(separate):
    actual = []
    for together in (True, False):
        model, _, _ = trained(OPTIMIZERS["Adagrad"], together=together)
        model = separate(model)
        optimizer = Adagrad(model.parameters(), lr=0.1)
        for raw in BATCHES:
            step(model, optimizer, raw, together=together)
        assert [each.shape for each in model.state_dict().values()] == [(6, 2)] * 3
        actual.append(tables_of(model))
    assert_same_tables(*actual)


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


def test_values_are_written_into_tables_and_read_from_them():
    model = layer()
    model(BATCHES[0])
    with torch.no_grad():
        for value, key in enumerate(KEYS):
            model.part(key).weight.fill_(value)
    assert model({"a": [1], "b": [2], "c": [3]}).tolist() == [[0, 0, 1, 1, 2, 2]]
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
    assert model({"a": [1], "b": [2], "c": [3]}).tolist() == [[1, 1, 2, 2, 3, 3]]


def test_a_state_with_a_table_too_few_or_of_another_shape_is_refused():
    state = layer().state_dict()
    state["b.weight"] = torch.zeros(7, 2)
    with pytest.raises(RuntimeError, match=r"size mismatch for b.weight"):
        layer().load_state_dict(state)
    del state["b.weight"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "b.weight"'):
        layer().load_state_dict(state)


def test_tensors_of_a_state_are_assigned_as_parameters():
    state = tables_of(layer())
    model = layer()
    model.load_state_dict({name: value * 2 for name, value in state.items()}, assign=True)
    assert_same_tables(tables_of(model), {name: value * 2 for name, value in state.items()})
    assert torch.equal(model(BATCHES[0])[:, :2], 2 * state["a.weight"][BATCHES[0]["a"]])
    assert [name for name, _ in model.named_parameters()] == ["tables_2.weight"]
    step(model, Adagrad(model.parameters(), lr=0.1), BATCHES[0], together=True)
    assert not torch.equal(model.part("a").weight, 2 * state["a.weight"])


@pytest.mark.parametrize("make", [lambda: layer().to("meta"), lambda: layer().double()])
def test_an_assigned_state_brings_its_dtype_and_device(make):
    model, state = make(), tables_of(layer())
    model.load_state_dict(state, assign=True)
    (tables,) = model.parameters()
    assert (tables.dtype, tables.device.type) == (torch.float32, "cpu")
    assert tables.requires_grad
    assert_same_tables(tables_of(model), state)


def test_rows_without_values_in_an_assigned_state_are_nan():
    model, state = layer().to("meta"), tables_of(layer())
    del state["b.weight"]
    model.load_state_dict(state, strict=False, assign=True)
    assert torch.equal(model.part("a").weight, state["a.weight"])
    assert model.part("b").weight.isnan().all()


def test_a_state_that_fails_to_load_leaves_tables_in_their_parameter():
    model = layer()

    def fail(*_):
        raise RuntimeError("no such file")

    handle = model.part("a").register_load_state_dict_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no such file"):
        model.load_state_dict(tables_of(model))
    handle.remove()
    step(model, Adagrad(model.parameters(), lr=0.1), BATCHES[0], together=True)
    assert not torch.equal(model.part("a").weight, layer().part("a").weight)


def test_a_parameter_is_exchanged():
    model = layer()
    model(BATCHES[0])
    model.part("b").weight = nn.Parameter(torch.ones(6, 2))
    assert model(BATCHES[0])[0, 2:4].tolist() == [1, 1]
    assert model.state_dict()["b.weight"].tolist() == [[1, 1]] * 6


def test_a_norm_is_kept():
    short = layer(max_norm=0.01)
    norms = torch.linalg.vector_norm(short(BATCHES[0]).reshape(3, 3, 2), dim=2)
    assert norms.max() < 0.0101


@pytest.mark.parametrize("calls_before", [0, 2])
def test_hooks_of_a_table_are_called_whenever_they_were_registered(calls_before):
    model = layer()
    for _ in range(calls_before):
        model(BATCHES[0])
    handle = model.part("b").register_forward_hook(lambda module, args, output: output * 0)
    assert model(BATCHES[0])[:, 2:4].abs().sum() == 0
    assert model(BATCHES[0])[:, :2].abs().sum() > 0
    handle.remove()
    assert model(BATCHES[0])[:, 2:4].abs().sum() > 0


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")  # ids have none
def test_hooks_of_gradients_of_a_table_are_called():
    model, seen = layer(), []
    model.part("b").register_full_backward_hook(lambda *call: seen.append(call[-1][0].tolist()))
    model(BATCHES[0]).sum().backward()
    assert seen == [[[1, 1]] * 3]
    (tables,) = model.parameters()
    assert row_gradients.summed(tables).rows.tolist() == [1, 5, 6, 9, 14]


@pytest.mark.parametrize("keys", [lambda model: dict(model.named_parameters()), tables_of])
def test_tables_are_exchanged_for_one_call(keys):
    model = layer()
    before = tables_of(model)
    expected = 3 * model(BATCHES[0])
    others = {name: 3 * value for name, value in keys(model).items()}
    assert torch.equal(torch.func.functional_call(model, others, (BATCHES[0],)), expected)
    assert_same_tables(tables_of(model), before)


def test_gradients_of_tables_that_are_exchanged_for_one_call():
    model = layer()

    def loss(parameters):
        return torch.func.functional_call(model, parameters, (BATCHES[0],)).square().sum()

    parameters = {name: each.detach() for name, each in model.named_parameters()}
    actual = torch.func.grad(loss)(parameters)["tables_2.weight"]
    model(BATCHES[0]).square().sum().backward()
    (tables,) = model.parameters()
    row_gradients.densify(tables)
    torch.testing.assert_close(actual, tables.grad)
    leaf = {name: each.clone().requires_grad_() for name, each in parameters.items()}
    (again,) = torch.autograd.grad(loss(leaf), list(leaf.values()))
    torch.testing.assert_close(again, tables.grad)


def test_shared_embeddings_are_looked_up_together():
    made = [columns.categorical_column_with_identity(key, 6) for key in KEYS]
    shared = columns.shared_embeddings(made, 2)
    actual = []
    for together in (True, False):
        torch.manual_seed(3)
        model = columns.DenseFeatures(shared)
        optimizer = Adagrad(model.parameters(), lr=0.1)
        for raw in BATCHES:
            step(model, optimizer, raw, together=together)
        actual.append(tables_of(model))
    assert_same_tables(*actual)


@pytest.mark.parametrize("others", [0, 1])
def test_columns_that_share_a_table_are_one_look_up_of_a_batch(others):
    made = [columns.categorical_column_with_identity(key, 6) for key in KEYS]
    alone = [columns.embedding_column(each, 2) for each in made[:others]]
    model = columns.DenseFeatures([*columns.shared_embeddings(made, 2), *alone])
    features = Features(BATCHES[0])
    model(features).sum().backward()
    used = [type(column).__name__ for column in features.usage.columns]
    assert used.count("StackedColumn") == used.count("RowOrderColumn") == 1
    (parameter,) = model.parameters()
    assert len(row_gradients.pending(parameter)) == 1


def test_a_step_on_large_tables_neither_reads_nor_makes_them_anew():
    made = [columns.categorical_column_with_identity(key, 1_000_000) for key in KEYS]
    model = columns.DenseFeatures([columns.embedding_column(column, 8) for column in made])
    optimizer = Adagrad(model.parameters())
    step(model, optimizer, BATCHES[0], together=True)
    with torch.profiler.profile(profile_memory=True) as profile:
        step(model, optimizer, BATCHES[0], together=True)
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    assert allocated < 100_000


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
    assert used.count("StackedColumn") == used.count("RowOrderColumn") == times
    one_by_one = batch({key: ["x", "y", "z"] for key in keys}, together=False)
    torch.testing.assert_close(wide(features), wide(one_by_one))
    assert torch.equal(deep(features), deep(one_by_one))
