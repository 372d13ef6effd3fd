"""A row of an ONNX file's answers depends on that row alone, however wide the matrices of a batch are.

A row that Python refuses (weights and values, or sequences, of differing numbers) is NaN, and all others are as Python
answers them alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime_process as process
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import torchest
from torchest import columns as fc
from torchest.export.forward import Forward
from torchest.export.onnx.model import onnx_model, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = {
    str: (pa.string(), object, ""),
    int: (pa.int64(), np.int64, -1),
    float: (pa.float32(), np.float32, np.nan),
}
CELLS: dict[type, list[Any]] = {
    str: ["red", "blue", "Köln", "unknown"],
    int: [0, 3, 7],
    float: [0.5, -2.0, 1.0],
}


def words(key: str) -> Any:
    return fc.categorical_column_with_vocabulary_list(
        key, ["red", "blue", "Köln"], num_oov_buckets=2
    )


def steps(numbers: int = 1) -> Any:
    return fc.SequenceFeatures(
        [
            fc.sequence_numeric_column("a", numbers),
            fc.embedding_column(fc.sequence_categorical_column_with_identity("b", 8), 2),
        ]
    )


class Sequences(torch.nn.Module):
    """The sum of the steps of two columns, and perhaps a context of lists beside it."""

    def __init__(self, context: Any = None, numbers: int = 1) -> None:
        super().__init__()
        self.steps = steps(numbers)
        self.context = None if context is None else fc.DenseFeatures([context])

    def forward(self, features: Any) -> torch.Tensor:
        total = self.steps(features)[0].sum(1)
        return total if self.context is None else torch.cat([total, self.context(features)], 1)


@dataclass(frozen=True)
class Pair:
    """What reads lists that belong together: a layer, and the type of each list."""

    layer: Callable[[], torch.nn.Module]
    types: dict[str, type]


PAIRS = {
    "weights of words": Pair(
        lambda: fc.LinearFeatures([fc.weighted_categorical_column(words("a"), "b")]),
        {"a": str, "b": float},
    ),
    "weights of ids": Pair(
        lambda: fc.DenseFeatures(
            [
                fc.embedding_column(
                    fc.weighted_categorical_column(
                        fc.categorical_column_with_identity("a", 8), "b"
                    ),
                    3,
                )
            ]
        ),
        {"a": int, "b": float},
    ),
    "weights of a cross": Pair(
        lambda: fc.LinearFeatures(
            [fc.weighted_categorical_column(fc.crossed_column([words("a"), words("c")], 50), "b")]
        ),
        {"a": str, "b": float, "c": str},
    ),
    "a cross of lists": Pair(
        lambda: fc.LinearFeatures([fc.crossed_column(["a", words("b"), "c"], 50)]),
        {"a": str, "b": str, "c": int},
    ),
    "sequences": Pair(Sequences, {"a": float, "b": int}),
    "sequences of two numbers a step": Pair(lambda: Sequences(numbers=2), {"a": float, "b": int}),
    "two weights of a list": Pair(
        lambda: fc.LinearFeatures(
            [
                fc.weighted_categorical_column(words("a"), "b"),
                fc.weighted_categorical_column(fc.categorical_column_with_identity("d", 8), "c"),
            ]
        ),
        {"a": str, "b": float, "c": float, "d": int},
    ),
    "sequences with a context": Pair(
        lambda: Sequences(fc.indicator_column(words("c"))), {"a": float, "b": int, "c": str}
    ),
}


def lists(rows: list[list[Any]], kind: type) -> pa.Array:
    return pa.array(rows, pa.list_(KINDS[kind][0]))


def matrix(rows: list[list[Any]], kind: type, more: int) -> np.ndarray:
    """Lists filled up to the longest, and some places further."""
    _, dtype, fill = KINDS[kind]
    width = max(map(len, rows), default=0) + more
    filled = np.full((len(rows), width), fill, dtype)
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return filled


class Exported:
    """A layer and its file."""

    def __init__(self, pair: Pair, path: Path) -> None:
        torch.manual_seed(1)
        self.layer, self.types, self.path = pair.layer(), pair.types, path
        for parameter in self.layer.parameters():
            torch.nn.init.normal_(parameter)

        def model_fn(features, labels, mode):
            layer = torchest.get_or_create("layer", lambda: self.layer)
            return torchest.EstimatorSpec(mode, predictions={"output": layer(features)})

        estimator = torchest.Estimator(model_fn)
        two = {key: lists([[CELLS[kind][0]]] * 2, kind) for key, kind in self.types.items()}
        next(estimator.predict(lambda: [two]))
        save(onnx_model(Forward(estimator._model_cache._kept[0], two)), path)

    def alone(self, row: dict[str, list[Any]]) -> np.ndarray | None:
        """What Python makes of one row; None if it refuses it."""
        try:
            actual = self.layer(
                {key: lists([value], self.types[key]) for key, value in row.items()}
            )
        except ValueError:
            return None
        return actual.detach().numpy()[0]

    def assert_each_row_as_alone(
        self, batches: list[tuple[list[dict[str, Any]], dict[str, int]]]
    ) -> None:
        feeds = [
            {
                key: matrix([row[key] for row in rows], kind, more[key])
                for key, kind in self.types.items()
            }
            for rows, more in batches
        ]
        for (rows, more), answer in zip(batches, process.run(self.path, feeds), strict=True):
            assert len(answer["output"]) == len(rows)
            for row, values in zip(rows, answer["output"], strict=True):
                expected = self.alone(row)
                if expected is None:
                    assert np.isnan(values).all(), (row, more)
                else:
                    np.testing.assert_allclose(
                        values, expected, 1e-5, 1e-6, err_msg=str((row, more))
                    )


@pytest.fixture(scope="module", params=PAIRS)
def exported(request, tmp_path_factory):
    return Exported(PAIRS[request.param], tmp_path_factory.mktemp("file") / "model.onnx")


def test_every_pair_of_lengths_in_every_pair_of_widths(exported):
    types = exported.types
    batches = []
    for first in range(4):
        for second in range(4):
            lengths = {key: second if key == "b" else first for key in types}
            row = {
                key: [CELLS[kind][at % 3] for at in range(lengths[key])]
                for key, kind in types.items()
            }
            other = {key: CELLS[kind][:1] for key, kind in types.items()}
            batches += [
                (rows, {key: more * (key in widened) for key in types})
                for rows in ([row], [row, other], [other, row, other])
                for more in (0, 2)
                for widened in ("a", "b", "abc")
            ]
    exported.assert_each_row_as_alone(batches)


@settings(deadline=None, max_examples=5)
@given(st.data())
def test_any_lists_in_any_widths(exported, data):
    row = st.fixed_dictionaries(
        {
            key: st.lists(st.sampled_from(CELLS[kind]), max_size=4)
            for key, kind in exported.types.items()
        }
    )
    widths = st.fixed_dictionaries({key: st.integers(0, 3) for key in exported.types})
    batch = st.tuples(st.lists(row, max_size=4), widths)
    exported.assert_each_row_as_alone(data.draw(st.lists(batch, min_size=1, max_size=30)))
