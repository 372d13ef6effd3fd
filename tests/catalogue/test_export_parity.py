"""Exported models answer fuzzed rows as Python does: every estimator with every head, over all columns that it takes.

The ordinary suite has a few pairs, among them each estimator and each head; `make parity` has all, and says how much
was compared. The ONNX file is run by a process that can import neither torch nor torchest.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime_process as process
import pyarrow as pa
import pytest
import torch

import torchest
from tests.catalogue import test_all_columns as catalogue
from torchest import columns as fc
from torchest import heads
from torchest.columns.base import CategoricalColumn, FeatureColumn

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (0, 1, 2, 7, 1000)
QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None, tf_random_seed=3)

# ---- rows

TEXT = [
    "x", "y", "z", "a", "b", "ß", "Köln", "", " ", "\t \n", "two words", "X", "x ", "0", "-7", "a\0b",
    "東京", "São Paulo", "e\u0301", "🚀👩\u200d🔬", "\U0010ffff", "w" * 64, "w" * 65, "ö" * 40, "日" * 50, "v" * 700,
]  # fmt: skip
INTEGERS = [
    0, 1, 3, 5, 23, -1, -2, -7, -12345, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)
]  # fmt: skip
BOUNDS = [18.0, 65.0]
NEXT_TO_BOUNDS = [np.nextafter(np.float32(bound), np.float32(to)) for bound in BOUNDS for to in (0, 99)]  # fmt: skip
AGES = [*BOUNDS, *NEXT_TO_BOUNDS, 0.0, -0.0, -3.5]
INFINITE = [np.inf, -np.inf]
HEIGHTS = [*AGES, *INFINITE, np.nan, 1e30, -1e30, 1e-40]


class Rows:
    """Features of rows, drawn at random; `refused` marks those that Python refuses."""

    def __init__(self, count: int, seed: int, *, only_finite: bool = False) -> None:
        self._random = random = np.random.default_rng(seed)
        self.count = count
        self.refused = np.zeros(count, bool)
        lengths = random.integers(0, 5, count)  # of all lists of a row, as sequences need it
        age = self._numbers(AGES, random.normal(40, 20, count))
        vector = random.uniform(0, 4, (count, 3)).astype(np.float32)
        vector[random.random((count, 3)) < 0.2] = 1.0  # a boundary
        hour = random.integers(-1, 24, count)
        seen = self._lists(lengths, self._ids)
        steps = self._lists(lengths, lambda size: random.normal(0, 3, size).astype(np.float32))
        amounts = self._lists(lengths, lambda size: random.choice([0.5, 1, 2.5, 0, -1], size))
        if not only_finite:
            age[self._some()] = np.inf
            age[self._some()] = -np.inf
            vector[self._some(), 1] = np.inf
            age[self._refused()] = np.nan
            vector[self._refused(), 2] = np.nan
            hour[self._refused()] = random.choice([24, -2, 2**53 + 1])
        self._features: dict[str, Any] = {
            "age": age,
            "height": self._numbers(HEIGHTS, random.normal(40, 20, count)),
            "vector": vector,
            "hour": hour,
            "town": self._text(count),
            "town_again": self._text(count),
            "word": self._text(count),
            "number": random.choice(np.array(INTEGERS), count),
            "number_again": random.choice(np.array(INTEGERS), count),
            "tags": self._lists(lengths, self._words),
            "tags_again": self._lists(lengths, self._words),
            "tags_once_more": self._lists(lengths, self._words),
            "seen": seen,
            "steps": steps,
            "amounts": amounts,
        }

    def features(self, rows: Any, keys: set[str]) -> dict[str, Any]:
        """The features of some rows as Python takes them; what may have several values as Arrow lists."""
        return {
            key: catalogue_array(key, [value[row] for row in rows])
            if isinstance(value, list)
            else value[rows]
            for key, value in self._features.items()
            if key in keys
        }

    def matrices(self, rows: Any, keys: set[str]) -> dict[str, np.ndarray]:
        """The same as the ONNX file takes them: lists filled up."""
        return {
            key: filled_up(key, [value[row] for row in rows])
            if isinstance(value, list)
            else value[rows]
            for key, value in self._features.items()
            if key in keys
        }

    def _some(self) -> np.ndarray:
        return self._random.random(self.count) < 0.01

    def _refused(self) -> np.ndarray:
        actual = self._some()
        self.refused |= actual
        return actual

    def _numbers(self, special: list[Any], others: np.ndarray) -> np.ndarray:
        chosen = self._random.choice(np.array(special, np.float32), self.count)
        return np.where(self._random.random(self.count) < 0.5, chosen, others.astype(np.float32))

    def _text(self, count: int) -> np.ndarray:
        words = np.empty(count, object)
        words[:] = [TEXT[at] for at in self._random.integers(0, len(TEXT), count)]
        made = np.flatnonzero(self._random.random(count) < 0.3)
        for row in made:
            low, high = [(32, 127), (160, 1500), (0x4E00, 0x9FFF), (0x1F300, 0x1F6FF)][row % 4]
            points = self._random.integers(low, high, self._random.integers(1, 100))
            words[row] = "".join(map(chr, points))
        return words

    def _words(self, size: int) -> np.ndarray:
        """The last is in all vocabularies: steps end with the last that is known, and all columns must have the same
        number of ids.

        Nor can an ONNX file tell a list that ends with the empty string from a shorter one.
        """
        words = self._text(size)
        words[-1:] = "x"
        return words

    def _ids(self, size: int) -> np.ndarray:
        ids = self._random.integers(-1, 9, size)
        ids[-1:] = abs(ids[-1:])
        return ids

    def _lists(self, lengths: np.ndarray, draw: Callable[[int], np.ndarray]) -> list[list[Any]]:
        return [draw(length).tolist() for length in lengths]


def kind_of(key: str) -> tuple[Any, Any, Any]:
    """Of a list: the type of its elements for Arrow and numpy, and what shorter rows are filled up with."""
    if key.startswith("tags"):
        return pa.string(), object, ""
    if key == "seen":
        return pa.int64(), np.int64, -1
    return pa.float32(), np.float32, np.nan


def catalogue_array(key: str, cells: list[Any]) -> pa.Array:
    return pa.array(cells, pa.list_(kind_of(key)[0]))


def filled_up(key: str, cells: list[Any]) -> np.ndarray:
    _, dtype, fill = kind_of(key)
    matrix = np.full((len(cells), max(map(len, cells), default=0)), fill, dtype)
    for row, cell in enumerate(cells):
        matrix[row, : len(cell)] = cell
    return matrix


# ---- models


def renamed(column: Any, key: str) -> Any:
    """The same column of another feature."""
    if hasattr(column, "categorical_column"):
        return dataclasses.replace(
            column, categorical_column=renamed(column.categorical_column, key)
        )
    return dataclasses.replace(column, key=key)


def of_catalogue(names: list[str]) -> list[Any]:
    """The columns of the catalogue; one whose name is taken gets a feature of its own."""
    made: dict[str, Any] = {}
    for name in names:
        first = column = catalogue.CASES[name].make()
        for ending in ("again", "once_more"):
            if column.name in made and made[column.name] != column:
                column = renamed(first, f"{first.feature_keys[0]}_{ending}")
        made[column.name] = column
    return list(made.values())


def with_default() -> list[FeatureColumn]:
    """Numbers that may be missing or infinite."""
    height = fc.numeric_column("height", default_value=33.0)
    return [fc.bucketized_column(height, [-1.0, 0.0, *BOUNDS])]


def wide() -> list[FeatureColumn]:
    return of_catalogue(catalogue.LINEAR) + with_default()


def dense() -> list[FeatureColumn]:
    return of_catalogue(catalogue.DENSE) + with_default()


def deep() -> list[FeatureColumn]:
    """The dense columns, and an embedding of every other."""
    categorical = [column for column in wide() if isinstance(column, CategoricalColumn)]
    ways = itertools.cycle(["mean", "sqrtn", "sum"])
    more = [fc.embedding_column(column, 3, way) for column, way in zip(categorical, ways)]  # noqa: B905
    return list({column.name: column for column in [*more, *dense()]}.values())


def steps() -> list[FeatureColumn]:
    columns = of_catalogue(catalogue.OF_SEQUENCES)
    made = [
        fc.embedding_column(column, 3) if isinstance(column, CategoricalColumn) else column
        for column in columns
    ]
    return list({column.name: column for column in made}.values())


ESTIMATORS: dict[str, Callable[..., torchest.Estimator]] = {
    "linear": lambda **given: torchest.LinearEstimator(feature_columns=wide(), **given),
    "deep": lambda **given: torchest.DNNEstimator(
        feature_columns=deep(), hidden_units=[16, 8], **given
    ),
    "wide and deep": lambda **given: torchest.DNNLinearCombinedEstimator(
        linear_feature_columns=wide(),
        dnn_feature_columns=deep(),
        dnn_hidden_units=[16, 8],
        **given,
    ),
    "recurrent": lambda **given: torchest.experimental.RNNEstimator(
        sequence_feature_columns=steps(),
        context_feature_columns=dense(),
        units=[8],
        cell_type="gru",
        **given,
    ),
}
COLUMNS = {
    "linear": wide, "deep": deep, "wide and deep": lambda: wide() + deep(), "recurrent": lambda: steps() + dense(),
}  # fmt: skip
TOWNS = ["Köln", "東京", "x", ""]
HEADS: dict[str, tuple[Callable[[], heads.Head], Callable[[np.ndarray], Any]]] = {
    "binary": (heads.BinaryClassHead, lambda n: n % 2),
    "multi-class": (
        lambda: heads.MultiClassHead(4, label_vocabulary=TOWNS),
        lambda n: np.array(TOWNS, object)[n % 4],
    ),
    "regression": (lambda: heads.RegressionHead(2), lambda n: np.stack([n % 3, -(n % 5)], 1)),
    "multi-label": (lambda: heads.MultiLabelHead(3), lambda n: np.eye(3, dtype=int)[n % 3]),
    "multi-head": (
        lambda: heads.MultiHead(
            [heads.MultiClassHead(3, name="kind"), heads.RegressionHead(name="price")]
        ),
        lambda n: {"kind": n % 3, "price": (n % 7).astype(np.float32)},
    ),
}  # fmt: skip


def trained(estimator: str, head: str, keys: set[str], model_dir: Any) -> torchest.Estimator:
    make, labels = HEADS[head]
    model = ESTIMATORS[estimator](head=make(), model_dir=str(model_dir), config=QUIET)
    rows = Rows(500, seed=1, only_finite=True)
    every = np.arange(rows.count)
    return model.train(lambda: (rows.features(every, keys), labels(every)), steps=5)


# ---- the comparison


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def compared():
    """What was compared: rows and the largest difference of a float, of each pair."""
    actual: dict[str, tuple[int, float]] = {}
    yield actual
    print("\npair: rows, largest difference")
    for pair, (rows, largest) in actual.items():
        print(f"{pair}: {rows}, {largest:.2g}")
    largest = max((each for _, each in actual.values()), default=0.0)
    print(f"all {len(actual)}: {sum(rows for rows, _ in actual.values())}, {largest:.2g}")


def difference(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest of floats, measured by what is expected where that is above 1; all else is equal."""
    assert actual.keys() == expected.keys()
    largest = 0.0
    for name, wanted in expected.items():
        assert actual[name].shape == wanted.shape, name
        if wanted.dtype.kind != "f":
            assert actual[name].tolist() == wanted.tolist(), name
            continue
        np.testing.assert_allclose(actual[name], wanted, 1e-5, 1e-5, err_msg=name)
        finite = np.isfinite(wanted)
        apart = np.abs(actual[name][finite] - wanted[finite])
        largest = max(largest, (apart / np.abs(wanted[finite]).clip(1)).max(initial=0.0).item())
    return largest


