"""Text among predictions: whatever holds it, `predict` gives bytes, as TensorFlow does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import torchest
from torchest.utils.predicted_text import text_to_numpy

WORDS = [b"a", b"", "日本".encode()]
HOLDERS = {
    "an Arrow array": pa.array(["a", "", "日本"]),
    "large strings": pa.array(["a", "", "日本"], pa.large_string()),
    "bytes": pa.array(WORDS),
    "categories": pa.array(["a", "", "日本"]).dictionary_encode(),
    "a missing string": pa.array(["a", None, "日本"]),
    "a missing category": pa.array(["a", None, "日本"]).dictionary_encode(),
    "a slice": pa.array(["z", "a", "", "日本", "z"])[1:4],
    "objects": np.array(["a", "", "日本"], object),
    "objects and bytes": np.array(["a", b"", "日本"], object),
    "fixed width": np.array(["a", "", "日本"]),
    "fixed bytes": np.array(WORDS),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_text_of_every_kind_becomes_bytes(holder):
    actual = text_to_numpy(HOLDERS[holder])
    assert actual.dtype == object
    assert actual.tolist() == WORDS


@pytest.mark.parametrize(
    ("lists", "shape"),
    [
        (pa.array([["a"], [], ["b", "c"]]), (3, 2)),
        (pa.array([["a"], None, ["b", None]]), (3, 2)),
        (pa.array([["a"], [], ["b", "c"]])[1:], (2, 2)),
        (pa.array([["a", "b"], ["c", ""]], pa.list_(pa.string(), 2)), (2, 2)),
        (pa.array([["a", "b"], None], pa.list_(pa.string(), 2)), (2, 2)),
        (pa.array([[["a"], ["b"]], [["c"], [""]]], pa.list_(pa.list_(pa.string(), 1), 2)), (2, 2, 1)),
        (pa.array([], pa.list_(pa.string())), (0, 0)),
        (pa.array([], pa.list_(pa.string(), 3)), (0, 3)),
    ],
)  # fmt: skip
def test_lists_become_a_matrix_filled_up_with_empty_strings(lists, shape):
    actual = text_to_numpy(lists)
    assert actual.shape == shape
    for row, wanted in zip(actual.tolist(), lists.to_pylist(), strict=True):
        flat = [(cell[0] if isinstance(cell, list) else cell) or "" for cell in wanted or []]
        flat += [""] * (len(row) - len(flat))
        assert [cell[0] if isinstance(cell, list) else cell for cell in row] == [
            each.encode() for each in flat
        ]


def test_objects_that_are_no_text_stay_as_they_are():
    things = np.array([{"a": 1}, None], object)
    assert text_to_numpy(things) is things
    cube = np.array([[["a"]], [["b"]]], object)
    assert text_to_numpy(cube).tolist() == [[[b"a"]], [[b"b"]]]


@pytest.mark.parametrize(
    "keys",
    [["a", "b", "c"], np.array([b"a", b"b", b"c"]), pd.Series(["a", "b", "c"], dtype="category")],
    ids=["strings", "bytes", "categories"],
)
def test_predict_gives_the_key_of_each_example(tmp_path, keys):
    seen = []

    class Seeing(torchest.SessionRunHook):
        def before_run(self, run_context):
            return torchest.SessionRunArgs("key")

        def after_run(self, run_context, run_values):
            seen.extend(run_values.results.tolist())

    def model_fn(features, mode):
        answers = {"key": features["key"], "double": features["x"] * 2, "id": features["id"]}
        return torchest.EstimatorSpec(mode, predictions=answers)

    batch = {"x": torch.tensor([1.0, 2.0, 3.0]), "key": keys, "id": np.array([7, 8, 9])}
    model = torchest.Estimator(model_fn, tmp_path)
    rows = list(model.predict(lambda: [batch], hooks=[Seeing()]))
    assert [row["key"] for row in rows] == [b"a", b"b", b"c"]
    assert [row["id"] for row in rows] == [7, 8, 9]
    assert [row["double"] for row in rows] == [2, 4, 6]
    assert seen == [b"a", b"b", b"c"]
    alone = model.predict(lambda: [batch], predict_keys="key", yield_single_examples=False)
    assert next(alone)["key"].tolist() == [b"a", b"b", b"c"]
