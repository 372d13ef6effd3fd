"""ONNX files of trained estimators answer as `predict` does, from raw features."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime_process as process
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest.export.forward import Forward
from torchest.export.onnx.model import onnx_model, save

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

SIZES = (0, 1, 2, 7, 1000)
WORDS = ["Zürich", "Köln", "東京", "São Paulo", "x", "two words", "🚀", "A" * 80]


ALPHABETS = [
    "abcdefghij 0123456789", " \t\n", "äöüßéñ\u0301", "日本語東京ケルン", "🚀😀👩\u200d🔬𝔘𐍈\U0010ffff"
]  # fmt: skip


def rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows with what is hard: empty, unseen, very long and foreign text, numbers at the ends of their ranges."""
    random = np.random.default_rng(seed)

    def text() -> str:
        kind = random.integers(8)
        if kind == 0:
            return ""
        if kind <= 2:
            return str(random.choice(WORDS))
        alphabet = ALPHABETS[kind - 3]
        length = int(random.integers(1, 200 // len(alphabet[-1].encode())))
        return "".join(random.choice(list(alphabet), length))

    integers = [0, 1, 2, 3, 7, -1, -2, -12345, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
    boundaries = [
        0.0,
        18.0,
        65.0,
        np.nextafter(np.float32(18), np.float32(0)),
        1e30,
        -1e30,
        np.inf,
        -np.inf,
    ]
    age = np.where(
        random.random(count) < 0.5, random.choice(boundaries, count), random.normal(40, 30, count)
    )
    return {
        "age": np.where(random.random(count) < 0.1, np.nan, age).astype(np.float32),
        "size": random.normal(size=(count, 3)).astype(np.float64),
        "town": np.array([text() for _ in range(count)], object),
        "name": np.array([text() for _ in range(count)], object),
        "number": random.choice(np.array(integers), count),
        "hour": random.integers(-1, 24, count),
    }


def columns(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "names.txt"
    file.write_text("\n".join(WORDS[2:]) + "\n")
    age = fc.numeric_column("age", default_value=33.0)
    buckets = fc.bucketized_column(age, [0.0, 18.0, 65.0])
    return {
        "buckets": buckets,
        "size": fc.numeric_column(
            "size", 3, dtype=torch.float64, normalizer_fn=lambda x: (x - 1) / 3
        ),
        "town": fc.categorical_column_with_vocabulary_list("town", WORDS, num_oov_buckets=4),
        "name": fc.categorical_column_with_vocabulary_file("name", file, default_value=0),
        "hour": fc.categorical_column_with_identity("hour", 24),
        "number": fc.categorical_column_with_vocabulary_list(
            "number", [7, 2**53 + 1], num_oov_buckets=3
        ),
        "hashed": fc.categorical_column_with_hash_bucket("name", 50),
        "hashed number": fc.categorical_column_with_hash_bucket("number", 20, torch.int64),
        "cross": fc.crossed_column(["town", "number", buckets], 100),
        "another cross": fc.crossed_column(
            ["name", fc.categorical_column_with_identity("hour", 24)], 100, 7
        ),
    }


def labels(features: dict[str, np.ndarray]) -> np.ndarray:
    return np.array([len(text) % 2 for text in features["town"]])


def linear(made: dict[str, Any]) -> torchest.Estimator:
    used = [made[name] for name in made if name not in ("name", "hashed number")]
    plain = {column.name: column for column in used}
    return torchest.LinearClassifier(plain.values())


def deep(made: dict[str, Any]) -> torchest.Estimator:
    return torchest.DNNClassifier(
        [16, 8],
        [
            made["buckets"],
            made["size"],
            fc.indicator_column(made["hour"]),
            fc.embedding_column(made["town"], 4),
            fc.embedding_column(made["hashed"], 5, combiner="sum", max_norm=1.0),
            fc.embedding_column(made["hashed number"], 3),
            fc.embedding_column(made["cross"], 3, combiner="sqrtn"),
            fc.indicator_column(made["another cross"]),
        ],
        n_classes=3,
    )


def custom(made: dict[str, Any]) -> torchest.Estimator:
    """A model_fn with a column layer, a net of its own, and two optimizers."""
    used = [
        fc.embedding_column(made["town"], 4),
        fc.embedding_column(made["cross"], 3),
        made["buckets"],
    ]

    def model_fn(features, labels, mode):
        layer = torchest.get_or_create("inputs", lambda: fc.DenseFeatures(used))
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(layer.width + 1, 1))
        hour = torch.as_tensor(features["hour"]).to(torch.float32).unsqueeze(1)
        logits = net(torch.cat([layer(features), hour], 1))
        answers = {"score": logits.squeeze(1), "double": 2 * logits}
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions=answers)
        loss = (logits.squeeze(1) - labels).square().mean()
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), 0.001))
        adam = torchest.get_or_create(
            "adam", lambda: torchest.optimizers.Adam(layer.parameters(), 0.01)
        )
        return torchest.EstimatorSpec(mode, loss=loss, train_op=[sgd, adam])

    return torchest.Estimator(model_fn)


