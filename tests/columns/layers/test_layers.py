"""The layers over columns: names of parameters, order, sharing, loading, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from torchest import columns
from torchest.checkpoint.directory import Contents, write_checkpoint
from torchest.columns import DenseFeatures, LinearFeatures, SequenceFeatures
from torchest.columns.features import Features
from torchest.optimizers.row_gradients import summed


def identity(key: str, buckets: int = 4):
    return columns.categorical_column_with_identity(key, buckets)


def of_sequences(key: str, buckets: int = 4):
    return columns.sequence_categorical_column_with_identity(key, buckets)


def names(layer: nn.Module) -> list[str]:
    return list(layer.state_dict())


def counting(weight: torch.Tensor) -> torch.Tensor:
    return weight.copy_(torch.arange(weight.numel()).reshape(weight.shape))


def test_tables_are_called_by_their_categorical_columns():
    model = nn.Module()
    model.embeddings = DenseFeatures(
        [columns.embedding_column(identity(key), 2) for key in ("C2", "C1")]
        + [columns.numeric_column("age")]
    )
    assert names(model) == ["embeddings.C1.weight", "embeddings.C2.weight"]


@pytest.mark.parametrize(
    "key", ["type", "training", "keys", "a.b", "日本", "weight", "width", "name", "a b/c"]
)
@pytest.mark.parametrize("layer", [DenseFeatures, SequenceFeatures])
def test_any_name_is_allowed(layer, key):
    source = identity(key) if layer is DenseFeatures else of_sequences(key)
    made = layer([columns.embedding_column(source, 2)])
    assert names(made) == [f"{key}.weight"]
    again = layer([columns.embedding_column(source, 2)])
    again.load_state_dict(made.state_dict())
    given = {key: [[1, 2], [3]]}
    first, second = (torch.as_tensor(out(given)[0]) for out in (made, again))
    torch.testing.assert_close(first, second)


def test_outputs_and_names_do_not_depend_on_the_order_written():
    made = [
        columns.embedding_column(identity("b"), 2, initializer=counting),
        columns.numeric_column("B"),
        columns.bucketized_column(columns.numeric_column("a"), [0, 1]),
        columns.indicator_column(identity("c")),
    ]
    batch = {"b": [1, 2], "B": [0.5, 1.5], "a": [0.0, 2.0], "c": [3, -1]}
    first, second = DenseFeatures(made), DenseFeatures(made[::-1])
    assert first.output_widths == {"B": 1, "a_bucketized": 3, "b_embedding": 2, "c_indicator": 4}
    assert list(first.output_widths) == list(second.output_widths)
    expected = [[0.5, 0, 1, 0, 2, 3, 0, 0, 0, 1], [1.5, 0, 0, 1, 4, 5, 0, 0, 0, 0]]
    assert first.width == 10
    assert first(batch).tolist() == second(batch).tolist() == expected


def test_an_iterator_of_columns_will_do():
    assert DenseFeatures(iter([columns.numeric_column("x")])).width == 1
    assert DenseFeatures(columns.numeric_column("x")).width == 1


def test_shared_embeddings_have_one_table():
    made = columns.shared_embeddings([identity("b"), identity("a")], 2, initializer=counting)
    layer = DenseFeatures(made)
    assert names(layer) == ["a_b_shared_embedding.weight"]
    batch = {"a": [1, 3], "b": [3, 3]}
    assert layer(batch).tolist() == [[2, 3, 6, 7], [6, 7, 6, 7]]
    layer(batch).sum().backward()
    gradient = summed(next(layer.parameters()))
    assert gradient is not None
    assert gradient.rows.tolist() == [1, 3]
    assert gradient.values.tolist() == [[1, 1], [3, 3]]


def test_the_shared_table_is_called_as_the_user_says():
    made = columns.shared_embeddings(
        [identity("b"), identity("a")], 2, shared_embedding_collection_name="places"
    )
    assert names(DenseFeatures(made)) == ["places.weight"]
    assert names(DenseFeatures(made[:1])) == ["places.weight"]


def test_two_tables_of_one_name_are_refused():
    shared = columns.shared_embeddings(
        [identity("b"), identity("c")], 2, shared_embedding_collection_name="a"
    )
    with pytest.raises(ValueError, match=r"different tables of one name, 'a'"):
        DenseFeatures([columns.embedding_column(identity("a"), 2), *shared])


@pytest.mark.parametrize("layer", [DenseFeatures, SequenceFeatures])
def test_what_is_not_trainable_has_no_gradient(layer):
    source = identity if layer is DenseFeatures else of_sequences
    made = [
        columns.embedding_column(source("a"), 2),
        columns.embedding_column(source("b"), 2, trainable=False),
    ]
    for trainable, expected in ((True, [True, False]), (False, [False, False])):
        state = layer(made, trainable).state_dict(keep_vars=True)
        assert [table.requires_grad for table in state.values()] == expected


def test_a_table_is_taken_from_a_checkpoint(tmp_path):
    saved, name = torch.arange(8.0).reshape(4, 2), "dnn.embeddings.C1.weight"
    write_checkpoint(tmp_path, 7, lambda: Contents({name: saved}), keep=1)
    layer = DenseFeatures([from_checkpoint(tmp_path, name)])
    assert layer({"a": [3, 0]}).tolist() == [[6, 7], [0, 1]]


def test_a_checkpoint_without_the_tensor_is_refused(tmp_path):
    write_checkpoint(tmp_path, 7, lambda: Contents({"C1.weight": torch.zeros(4, 2)}), keep=1)
    with pytest.raises(ValueError, match=r"'C2.weight' is not .* Did you mean 'C1.weight'"):
        DenseFeatures([from_checkpoint(tmp_path, "C2.weight")])


def test_a_table_of_another_shape_is_refused(tmp_path):
    write_checkpoint(tmp_path, 7, lambda: Contents({"C1.weight": torch.zeros(4, 3)}), keep=1)
    with pytest.raises(ValueError, match=r"'a_embedding' has a table of shape \[4, 2\].*\[4, 3\]"):
        DenseFeatures([from_checkpoint(tmp_path, "C1.weight")])


def from_checkpoint(folder, name):
    return columns.embedding_column(
        identity("a"), 2, ckpt_to_load_from=str(folder), tensor_name_in_ckpt=name
    )


def test_columns_are_encoded_once_for_all_layers(monkeypatch):
    column = columns.categorical_column_with_hash_bucket("a", 10)
    encoded = []
    encode = type(column).encode
    monkeypatch.setattr(
        type(column), "encode", lambda self, batch: encoded.append(self) or encode(self, batch)
    )
    batch = Features({"a": ["x", "y"]})
    DenseFeatures([columns.embedding_column(column, 2), columns.indicator_column(column)])(batch)
    LinearFeatures([column])(batch)
    assert encoded == [column]


def test_a_linear_model_has_the_table_of_an_embedding():
    layer = LinearFeatures([columns.embedding_column(identity("a"), 2, initializer=counting)])
    assert names(layer) == ["bias", "a_embedding.weight", "a_embedding.table.weight"]
    with torch.no_grad():
        dict(layer.named_parameters())["a_embedding.weight"].copy_(torch.tensor([[1.0], [10.0]]))
    assert layer({"a": [2, -1]}).tolist() == [[54], [0]]


def test_sequences_step_by_step():
    made = [
        columns.sequence_numeric_column("x", shape=(2,), default_value=9.0),
        columns.embedding_column(of_sequences("a"), 1, initializer=counting),
    ]
    layer = SequenceFeatures(made)
    assert layer.width == 3
    assert layer.output_widths == {"a_embedding": 1, "x": 2}
    output, lengths = layer({"x": [[1, 2, 3, 4], [5, 6]], "a": np.array([[3, 2], [1, -1]])})
    assert output.tolist() == [[[3, 1, 2], [2, 3, 4]], [[1, 5, 6], [0, 9, 9]]]
    assert lengths.tolist() == [2, 1]


def test_lengths_that_differ_are_named():
    layer = SequenceFeatures(
        [columns.sequence_numeric_column("x"), columns.indicator_column(of_sequences("a"))]
    )
    message = r"'a_indicator' and 'x' have sequences of differing lengths, 1 and 2 in row 1"
    with pytest.raises(ValueError, match=message):
        layer({"x": [[1.0], [2.0, 3.0]], "a": [[1], [2]]})


WORD = r"cannot be used in a linear model: give dense and categorical"


@pytest.mark.parametrize(
    ("layer", "column", "message"),
    [
        (DenseFeatures, identity("a"), r"'a' \(Identity.*\) is not dense: give embedding"),
        (DenseFeatures, of_sequences("a"), r"'a' is a sequence column: give it to Sequence"),
        (DenseFeatures, columns.sequence_numeric_column("a"), r"'a' is a sequence column"),
        (
            SequenceFeatures,
            identity("a"),
            r"'a' \(Identity.*\) has no steps: give only sequence_numeric",
        ),
        (
            SequenceFeatures,
            columns.numeric_column("a"),
            r"'a' \(NumericColumn\) has no steps: give only",
        ),
        (SequenceFeatures, of_sequences("a"), r"'a' \(Sequence.*\) has no steps: give only"),
        (LinearFeatures, columns.shared_embeddings([identity("a")], 2)[0], WORD),
        (LinearFeatures, columns.sequence_numeric_column("a"), r"'a' is a sequence column"),
        (LinearFeatures, columns.indicator_column(of_sequences("a")), r"sequence column"),
        (DenseFeatures, "a", r"feature_columns has 'a' \(str\): every item must be a column"),
        (DenseFeatures, [], r"feature_columns is empty"),
    ],
)
def test_columns_of_another_kind_are_refused(layer, column, message):
    with pytest.raises(ValueError, match=message):
        layer(column if column == [] else [column])


def test_an_unknown_combiner_is_refused():
    with pytest.raises(
        ValueError, match=r"sparse_combiner='avg' is not known\. There are: 'mean', 'sqrtn'"
    ):
        LinearFeatures([identity("a")], sparse_combiner="avg")


@pytest.mark.parametrize(
    "change",
    [
        lambda part: prune.identity(part, "weight"),
        lambda part: parametrize.register_parametrization(part, "weight", nn.Identity()),
        parametrizations.weight_norm,
    ],
    ids=["pruned", "parametrized", "normalized"],
)
def test_weights_that_are_computed_from_others_are_read_and_trained(change):
    layer = LinearFeatures([columns.numeric_column(key) for key in ("age", "fare")], 2)
    with torch.no_grad():
        layer.part("age").weight.copy_(torch.tensor([[3.0, 4.0]]))
    change(layer.part("age"))
    features = {"age": torch.tensor([1.0, 2.0]), "fare": torch.tensor([1.0, 1.0])}
    outputs = layer(features)
    torch.testing.assert_close(outputs.detach(), torch.tensor([[3.0, 4.0], [6.0, 8.0]]))
    outputs.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.part("age").parameters())


def test_a_weight_that_is_pruned_is_computed_anew_in_every_step():
    layer = LinearFeatures([columns.numeric_column("age", shape=3)])
    with torch.no_grad():
        layer.part("age").weight.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
    prune.l1_unstructured(layer.part("age"), "weight", amount=1)
    features = {"age": torch.ones(2, 3)}
    for _ in range(2):
        layer.zero_grad()
        layer(features).sum().backward()
    assert layer.part("age").weight_orig.grad.tolist() == [[0.0], [2.0], [2.0]]
    with torch.no_grad():
        layer.part("age").weight_orig.fill_(7.0)
    assert layer(features).tolist() == [[14.0], [14.0]]


def test_hooks_of_a_numeric_column_are_called():
    layer = LinearFeatures([columns.numeric_column(key) for key in ("age", "fare")])
    outputs = []
    layer.part("age").register_forward_hook(lambda *call: outputs.append(call[-1].tolist()))
    layer({"age": torch.ones(2), "fare": torch.ones(2)})
    assert outputs == [[[0.0], [0.0]]]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")  # numbers have none
@pytest.mark.parametrize(
    "register", ["register_full_backward_hook", "register_full_backward_pre_hook"]
)
def test_hooks_of_gradients_of_a_numeric_column_are_called(register):
    layer = LinearFeatures([columns.numeric_column(key) for key in ("age", "fare")])
    gradients = []
    getattr(layer.part("age"), register)(lambda *call: gradients.append(call[-1][0].tolist()))
    layer({"age": torch.ones(2), "fare": torch.ones(2)}).sum().backward()
    assert gradients == [[[1.0], [1.0]]]


@pytest.mark.parametrize("together", [True, False])
def test_a_table_that_was_exchanged_is_as_wide_as_it_is(together):
    made = [columns.categorical_column_with_identity(key, 4) for key in "abc"]
    layer = DenseFeatures([columns.embedding_column(column, 2) for column in made])
    given = {"a": [1, 2], "b": [3, 0], "c": [2, 2]}
    layer(given)
    tables = [torch.nn.Parameter(torch.randn(4, 3)) for _ in made]
    for key, table in zip("abc", tables, strict=True):
        layer.part(key).weight = table
    batch = Features(given)
    batch.allows_stacking = together
    expected = [table[given[key]] for key, table in zip("abc", tables, strict=True)]
    assert torch.equal(layer(batch), torch.cat(expected, 1))


def test_what_a_hook_makes_of_a_table_is_not_cut_off():
    layer = DenseFeatures(
        [
            columns.embedding_column(columns.categorical_column_with_identity(key, 4), 2)
            for key in "ab"
        ]
    )
    layer.part("a").register_forward_hook(lambda module, given, actual: torch.cat([actual] * 2, 1))
    assert layer({"a": [1, 2], "b": [3, 0]}).shape == (2, 6)


@pytest.mark.parametrize("layer", [DenseFeatures, LinearFeatures])
def test_columns_may_be_called_as_attributes_of_the_layer(layer):
    made = [columns.categorical_column_with_identity("a", 4)]
    names = [name for name in vars(layer(_embedded(layer, made))) if name != "_modules"]
    made = [columns.categorical_column_with_identity(name, 4) for name in names]
    actual = layer(_embedded(layer, made))
    assert all(name in dict(actual.named_children()) for name in names)
    assert actual({name: [1, 2] for name in names}).shape[0] == 2


def _embedded(layer, made):
    if layer is LinearFeatures:
        return made
    return [columns.embedding_column(column, 2) for column in made]


def test_what_is_no_module_does_not_take_the_place_of_a_part():
    layer = DenseFeatures(
        [columns.embedding_column(columns.categorical_column_with_identity("town", 4), 2)]
    )
    for value in (3, torch.zeros(2)):
        with pytest.raises(TypeError, match=r"cannot assign .* as child module 'town'"):
            layer.town = value
