from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.categorical import categorical_column_with_identity
from torchest.columns.features import Features
from torchest.columns.ids import Ids, Time
from torchest.columns.sequence import (
    SequenceCategoricalColumn,
    SequenceNumericColumn,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_file,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from torchest.columns.steps import IdSteps, Steps

if TYPE_CHECKING:
    from torchest.columns.base import FeatureColumn

WORDS = sequence_categorical_column_with_vocabulary_list("v", ["p", "q"])
NUMBERS = sequence_numeric_column("v")
PAIRS = sequence_numeric_column("v", shape=2)


def steps(column: FeatureColumn, value: Any) -> list[list[Any]]:
    encoded = Features({"v": value}).encoded(column)
    offsets = encoded.offsets.tolist()
    values = encoded.values.tolist()
    return [values[start:end] for start, end in itertools.pairwise(offsets)]


@pytest.mark.parametrize(
    "value",
    [
        np.array([["p", "", "q", ""], ["", "", "", ""], ["zz", "q", "", ""]]),
        [["p", "", "q"], [], ["zz", "q", ""]],
        pa.array([["p", None, "q"], None, ["zz", "q"]]),
        pd.Series([["p", "", "q"], None, ["zz", "q"]]),
    ],
)
def test_what_is_missing_or_unknown_keeps_its_place_and_padding_does_not(value: Any) -> None:
    assert steps(WORDS, value) == [[0, -1, 1], [], [-1, 1]]


def test_an_unknown_word_at_the_end_is_a_step() -> None:
    assert steps(WORDS, [["p", "zz", "zz"], ["zz", "", ""]]) == [[0, -1, -1], [-1]]


def test_one_value_a_row_is_a_sequence_of_one() -> None:
    assert steps(WORDS, ["p", "", "zz"]) == [[0], [], [-1]]


def test_integers_and_hashes() -> None:
    identity = sequence_categorical_column_with_identity("v", 4)
    assert steps(identity, [[3, 0, 3], [], [1]]) == [[3, 0, 3], [], [1]]
    assert steps(identity, torch.tensor([[1, -1, 2], [-1, 3, -1], [-1, -1, -1]])) == [
        [1, -1, 2],
        [-1, 3],
        [],
    ]
    hashed = sequence_categorical_column_with_hash_bucket("v", 10)
    assert steps(hashed, [["x", "q", "y"], [], ["y"]]) == [[0, 3, 5], [], [5]]  # TensorFlow's


def test_a_file(tmp_path: Any) -> None:
    (tmp_path / "words").write_text("p\nq\n")
    column = sequence_categorical_column_with_vocabulary_file("v", tmp_path / "words")
    assert steps(column, [["q", "zz", "p"], []]) == [[1, -1, 0], []]


def test_padding_changes_nothing() -> None:
    lists = [["p", "q"], [], ["zz", "p"]]
    padded = [[*row, *[""] * (width - len(row))] for row in lists for width in [7]]
    assert steps(WORDS, np.array(padded)) == steps(WORDS, lists)


@given(
    st.lists(st.lists(st.sampled_from(["p", "q", "zz", ""]), max_size=5), min_size=1, max_size=6)
)
def test_sequences_end_with_their_last_word(rows: list[list[str]]) -> None:
    ids = {"p": 0, "q": 1}
    want = []
    for row in rows:
        end = max((i + 1 for i, word in enumerate(row) if word), default=0)
        want.append([ids.get(word, -1) for word in row[:end]])
    assert steps(WORDS, pa.array(rows, pa.list_(pa.string()))) == want


def test_it_wraps_a_categorical_column() -> None:
    inner = categorical_column_with_identity("v", 4, default_value=1)
    column = sequence_categorical_column_with_identity("v", 4, 1)
    assert column == SequenceCategoricalColumn(inner)
    assert (column.name, column.feature_keys, column.num_buckets) == ("v", ("v",), 4)


def numbers(column: SequenceNumericColumn, value: Any) -> Steps:
    encoded = Features({"v": value}).encoded(column)
    assert isinstance(encoded, Steps)
    assert encoded.values.dtype == torch.float32
    return encoded


@pytest.mark.parametrize(
    "value",
    [
        [[1.0, 2.0], [3.0], []],
        [[1, 2], [3], []],
        pa.array([[1.0, 2.0], [3.0], None]),
        np.array([[1.0, 2.0], [3.0, np.nan], [np.nan, np.nan]]),
        pa.array([[1.0, 2.0], [3.0, None], []]),
    ],
)
def test_numbers_in_every_form(value: Any) -> None:
    assert steps(NUMBERS, value) == [[[1.0], [2.0]], [[3.0]], []]
    assert numbers(NUMBERS, value).lengths.tolist() == [2, 1, 0]


def test_dense_and_nested_tensors() -> None:
    dense = torch.arange(8.0).reshape(2, 2, 2)
    want = [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]
    assert steps(PAIRS, dense) == want
    assert steps(PAIRS, dense.reshape(2, 4)) == want
    nested = torch.nested.nested_tensor(
        [torch.tensor([1.0, 2.0]), torch.tensor([3.0])], layout=torch.jagged
    )
    assert steps(NUMBERS, nested) == [[[1.0], [2.0]], [[3.0]]]


def test_an_incomplete_last_step_is_filled_up() -> None:
    column = sequence_numeric_column("v", shape=2, default_value=9, normalizer_fn=lambda x: x * 10)
    assert steps(column, [[1, 2, 3], [], [5]]) == [[[10, 20], [30, 9]], [], [[50, 9]]]


def test_the_normalizer_gets_all_steps_in_their_shape() -> None:
    shapes: list[Any] = []
    column = sequence_numeric_column(
        "v", shape=(2, 1), normalizer_fn=lambda x: (shapes.append(x.shape), x / 2)[1]
    )
    assert steps(column, [[1, 2, 3, 4], [5, 6]]) == [[[0.5, 1], [1.5, 2]], [[2.5, 3]]]
    assert shapes == [(3, 2, 1)]


def test_rows_are_padded_with_the_default() -> None:
    padded = numbers(NUMBERS, [[1, 2], [3], []]).padded(-1.0)
    assert padded.tolist() == [[[1], [2]], [[3], [-1]], [[-1], [-1]]]
    assert numbers(NUMBERS, pa.array([[], []], pa.list_(pa.float32()))).padded(0.0).shape == (
        2,
        0,
        1,
    )


def test_steps_move_to_a_device() -> None:
    moved = Features({"v": [[1, 2], [3]]}, device="meta").encoded(NUMBERS)
    assert moved.values.device.type == "meta"
    assert moved.offsets.device.type == "meta"
    assert moved.batch_size == 2


IDS = sequence_categorical_column_with_identity("v", 9)
ROOM: list[tuple[FeatureColumn, Any, int, bool]] = [
    (IDS, np.array([[1, -1, -1, -1], [2, 3, -1, -1]]), 4, True),
    (IDS, torch.full((2, 3), -1), 3, True),
    (IDS, np.zeros((2, 0), np.int64), 0, True),
    (IDS, np.zeros((0, 3), np.int64), 3, True),
    (IDS, np.array([-1, 2]), 1, True),
    (IDS, np.array([[[1, 2], [-1, -1], [-1, -1]]]), 3, True),
    (IDS, [[1, -1, -1], [2]], 3, False),
    (IDS, [[1, -1, -1], [2, 3, -1]], 3, False),
    (IDS, [], 1, True),
    (IDS, pa.array([], pa.list_(pa.int64())), 0, False),
    (IDS, torch.sparse_coo_tensor([[0], [1]], [3], (2, 5), check_invariants=True), 5, False),
    (WORDS, np.array([["p", "", ""], ["", "", ""]]), 3, True),
    (WORDS, pa.array([["p", None], None], pa.list_(pa.string(), 2)), 2, True),
    (WORDS, pa.array([["p", None, None], None], pa.list_(pa.string())), 3, False),
    (NUMBERS, np.array([[1.0, np.nan, np.nan], [np.nan] * 3]), 3, True),
    (NUMBERS, [[1.0, 2.0], []], 2, False),
    (PAIRS, np.array([[1.0, 2.0, np.nan, np.nan, np.nan]]), 3, True),
    (PAIRS, torch.zeros(1, 4, 2), 4, True),
    (PAIRS, [[[1.0, 2.0], [3.0, 4.0]], []], 2, False),
]


@pytest.mark.parametrize(("column", "value", "steps", "is_fixed"), ROOM)
def test_a_matrix_has_room_for_its_width_and_lists_for_the_longest(
    column: FeatureColumn, value: Any, steps: int, is_fixed: bool
) -> None:
    encoded = Features({"v": value}).encoded(column)
    assert encoded.time == Time(steps, is_fixed)
    assert encoded.to("meta").time == encoded.time
    if isinstance(encoded, Ids):
        assert encoded.padded().values.shape[1] == steps
        assert encoded.rows(0, 0).time == encoded.time
    if isinstance(encoded, Steps):
        assert encoded.padded(0.0).shape[1] == steps


def test_a_number_missing_in_between() -> None:
    with pytest.raises(
        ValueError,
        match=r"^Column 'v' has no number \(NaN or null\) before the last one of row 1: fill it in; a missing number "
        r"counts as padding only at the end of a row\.$",
    ):
        steps(NUMBERS, pa.array([[1.0], [2.0, None, 3.0]]))


def test_fields() -> None:
    column = sequence_numeric_column("v", (2,), 1.5, torch.int64)
    assert column == SequenceNumericColumn("v", (2,), 1.5, torch.int64, None)
    assert (column.name, column.feature_keys, column.width) == ("v", ("v",), 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": 0}, "shape of column 'v' is 0: give dimensions of at least 1."),
        ({"default_value": "a"}, "default_value of column 'v' is 'a': give a number."),
        ({"default_value": None}, "default_value of column 'v' is None: give a number."),
        (
            {"dtype": "string"},
            "dtype of column 'v' is 'string': give a dtype of floats or integers, such as torch.float32.",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        sequence_numeric_column("v", **arguments)


def test_ids_of_a_batch() -> None:
    ids = Features({"v": [["p"], ["q", "p"]]}).encoded(WORDS)
    assert isinstance(ids, Ids)
    assert ids.row_of_each().tolist() == [0, 1, 1]


BAGS = [[[1, 2], [], [3]], [[], [0]], []]


@pytest.mark.parametrize(
    "value",
    [
        BAGS,
        pa.array(BAGS),
        torch.tensor([[[1, 2], [-1, -1], [-1, 3]], [[-1, -1], [0, -1], [-1, -1]], [[-1, -1]] * 3]),
        np.array([[[1, 2], [-1, -1], [3, -1]], [[-1, -1], [0, -1], [-1, -1]], [[-1, -1]] * 3]),
        torch.sparse_coo_tensor(
            [[0, 0, 0, 1], [0, 0, 2, 1], [0, 1, 0, 0]],
            [1, 2, 3, 0],
            (3, 4, 2),
            check_invariants=True,
        ),
    ],
    ids=["lists", "arrow", "tensor", "numpy", "sparse"],
)
def test_a_step_may_have_several_ids(value: Any) -> None:
    column = sequence_categorical_column_with_identity("v", 4)
    encoded = Features({"v": value}).encoded(column)
    assert isinstance(encoded, IdSteps)
    assert encoded.ids.values.tolist() == [1, 2, 3, 0]
    assert encoded.ids.offsets.tolist() == [0, 2, 2, 3, 3, 4]
    assert encoded.offsets.tolist() == [0, 3, 5, 5]
    assert encoded.batch_size == 3


def test_a_step_of_unknown_words_alone_is_a_step_without_ids() -> None:
    encoded = Features({"v": [[["p", "zz"], ["", "q"], ["zz"]], [["zz"], [""]]]}).encoded(WORDS)
    assert encoded.ids.values.tolist() == [0, 1]
    assert encoded.ids.offsets.tolist() == [0, 1, 2, 2, 2]
    assert encoded.offsets.tolist() == [0, 3, 4]


def test_a_step_of_lists_has_as_many_numbers_as_the_column() -> None:
    assert steps(PAIRS, [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]], []]) == [
        [[1.0, 2.0], [3.0, 4.0]],
        [[5.0, 6.0]],
        [],
    ]
    with pytest.raises(
        ValueError, match=r"Column 'v' of shape \(2,\) has a step of 1 numbers: give 2 in each"
    ):
        steps(PAIRS, [[[1.0, 2.0], [3.0]]])