def in_onnx(estimator: torchest.Estimator, features: dict[str, Any]) -> ir.Model:
    """The model of a trained estimator, made with a batch of two rows."""
    two = {key: value[:2] for key, value in features.items()}
    next(estimator.predict(lambda: [two]))
    model, _ = estimator._model_cache._kept
    return onnx_model(Forward(model, two))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function that gives a trained estimator of a kind, and the same in ONNX."""
    features = rows(1000)

    @functools.cache
    def of(kind: Any) -> tuple[torchest.Estimator, ir.Model]:
        estimator = kind(columns(tmp_path_factory.mktemp("words")))
        estimator.train(lambda: (features, labels(features)), steps=3)
        return estimator, in_onnx(estimator, features)

    return of


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(actual) == set(expected)
    for name, wanted in expected.items():
        if wanted.dtype == object:
            assert actual[name].tolist() == [[text.decode() for text in row] for row in wanted], (
                name
            )
        elif wanted.dtype.kind == "f":
            np.testing.assert_allclose(actual[name], wanted, rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            assert actual[name].dtype == wanted.dtype
            assert actual[name].tolist() == wanted.tolist(), name


@pytest.mark.parametrize("kind", [linear, deep, custom])
def test_a_file_answers_as_predict_in_batches_of_any_size(kind, trained, tmp_path):
    features = rows(1000)
    estimator, model = trained(kind)
    save(model, tmp_path / "model.onnx")
    batches = [{key: value[:size] for key, value in features.items()} for size in SIZES]
    answers = process.run(tmp_path / "model.onnx", batches)
    for batch, actual in zip(batches, answers, strict=True):
        (expected,) = estimator.predict(lambda batch=batch: [batch], yield_single_examples=False)
        assert_same(actual, expected)


def test_the_file_needs_only_what_is_built_into_onnxruntime(trained, tmp_path):
    save(trained(linear)[1], tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert {each.domain: each.version for each in model.opset_import} == {
        "": 18, "ai.onnx.ml": 2, "com.microsoft": 1
    }  # fmt: skip
    content = (tmp_path / "model.onnx").read_bytes()
    assert b"LabelEncoder" in content
    assert b"StringNormalizer" not in content
    assert b"StringToHashBucketFast" not in content
    assert "ai.onnx 18" in {each.key: each.value for each in model.metadata_props}["operators"]
    assert {each.name for each in model.graph.input} == set(rows(1))


def test_the_file_needs_only_the_sets_of_operators_that_it_uses(tmp_path):
    estimator = torchest.LinearClassifier([fc.numeric_column("x")])
    features = {"x": np.array([1.0, 2.0], np.float32)}
    estimator.train(lambda: (features, [0, 1]), steps=1)
    save(in_onnx(estimator, features), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert {each.domain: each.version for each in model.opset_import} == {"": 18}
    described = {each.key: each.value for each in model.metadata_props}
    assert described["operators"].startswith("ai.onnx 18;")
    assert described["onnxruntime"] == "1.20"


def test_tensors_that_do_not_fit_into_a_file_lie_beside_it_and_move_with_the_folder(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setattr("torchest.export.onnx.model._LARGEST_FILE", 1000)
    features = rows(20)
    estimator, model = trained(deep)
    first = tmp_path / "first"
    first.mkdir()
    save(model, first / "model.onnx")
    assert (first / "model.onnx.data").stat().st_size > 1000
    moved = first.rename(tmp_path / "moved")
    (actual,) = process.run(moved / "model.onnx", [features])
    (expected,) = estimator.predict(lambda: [features], yield_single_examples=False)
    assert_same(actual, expected)


def test_features_of_any_names(tmp_path):
    keys = [
        "type",
        "keys",
        "training",
        "a.b",
        "日本",
        "two words",
        "linear.bias",
        "name",
        "",
        "x/weights",
    ]
    features = {key: np.array(["a", "b", "", "c"], object) for key in keys}
    features["linear"] = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    used = [fc.categorical_column_with_vocabulary_list(key, ["a", "b"]) for key in keys if key]
    estimator = torchest.LinearClassifier([*used, fc.numeric_column("linear")])
    estimator.train(lambda: (features, [0, 1, 0, 1]), steps=2)
    path = tmp_path / "model.onnx"
    save(in_onnx(estimator, features), path)
    names = {each.name for each in onnx.load(path).graph.initializer}
    assert "linear.linear.weight" in names
    assert "linear.bias" not in names  # a feature is called so
    (actual,) = process.run(path, [features])
    (expected,) = estimator.predict(lambda: [features], yield_single_examples=False)
    assert_same(actual, expected)