def text_as_bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype != object:
        return array
    actual = np.empty(array.size, object)
    actual[:] = [each.encode() for each in array.reshape(-1)]
    return actual.reshape(array.shape)


def assert_nothing(answers: dict[str, np.ndarray]) -> None:
    """The answers to rows that Python refuses."""
    for name, values in answers.items():
        if name.rpartition("/")[2].startswith("all_class"):
            continue  # the same in every row
        if values.dtype.kind == "f":
            assert np.isnan(values).all(), name
        else:
            assert set(values.reshape(-1).tolist()) <= {-1, b"", False}, name


SHORT = {
    ("linear", "binary"), ("deep", "multi-class"), ("wide and deep", "multi-label"), ("recurrent", "multi-head"),
    ("linear", "regression"),
}  # fmt: skip
PAIRS = [
    pytest.param(*pair, id=" of ".join(pair), marks=() if pair in SHORT else pytest.mark.parity)
    for pair in itertools.product(ESTIMATORS, HEADS)
]


@pytest.mark.parametrize(("estimator", "head"), PAIRS)
def test_exports_answer_fuzzed_rows_as_python_does(estimator, head, compared, tmp_path):
    keys = {key for column in COLUMNS[estimator]() for key in column.feature_keys}
    model = trained(estimator, head, keys, tmp_path / "model")
    example = Rows(2, seed=2, only_finite=True).features(np.arange(2), keys)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(example)
    path = model.export_saved_model(tmp_path / "base", receiver_fn, formats=("onnx", "torchscript"))
    script = torchest.export.load(path, engine="torchscript")
    outputs = script.description["signatures"]["predict"]["outputs"]

    batches = [Rows(size, seed=size) for size in SIZES]
    given = [rows.matrices(np.arange(rows.count), keys) for rows in batches]
    answers = process.run(tmp_path / "base" / path.rpartition("/")[2] / "model.onnx", given)
    largest = 0.0
    for rows, answer in zip(batches, answers, strict=True):
        actual = {key: text_as_bytes(answer[name]) for key, name in outputs.items()}
        good = np.flatnonzero(~rows.refused)
        features = rows.features(good, keys)
        (predicted,) = model.predict(lambda: iter([features]), yield_single_examples=False)  # noqa: B023
        expected = {"/".join(k) if isinstance(k, tuple) else k: v for k, v in predicted.items()}
        assert_nothing({key: value[rows.refused] for key, value in actual.items()})
        in_onnx = {key: value[good] for key, value in actual.items()}
        in_torchscript = script.signatures["predict"](**features)
        largest = max(largest, difference(in_onnx, expected), difference(in_torchscript, expected))
    assert batches[-1].refused.any()
    compared[f"{estimator}, {head}"] = (sum(SIZES), largest)
