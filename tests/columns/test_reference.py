"""The columns and their layers answer as TensorFlow's do: tests/reference/feature_columns.py tells the format.

Sparse features are given in each form that torchest takes them in. Where torchest differs from
TensorFlow on purpose, DEVIATIONS says so and why.
"""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference_arrays
import torch

from torchest import columns
from torchest.columns.features import Features
from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.linear import LinearFeatures
from torchest.columns.layers.sequence import SequenceFeatures

if TYPE_CHECKING:
    from pathlib import Path

    from torchest.columns.base import FeatureColumn
    from torchest.columns.ids import Ids

Case = dict[str, Any]

CASES = {case["name"]: case for case in reference_arrays.read("feature_columns")["cases"]}
NORMALIZERS = {
    "standardized": lambda x: (x - 3) / 2,
    "squared": lambda x: x * x,
    "halved": lambda x: x / 2.0,
}


@dataclass
class Deviation:
    """What torchest does instead: it answers as given here, or refuses with a message that matches."""

    reason: str
    answer: Case = field(default_factory=dict)
    refused: str = ""


NAN = "a missing number is an error or the default, never a number among others"
RANGE = "an id out of range is an error in every use of a column, unless it has a default"
MISSING = '"" and −1 mean missing in every form of a feature, also within a sparse one'
AS_TEXT = "a column of strings takes integers as their decimal text"
WHOLE = "floats that are whole numbers are integers: pandas makes them where a value is missing"
NO_FLOATS = "a fraction is no key; TensorFlow cuts it off silently"
ZERO_WEIGHT = "a weight of 0 keeps its place, as in a sparse feature"
ANY_NAME = "every string is a name"
STEPS = "a row of numbers is a sequence in every form; its last step may be incomplete"
SIDE_BY_SIDE = "the numbers of a step lie side by side, or in a third dimension of a dense tensor"
TIME = "features that are read together have the room of the widest"
LEARNS = "a norm of 0 leaves nothing to learn"
NO_ROWS = "a batch without rows has an output without rows"

DEVIATIONS = {
    "numeric: NaN": Deviation(NAN, refused="no number"),
    "bucketized: NaN": Deviation(NAN, refused="no number"),
    "identity: embedding of a negative id": Deviation(RANGE, refused="-2"),
    "identity: indicator out of range": Deviation(RANGE, refused="5"),
    "identity: indicator of a negative id": Deviation(RANGE, refused="-2"),
    "identity: sparse -1 with a default": Deviation(MISSING, {"ids": [[1], [2]]}),
    "identity: floats": Deviation(WHOLE, {"ids": [[1]]}),
    "vocabulary list: sparse -1 is in the list": Deviation(MISSING, {"ids": [[0]]}),
    "vocabulary list: a sparse empty word is in the list": Deviation(MISSING, {"ids": [[0]]}),
    "vocabulary list: a sparse empty word is unknown": Deviation(MISSING, {"ids": [[0]]}),
    "vocabulary list: integers for a list of words": Deviation(AS_TEXT, {"ids": [[0]]}),
    "vocabulary list: floats": Deviation(WHOLE, {"ids": [[0]]}),
    "vocabulary file: integers for a file of words": Deviation(AS_TEXT, {"ids": [[0]]}),
    "hash: sparse with an empty string": Deviation(MISSING, {"ids": [[0], []]}),
    "hash: sparse with -1": Deviation(MISSING, {"ids": [[1]]}),
    "hash: integers in a column of strings": Deviation(AS_TEXT, {"ids": [[9]]}),
    "hash: floats": Deviation(WHOLE, {"ids": [[9]]}),
    "crossed: floats": Deviation(NO_FLOATS, refused="0.5"),
    "weighted: a dense weight of 0": Deviation(ZERO_WEIGHT, {"output": [[0.78, 0.95]]}),
    "several: a name that is not ASCII": Deviation(ANY_NAME, {"output": [[2, 1]]}),
    "embedding: max_norm 0": Deviation(LEARNS, refused="max_norm"),
    "sequence numeric: dense": Deviation(
        STEPS, {"output": [[[1], [2]], [[3], [0]]], "lengths": {"values": [2, 2]}}
    ),
    "sequence numeric: half a pair": Deviation(
        STEPS,
        {"output": [[[1, 2], [3, 0]], [[5, 0], [0, 0]]], "lengths": {"values": [2, 1]}},
    ),
    "sequence numeric: steps in a third dimension": Deviation(SIDE_BY_SIDE, refused="3 dimensions"),
    "sequences: differing widths": Deviation(
        TIME,
        {
            "output": [
                [[0.27, 1], [0.44, 2.5], [0, 0], [0, 0], [0, 0]],
                [[-0.61, 3], [0, 0], [0, 0], [0, 0], [0, 0]],
            ],
            "lengths": {"values": [2, 1]},
        },
    ),
    "linear: no rows": Deviation(NO_ROWS, {"output": np.zeros([0, 1])}),
}


