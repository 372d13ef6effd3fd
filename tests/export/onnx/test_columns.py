"""The nodes of every column make of raw features what the column makes of them in Python."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pyarrow as pa
import pytest
import torch

import torchest
from tests.catalogue import test_all_columns as catalogue
from torchest import columns as fc
from torchest.columns.base import CategoricalColumn, FeatureColumn
from torchest.columns.features import Features
from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.linear import LinearFeatures
from torchest.columns.layers.sequence import SequenceFeatures
from torchest.columns.model_inputs import IdsInput, NumbersInput
from torchest.columns.raw_features import RawFeature
from torchest.export.encoded import model_inputs
from torchest.export.forward import Forward
from torchest.export.onnx.graph import ColumnGraph
from torchest.export.onnx.model import onnx_model
from torchest.export.onnx.nodes import IR_VERSION, OPSETS


class InOnnx:
    """Columns as a model of ONNX."""

    def __init__(self, columns: list[Any], example: dict[str, Any]) -> None:
        features = Features(example)
        keys = dict.fromkeys(key for column in columns for key in column.feature_keys)
        self.raw = {key: RawFeature.of(features, key) for key in keys}
        self.inputs = model_inputs(columns, [], self.raw)
        self.tensors = [tensor for given in self.inputs for tensor in given.tensors]
        graph = ColumnGraph(self.raw)
        encoded = [value for each in self.inputs for value in each.onnx_tensors(graph)]
        values = [graph.op("Identity", value) for value in encoded]
        refused = graph.refused()
        graph.finish()
        if refused is not None:
            values.append(graph.op("Identity", refused))
        whole = ir.Graph(
            list(graph.inputs.values()),
            values,
            nodes=graph.list,
            initializers=graph.initializers,
            opset_imports=OPSETS,
            name="columns",
        )
        whole.sort()
        self.names = [value.name for value in values]
        model = ir.Model(whole, ir_version=IR_VERSION)
        self.session = session(model)

    def __call__(self, features: dict[str, Any]) -> list[np.ndarray]:
        return self.session.run(self.names, feed(features, self.raw))

    def expected(self, features: dict[str, Any]) -> list[np.ndarray]:
        batch = Features(features)
        return [tensor.detach().numpy() for given in self.inputs for tensor in given.take(batch)]


def session(model: ir.Model) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)


def feed(features: dict[str, Any], raw: dict[str, RawFeature]) -> dict[str, np.ndarray]:
    """Features as onnxruntime takes them: lists filled up to matrices."""
    return {key: _filled_up(features[key], feature) for key, feature in raw.items()}


def _filled_up(value: Any, feature: RawFeature) -> np.ndarray:
    fill = "" if feature.is_text else float("nan") if feature.dtype.is_floating_point else -1
    dtype = object if feature.is_text else torch.empty(0, dtype=feature.dtype).numpy().dtype
    if not feature.ragged:
        return np.asarray(value, dtype)
    rows = value.to_pylist() if isinstance(value, pa.Array) else list(value)
    matrix = np.full((len(rows), max(map(len, rows), default=0)), fill, dtype)
    for place, row in enumerate(rows):
        matrix[place, : len(row)] = row
    return matrix


def ids_by_row(ids: np.ndarray) -> list[list[int]]:
    return [[id_ for id_ in np.atleast_1d(row).tolist() if id_ >= 0] for row in ids]


# A list that ends with an empty string cannot be told from one that was filled up; where this matters,
# in a key of a cross and beside weights, the catalogue's row with ["z", ""] is left out.
ROWS = {name: list(range(8)) for name in catalogue.CASES}
for _name in ("cross of several values", "weighted", "indicator of weights"):
    ROWS[_name].remove(4)


def used_of(column: Any) -> Any:
    """The column whose encoding a model reads: an embedding reads that of its ids."""
    return (
        column
        if isinstance(column, CategoricalColumn)
        else getattr(column, "categorical_column", column)
    )


@pytest.mark.parametrize("name", catalogue.CASES)
def test_every_column_is_encoded_as_in_python(name):
    column = used_of(catalogue.CASES[name].make())
    in_onnx = InOnnx([column], catalogue.batch(ROWS[name]))
    for count in (0, 1, 2, 8):
        features = catalogue.batch(ROWS[name][:count])
        actual = in_onnx(features)
        assert_equal(in_onnx, actual, in_onnx.expected(features))
        assert not np.any(actual[len(in_onnx.tensors) :])  # no row is refused


def assert_equal(in_onnx: InOnnx, actual: list[np.ndarray], expected: list[np.ndarray]) -> None:
    if not isinstance(in_onnx.inputs[0], IdsInput):
        for value, wanted in zip(actual, expected, strict=False):
            np.testing.assert_allclose(value, wanted, rtol=1e-6)
        return
    assert by_row(actual) == by_row(expected)


def by_row(given: list[np.ndarray]) -> list[Any]:
    """The ids of each row, with their weights if they have any."""
    ids = given[0]
    weighted = len(given) > 1 and given[1].dtype == np.float32
    weights = given[1] if weighted else np.ones(ids.shape)
    return [
        [
            (id_, weight)
            for id_, weight in zip(np.atleast_1d(row), np.atleast_1d(of_row), strict=True)
            if id_ >= 0
        ]
        for row, of_row in zip(ids, weights, strict=True)
    ]


def test_all_columns_at_once():
    """Hashes of all columns are made together, and shared."""
    columns = {used_of(case.make()) for case in catalogue.CASES.values()}
    rows = ROWS["cross of several values"]
    in_onnx = InOnnx(list(columns), catalogue.batch(rows))
    for part in ([], [0], rows):
        features = catalogue.batch(part)
        actual = in_onnx(features)
        expected = in_onnx.expected(features)
        at = 0
        for given in in_onnx.inputs:
            size = len(given.tensors)
            ours, theirs = actual[at : at + size], expected[at : at + size]
            at += size
            if isinstance(given, IdsInput):
                assert by_row(ours) == by_row(theirs), given.name
            elif isinstance(given, NumbersInput):
                np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
            else:  # sequences of all columns are filled up to the longest of them
                assert ours[1].tolist() == theirs[1].tolist(), given.name
                np.testing.assert_array_equal(ours[0][:, : theirs[0].shape[1]], theirs[0])


def lists(kind: Any, seed: int = 0, rows: int = 30) -> Any:
    random = np.random.default_rng(seed)
    cells = {
        str: ["x", "y", "zz", "Köln", "unknown", "w" * 70],
        int: [0, 1, 2, 7, 2**53 + 1, -5],
        float: [0.5, -1.0, 2.0, 0.0],
    }
    counts = np.random.default_rng(1).integers(0, 4, rows)  # the same of all features
    type_ = {str: pa.string(), int: pa.int64(), float: pa.float32()}[kind]
    return pa.array(
        [random.choice(cells[kind], count).tolist() for count in counts], pa.list_(type_)
    )


def words(key: str = "x", **more: Any) -> FeatureColumn:
    return fc.categorical_column_with_vocabulary_list(key, ["x", "y", "Köln"], **more)


def identity(key: str = "x", size: int = 8) -> FeatureColumn:
    return fc.categorical_column_with_identity(key, size, default_value=0)


MATRIX = np.array([["x", ""], ["", "y"], ["Köln", "x"]], object)
FORMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "a matrix of strings": (words, {"x": MATRIX}),
    "a column of strings": (words, {"x": MATRIX[:, :1]}),
    "a matrix of strings in a cross": (
        lambda: fc.crossed_column(["x", "y"], 50), {"x": MATRIX, "y": np.array([1, -1, 7])}
    ),
    "a column of integers in a cross": (
        lambda: fc.crossed_column(["x", identity("y")], 50),
        {"x": np.array([[1], [-1], [2**53 + 1]]), "y": np.array([1, -1, 9])},
    ),
    "lists in a cross": (
        lambda: fc.crossed_column(["a", "b", words("c")], 1000),
        {"a": lists(str), "b": lists(int, 2), "c": lists(str, 3)},
    ),
    "lists in a cross whose values before the last are empty": (
        lambda: fc.crossed_column(["a", "b"], 1000),
        {
            "a": pa.array([["", "x"], ["y", "", "x"], []], pa.list_(pa.string())),
            "b": pa.array([[-1, 3], [5], [-1, -1, 0]], pa.list_(pa.int64())),
        },
    ),
    "lists and single values in a cross": (
        lambda: fc.crossed_column([words("c"), "a", "b"], 1000, hash_key=-3),
        {"a": np.arange(30) - 3, "b": lists(int, 2), "c": np.array(["x", "", "?"] * 10, object)},
    ),
    "a vector of buckets in a cross": (
        lambda: fc.crossed_column(
            [fc.bucketized_column(fc.numeric_column("x", 2), [0.0, 1.0]), "y"], 1000
        ),
        {"x": np.array([[0.0, 2.0], [-1.0, 1.0]], np.float32), "y": np.array(["a", "b"])},
    ),
    "a cross of one value each, some missing": (
        lambda: fc.crossed_column([words(), identity("y")], 100),
        {"x": np.array(["x", "", "?", "y"], object), "y": np.array([-1, 3, 4, 100])},
    ),
    "weighted lists": (
        lambda: fc.weighted_categorical_column(identity(), "w"), {"x": lists(int), "w": lists(float, 5)}
    ),
    "one weighted value": (
        lambda: fc.weighted_categorical_column(words(), "w"),
        {"x": np.array(["x", "", "y"], object), "w": np.array([0.5, np.nan, -1.0], np.float32)},
    ),
    "a weighted matrix with a column of weights": (
        lambda: fc.weighted_categorical_column(words(), "w"),
        {"x": MATRIX[:, :1], "w": np.array([[1.0], [2.0], [0.0]])},
    ),
    "unknown words of lists in buckets": (lambda: words(num_oov_buckets=7), {"x": lists(str)}),
    "integers as words": (
        lambda: fc.categorical_column_with_vocabulary_list("x", ["7", "0", "-5"], default_value=2),
        {"x": lists(int)},
    ),
    "integers as text to be hashed": (
        lambda: fc.categorical_column_with_hash_bucket("x", 1000),
        {"x": np.array([0, -1, -2, 2**63 - 1, -(2**63), 2**53 + 1])},
    ),
    "integers of 8 bits": (identity, {"x": np.array([1, 7, -1, -128], np.int8)}),
    "unsigned integers": (identity, {"x": np.array([1, 7, 255], np.uint8)}),
    "booleans": (identity, {"x": np.array([True, False])}),
    "floats that are whole": (identity, {"x": np.array([1.0, np.nan, 7.0], np.float64)}),
    "words that are bytes": (
        lambda: fc.categorical_column_with_vocabulary_list("x", [b"x", b"\xff", b"y"]),
        {"x": np.array(["y", "x", "z"], object)},
    ),
    "a vocabulary with the empty string": (
        lambda: fc.categorical_column_with_vocabulary_list("x", ["", "x"]),
        {"x": np.array(["", "x"], object)},
    ),
    "integers as numbers": (lambda: fc.numeric_column("x"), {"x": np.array([1, 2**40, -3])}),
    "numbers of two dimensions": (
        lambda: fc.numeric_column("x", (2, 2), normalizer_fn=lambda x: x.transpose(1, 2) * 2),
        {"x": np.arange(12.0).reshape(3, 2, 2)},
    ),
    "numbers of two dimensions, flat": (
        lambda: fc.numeric_column("x", (2, 2), default_value=[[1.0, 2.0], [3.0, 4.0]]),
        {"x": np.array([[np.nan, 1, 2, np.nan], [1, 2, 3, 4]], np.float32)},
    ),
    "a module as normalizer_fn": (
        lambda: fc.numeric_column("x", 2, normalizer_fn=torch.nn.LayerNorm(2)),
        {"x": np.array([[1.0, 2.0], [5.0, -3.0]], np.float32)},
    ),
    "buckets of a normalized number that is not one": (
        lambda: fc.bucketized_column(fc.numeric_column("x", normalizer_fn=torch.log), [0.0, 1.0]),
        {"x": np.array([1.0, -1.0, 2.718282, 0.0, 100.0], np.float32)},
    ),
    "steps of two numbers, normalized": (
        lambda: fc.sequence_numeric_column("x", 2, default_value=9.0, normalizer_fn=lambda x: x + 1),
        {"x": lists(float)},
    ),
    "steps in a matrix": (
        lambda: fc.sequence_numeric_column("x"),
        {"x": np.array([[1.0, 2.0, np.nan], [np.nan] * 3, [1.0, 2.0, 3.0]], np.float32)},
    ),
    "steps in a matrix that is wider than all rows": (
        lambda: fc.sequence_numeric_column("x", 2),
        {"x": np.array([[np.nan] * 7, [1.0, 2.0, 3.0, *[np.nan] * 4]], np.float32)},
    ),
    "ids in a matrix that is wider than all rows": (
        lambda: fc.sequence_categorical_column_with_identity("x", 9),
        {"x": np.array([[-1, -1, -1, -1], [3, -1, 4, -1]])},
    ),
    "ids of steps with holes": (
        lambda: fc.sequence_categorical_column_with_hash_bucket("x", 50),
        {"x": np.array([["a", "", "b", ""], ["", "", "", ""], ["", "", "", "c"]], object)},
    ),
    "one step a row": (
        lambda: fc.sequence_categorical_column_with_identity("x", 9), {"x": np.array([3, -1, 4])}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_features_is_encoded_as_in_python(name):
    make, features = FORMS[name]
    in_onnx = InOnnx([make()], features)
    for rows in (slice(0, 0), slice(0, 1), slice(None)):
        part = {key: value[rows] for key, value in features.items()}
        actual = in_onnx(part)
        assert_equal(in_onnx, actual, in_onnx.expected(part))
        assert not np.any(actual[len(in_onnx.tensors) :])


LAYERS = {
    "dense": (DenseFeatures, catalogue.DENSE),
    "linear": (LinearFeatures, [name for name in catalogue.LINEAR if name != "cross of several values"]),
    "sequence": (
        SequenceFeatures,
        ["sequence numeric", "indicator of a sequence", "embedding of a sequence"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_model_of_all_columns_answers_as_in_python(name):
    kind, names = LAYERS[name]

    def model_fn(features, labels, mode):
        layer = torchest.get_or_create("layer", lambda: catalogue.layer_of(kind, names))
        output = layer(features)
        answers = (
            {"output": output[0], "lengths": output[1]}
            if name == "sequence"
            else {"output": output}
        )
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions=answers)
        loss = answers["output"].square().sum()
        optimizer = torchest.get_or_create("sgd", lambda: torch.optim.SGD(layer.parameters(), 1e-4))
        return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)

    rows = ROWS["weighted"]
    whole = catalogue.batch(rows)
    estimator = torchest.Estimator(model_fn).train(lambda: (whole, None), steps=2)
    forward = forward_of(estimator, catalogue.batch([0, 1]))
    ran = session(onnx_model(forward))
    for count in (0, 1, 2, 8):
        features = catalogue.batch(rows[:count])
        (expected,) = estimator.predict(lambda: [features], yield_single_examples=False)  # noqa: B023
        actual = ran.run(list(expected), feed(features, forward.raw))
        for value, wanted in zip(actual, expected.values(), strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)


def forward_of(estimator: torchest.Estimator, features: dict[str, Any]) -> Forward:
    next(estimator.predict(lambda: [features], yield_single_examples=False))
    model, _ = estimator._model_cache._kept
    return Forward(model, features)


def test_weighted_embeddings():
    """Weights that are not positive count in sums only."""
    ids = fc.weighted_categorical_column(fc.categorical_column_with_identity("ids", 5), "weights")
    ways = {
        f"{combiner} {max_norm}": fc.embedding_column(ids, 3, combiner, max_norm=max_norm)
        for combiner in ("sum", "mean", "sqrtn")
        for max_norm in (None, 0.5)
    }

    def model_fn(features, labels, mode):
        answers = {
            way: torchest.get_or_create(way, lambda column=column: DenseFeatures([column]))(
                features
            )
            for way, column in ways.items()
        }
        return torchest.EstimatorSpec(mode, predictions=answers)

    features = {
        "ids": pa.array([[0, 1, 4], [], [2], [3, 3], [1, 0]], pa.list_(pa.int64())),
        "weights": pa.array(
            [[1.0, -2.0, 0.5], [], [0.0], [2.0, 1.0], [-1.0, -1.0]], pa.list_(pa.float32())
        ),
    }
    estimator = torchest.Estimator(model_fn)
    forward = forward_of(estimator, features)
    (expected,) = estimator.predict(lambda: [features], yield_single_examples=False)
    actual = session(onnx_model(forward)).run(list(ways), feed(features, forward.raw))
    for way, value in zip(ways, actual, strict=True):
        np.testing.assert_allclose(value, expected[way], rtol=1e-5, atol=1e-7, err_msg=way)


# ---- what Python refuses

REFUSED = {
    "an id out of range": (lambda: fc.categorical_column_with_identity("x", 3), np.array([1, 7, -2, -1]), [1, 2]),
    "a missing number": (lambda: fc.numeric_column("x"), np.array([1, np.nan, np.inf, 2], np.float32), [1]),
    "a fraction for an id": (
        lambda: fc.categorical_column_with_hash_bucket("x", 3, torch.int64),
        np.array([1.0, 0.5, np.nan, 2.0**25], np.float32), [1, 3],
    ),
    "a missing number to be put into a bucket": (
        lambda: fc.bucketized_column(fc.numeric_column("x"), [1.0]), np.array([1, np.nan, 0, 2], np.float32), [1]
    ),
    "a missing number within a sequence": (
        lambda: fc.sequence_numeric_column("x"),
        pa.array([[1.0], [float("nan"), 2.0], [3.0, float("nan")], []], pa.list_(pa.float32())), [1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_python_refuses_are_marked_and_the_others_are_as_in_python(name):
    make, values, refused = REFUSED[name]
    column = make()
    features = {"x": values}
    good = [row for row in range(4) if row not in refused]
    good_features = {"x": values.take(good)}
    in_onnx = InOnnx([column], good_features)
    actual = in_onnx(features)
    assert np.flatnonzero(actual[-1]).tolist() == refused
    with pytest.raises(ValueError, match="'x"):
        in_onnx.expected(features)
    expected = in_onnx.expected(good_features)
    for value, wanted in zip(actual, expected, strict=False):
        np.testing.assert_array_equal(
            value[good][:, : wanted.shape[1]] if wanted.ndim > 1 else value[good], wanted
        )


def test_an_answer_of_a_refused_row_is_nothing_and_the_others_stay():
    estimator = torchest.LinearClassifier(
        [fc.numeric_column("x"), fc.categorical_column_with_identity("id", 3)],
        label_vocabulary=["no", "yes"],
    )
    features = {"x": np.array([1.0, 2.0], np.float32), "id": np.array([0, 1])}
    estimator.train(lambda: (features, ["no", "yes"]), steps=2)
    forward = forward_of(estimator, features)
    ran = session(onnx_model(forward))
    names = [output.name for output in ran.get_outputs()]
    wrong = {"x": np.array([1.0, np.nan, 2.0], np.float32), "id": np.array([3, 0, 1])}
    actual = dict(zip(names, ran.run(None, wrong), strict=True))
    (expected,) = ran.run(["logits"], {key: value[2:] for key, value in wrong.items()})
    assert np.isnan(actual["logits"][:2]).all()
    assert actual["logits"][2] == expected
    assert actual["class_ids"].tolist()[:2] == [[-1], [-1]]
    assert actual["classes"].tolist() == [[""], [""], ["yes"]]
    assert np.isnan(actual["probabilities"][:2]).all()


# ---- what cannot be exported


@dataclasses.dataclass(frozen=True, eq=False)
class Plain(fc.FeatureColumn):
    """What every column of the user's own below has."""

    key: str

    @property
    def name(self):
        return self.key

    @property
    def feature_keys(self):
        return (self.key,)

    def encode(self, features):
        return features[self.key].reshape(-1, 1).float()