def forms(case: Case) -> list[str]:
    """How the sparse features of a case can be given: lists in cells, and a sparse tensor for numbers."""
    sparse = [feature for feature in case["features"].values() if "indices" in feature]
    if not sparse:
        return [""]
    numeric = all(feature["dtype"] != "bytes" for feature in sparse)
    listed = all(is_as_lists(feature) for feature in sparse)
    return ["lists"] * listed + ["sparse tensors"] * numeric


def is_as_lists(feature: Case) -> bool:
    """Whether lists say all that a sparse tensor does: it has rows, and is as wide as the longest."""
    rows, *others = feature["dense_shape"]
    longest = max((index[1] + 1 for index in feature["indices"]), default=0)
    return rows > 0 and others == [longest]


REPLAYS = [
    pytest.param(case, form, id=f"{name}, {form}" if form else name)
    for name, case in CASES.items()
    for form in forms(case)
]


@pytest.mark.parametrize(("case", "form"), REPLAYS)
def test_columns_answer_as_tensorflow(case: Case, form: str, tmp_path: Path):
    deviation = DEVIATIONS.get(case["name"], Deviation(""))
    if deviation.refused or ("refused" in case and not deviation.answer):
        with pytest.raises((ValueError, TypeError), match=deviation.refused or says_where(case)):
            replay(case, form, tmp_path)
        return
    expected = case | deviation.answer
    actual = replay(case, form, tmp_path)
    if case["layer"] == "ids":
        ids, weights = expected_ids(expected)
        assert actual["ids"] == ids
        assert actual["weights_of_ids"] == weights
    else:
        check_close(actual["output"], expected["output"])
    if case["layer"] == "SequenceFeatures":
        assert actual["lengths"].dtype == torch.int64
        assert actual["lengths"].tolist() == expected["lengths"]["values"]


def test_every_deviation_is_one():
    assert set(DEVIATIONS) <= set(CASES)
    for name, deviation in DEVIATIONS.items():
        assert deviation.reason
        assert bool(deviation.answer) != bool(deviation.refused), name


def check_close(actual: torch.Tensor, expected: Any) -> None:
    assert actual.dtype == torch.float32
    array = reference_arrays.array(expected) if isinstance(expected, dict) else np.array(expected)
    assert list(actual.shape) == list(array.shape)
    np.testing.assert_allclose(actual.detach().numpy(), array, rtol=1e-6, atol=1e-6)


def expected_ids(case: Case) -> tuple[list[Any], list[Any] | None]:
    """Ids and weights by row: without those of unknown values, but for -1 at each step of a sequence."""
    rows = case["ids"]
    weights = case.get("weights_of_ids")
    if case["columns"][0]["column"].startswith("sequence"):
        return [[step[0] if step else -1 for step in row] for row in rows], weights
    if weights is not None:
        weights = [
            [weight for id_, weight in zip(*pair, strict=True) if id_ >= 0]
            for pair in zip(rows, weights, strict=True)
        ]
    return [[id_ for id_ in row if id_ >= 0] for row in rows], weights


def says_where(case: Case) -> str:
    """What a refusal has to name: a column by a key that it reads, or an argument."""
    keys = sorted({*case["features"], *keys_of(case["columns"])})
    return rf"'({'|'.join(keys)})(_\w+)?'|^({'|'.join(ARGUMENTS)})[ =]"


ARGUMENTS = ["feature_columns", "keys", "sparse_combiner"]


def keys_of(described: Any) -> set[str]:
    """The keys of features among columns as data."""
    if isinstance(described, list):
        return set().union(*map(keys_of, described))
    if not isinstance(described, dict):
        return set()
    own = {described["key"]} if "key" in described else set()
    return own.union(*map(keys_of, described.values()))


# ---- replaying


def replay(case: Case, form: str, folder: Path) -> dict[str, Any]:
    """What torchest answers."""
    for name, content in case.get("files", {}).items():
        (folder / name).write_bytes(content.encode())
    asked = made_columns(case["columns"], folder)
    features = {key: feature(value, form) for key, value in case["features"].items()}
    if case["layer"] == "ids":
        return by_row(asked[0].encode(Features(features)))  # type: ignore[arg-type]
    if case["layer"] == "DenseFeatures":
        return {"output": DenseFeatures(asked)(features)}
    if case["layer"] == "SequenceFeatures":
        output, lengths = SequenceFeatures(asked)(features)
        return {"output": output, "lengths": lengths}
    layer = LinearFeatures(asked, case["units"], case.get("sparse_combiner", "sum"))
    weights = {f"{name}.weight": values for name, values in case["weights"].items()}
    weights["bias"] = case["bias"]
    state = layer.state_dict()
    assert set(weights) == {name for name in state if not name.endswith(".table.weight")}
    layer.load_state_dict(
        {**state, **{name: torch.tensor(values) for name, values in weights.items()}}
    )
    return {"output": layer(features)}


def made_columns(described: list[Case], folder: Path) -> list[FeatureColumn]:
    made: list[FeatureColumn] = []
    for one in described:
        column = made_column(one, folder)
        made += column if isinstance(column, list) else [column]
    return made


def made_column(described: Case, folder: Path) -> Any:
    function = getattr(columns, described["column"])
    arguments = described["arguments"].items()
    return function(**{name: argument(name, value, folder) for name, value in arguments})


def argument(name: str, value: Any, folder: Path) -> Any:
    if name == "normalizer_fn":
        return NORMALIZERS[value]
    if name == "initializer":
        table = torch.tensor(value)
        return lambda weight: weight.copy_(table)
    if name == "vocabulary_file":
        return str(folder / value)
    if isinstance(value, list):
        return [argument("", item, folder) for item in value]
    return made_column(value, folder) if isinstance(value, dict) else value


def feature(described: Case, form: str) -> Any:
    if "indices" not in described:
        if described["dtype"] != "base64":
            return reference_arrays.array(described)
        return np.array([base64.b64decode(text) for text in described["values"]], dtype=object)
    if form == "lists":
        return lists(described)
    indices = torch.tensor(described["indices"], dtype=torch.int64)
    indices = indices.reshape(-1, len(described["dense_shape"])).T
    values = torch.tensor(described["values"], dtype=getattr(torch, described["dtype"]))
    return torch.sparse_coo_tensor(indices, values, described["dense_shape"], check_invariants=True)


def lists(described: Case) -> list[list[Any]]:
    rows: list[list[Any]] = [[] for _ in range(described["dense_shape"][0])]
    for index, value in zip(described["indices"], described["values"], strict=True):
        rows[index[0]].append(value)
    return rows


def by_row(ids: Ids) -> dict[str, Any]:
    """Ids and weights as lists of rows."""
    values = ids.values.tolist()
    if ids.offsets is None:
        bounds = [(row, row + (value >= 0)) for row, value in enumerate(values)]
    else:
        offsets = ids.offsets.tolist()
        bounds = list(itertools.pairwise(offsets))
    weights = None if ids.weights is None else ids.weights.tolist()
    return {
        "ids": [values[start:stop] for start, stop in bounds],
        "weights_of_ids": weights and [weights[start:stop] for start, stop in bounds],
    }