@dataclasses.dataclass(frozen=True, eq=False)
class Dense(Plain, fc.DenseColumn):
    width = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Modulo(fc.CategoricalColumn):
    """The remainder of an integer; made of public names only."""

    key: str
    num_buckets: int = 3

    name = property(lambda self: f"{self.key}_modulo")
    feature_keys = property(lambda self: (self.key,))

    def look_up(self, features):
        raise AssertionError("encode does all")

    def encode(self, features):
        return fc.Ids(features[self.key] % self.num_buckets, None, None)


class ModuloInOnnx(Modulo):
    def onnx_ids(self, graph):
        return graph.op("Mod", graph.integers_of(self.key), graph.constant(self.num_buckets))


class WeightedModulo(ModuloInOnnx):
    is_weighted = True


REFUSED_COLUMNS = {
    "a column of neither kind": (
        Plain("x"),
        r"Column 'x' \(Plain\) cannot be exported: Plain is neither a DenseColumn nor a CategoricalColumn\.",
    ),
    "numbers": (Dense("x"), r"Column 'x' \(Dense\) has no ONNX form: define Dense\.onnx_numbers\(graph\), or export"),
    "ids": (
        Modulo("x"), r"Column 'x_modulo' \(Modulo\) has no ONNX form: define Modulo\.onnx_ids\(graph\), or export"
    ),
    "weights": (
        WeightedModulo("x"), r"\(WeightedModulo\) has no ONNX form: define WeightedModulo\.onnx_weights\(graph, ids\)"
    ),
    "ids in a cross": (fc.crossed_column([Modulo("x"), "x"], 10), r"Column 'x_modulo' \(Modulo\) has no ONNX form"),
    "weighted ids": (fc.weighted_categorical_column(Modulo("x"), "x"), r"Column 'x_modulo' \(Modulo\) has no ONNX"),
    "an embedding of ids": (fc.embedding_column(Modulo("x"), 2), r"Column 'x_modulo' \(Modulo\) has no ONNX form"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_COLUMNS)
def test_a_column_without_an_onnx_form_is_named_with_what_it_lacks(name):
    column, message = REFUSED_COLUMNS[name]
    with pytest.raises(ValueError, match=message):
        InOnnx([column], {"x": np.array([1, 2])})


def test_a_column_of_the_users_own_has_the_onnx_form_that_it_defines():
    features = {"x": np.array([1, 5, 9])}
    for column in (ModuloInOnnx("x"), fc.indicator_column(ModuloInOnnx("x"))):
        in_onnx = InOnnx([column], features)
        assert in_onnx(features)[0].tolist() == [1, 2, 0]


def test_lists_of_integers_as_numbers_of_steps_are_named():
    column = fc.sequence_numeric_column("x")
    with pytest.raises(ValueError, match="Column 'x' reads lists of integers"):
        InOnnx([column], {"x": [[1], [2, 3]]})


def test_text_that_model_fn_reads_itself_has_no_tensors():
    raw = {"x": RawFeature("x", "string"), "y": RawFeature("y", torch.float32)}
    assert [each.source for each in model_inputs([], ["x", "y"], raw)] == ["y"]


def test_a_function_of_numbers_that_cannot_be_traced_is_named():
    column = fc.numeric_column("x", normalizer_fn=lambda x: x / 2 if float(x.sum()) > 1 else x)
    with pytest.raises(ValueError, match="normalizer_fn of 'x': The model cannot be traced"):
        InOnnx([column], {"x": np.array([1.0, 2.0])})
