"""The methods of `Dataset` that join, nest and pad datasets: what they refuse, how they read, what is random."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from torchest import inputs
from torchest.inputs import Dataset, chunks, padding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def numbers(count: int) -> Dataset:
    return Dataset.range(count)


def content(data: Dataset, limit: int = 1000) -> list[Any]:
    return [plain(element) for element in itertools.islice(data, limit)]


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, pa.Array):
        return value.to_pylist()
    return value.tolist() if hasattr(value, "tolist") else value


def counted(count: int) -> tuple[Dataset, list[int]]:
    """A dataset, and the elements that were read of it."""
    read: list[int] = []

    def generate() -> Any:
        for number in range(count):
            read.append(number)
            yield number

    return Dataset.from_generator(generate), read


# --- numbers of elements, and what is read ---


def test_numbers_of_elements():
    some, endless = numbers(9).filter(lambda n: True), numbers(2).repeat()
    zipped, sampled = Dataset.zip, Dataset.sample_from_datasets
    data = [
        zipped((numbers(4), numbers(3))), zipped((numbers(4), endless)), zipped((endless, endless)),
        zipped((some, numbers(0))), zipped((some, endless)), numbers(3).concatenate(endless),
        numbers(3).concatenate(some), numbers(3).concatenate(numbers(4)), endless.enumerate(),
        numbers(7).window(3, shift=2), numbers(7).window(3, shift=2, drop_remainder=True),
        numbers(2).window(3, drop_remainder=True), endless.window(3), numbers(3).flat_map(Dataset.range),
        endless.interleave(Dataset.range), sampled([numbers(3), numbers(4)]), sampled([numbers(3), endless]),
        sampled([numbers(3), endless], stop_on_empty_dataset=True),
        sampled([numbers(3), endless], [1, 0], stop_on_empty_dataset=True), sampled([numbers(3), endless], [1, 0]),
        numbers(7).padded_batch(2), Dataset.range(10, 3, -2), Dataset.range(3, 3),
    ]  # fmt: skip
    assert [each.cardinality() for each in data] == [
        3, 4, math.inf, 0, None, math.inf, None, 7, math.inf, 4, 3, 0, math.inf, None, math.inf, 7, math.inf, None,
        None, 3, 4, 4, 0,
    ]  # fmt: skip


def test_no_more_is_read_than_is_needed():
    first, read_of_first = counted(10)
    second, read_of_second = counted(10)
    assert content(Dataset.zip((first, second)).take(2)) == [(0, 0), (1, 1)]
    assert content(first.concatenate(second).take(2)) == [0, 1]
    assert content(first.window(2).flat_map(lambda rows: rows.batch(2)).take(1)) == [[0, 1]]
    assert content(first.flat_map(Dataset.range).take(3)) == [0, 0, 1]
    assert read_of_first == [0, 1, 0, 1, 0, 1, 0, 1, 2]
    assert read_of_second == [0, 1]


def test_a_dataset_of_known_length_that_is_skipped_is_not_read():
    made: list[int] = []

    def some_of(number: Any) -> Dataset:
        return numbers(100).map(lambda row: made.append(number) or row + number)

    assert next(numbers(4).flat_map(some_of).iterate(302)) == 5
    assert set(made) == {3}
    made.clear()
    assert next(some_of(1).concatenate(some_of(2)).iterate(150)) == 52
    assert made == [2]


def test_rows_stay_in_blocks():
    lengths = {
        name: [len(chunk) for chunk in data._stage.chunks((0,), 0)]
        for name, data in {
            "zip": Dataset.zip((numbers(40_000), numbers(50_000))),
            "enumerate": numbers(40_000).enumerate(),
            "concatenate": numbers(9000).concatenate(numbers(9000)),
            "flat_map": Dataset.range(2).flat_map(lambda _: numbers(9000)),
            "interleave": Dataset.range(2).interleave(lambda _: numbers(9000), 2, 3),
            "sample": Dataset.sample_from_datasets([numbers(9000), numbers(9000)]),
        }.items()
    }
    assert max(map(len, lengths.values())) < 25


def test_endless_datasets_of_each_kind_can_be_cached():
    source, read = counted(3)
    endless = Dataset.zip((source.repeat(), numbers(100).repeat())).enumerate().cache()
    assert content(endless.take(7)) == [(row, (row % 3, row)) for row in range(7)]
    assert read == [0, 1, 2]
    source, read = counted(3)
    endless = numbers(1).concatenate(source.shuffle(3, seed=1).repeat()).cache()
    assert sorted(content(endless.skip(1).take(6))) == [0, 0, 1, 1, 2, 2]
    assert read == [0, 1, 2]


# --- structures ---


def test_rows_and_whole_elements_may_be_mixed():
    generated = Dataset.from_generator(lambda: iter([7, 8, 9]))
    assert content(numbers(2).concatenate(generated).batch(4)) == [[0, 1, 7, 8], [9]]
    assert content(generated.concatenate(numbers(2)).shuffle(1).batch(5)) == [[7, 8, 9, 0, 1]]
    assert content(numbers(2).concatenate(generated).repeat(2).shuffle(9).take(20).batch(10).map(sorted)) == [
        [0, 0, 1, 1, 7, 7, 8, 8, 9, 9]
    ]  # fmt: skip
    assert content(Dataset.zip((numbers(2), generated)).batch(2)) == [([0, 1], [7, 8])]


def test_dicts_are_joined_by_their_keys():
    one = Dataset.from_tensor_slices({"a": [1, 2], "b": ["x", "y"]})
    other = Dataset.from_tensor_slices({"b": ["z"], "a": [3]})
    (batch,) = one.concatenate(other).batch(3)
    assert {key: plain(value) for key, value in batch.items()} == {
        "a": [1, 2, 3],
        "b": ["x", "y", "z"],
    }
    with pytest.raises(
        ValueError, match=r"has the keys \['a', 'b'\] and another is a dict with the keys \['a'\]"
    ):
        list(one.concatenate(Dataset.from_tensor_slices({"a": [3]})).batch(3))


def test_a_window_has_a_dataset_for_each_part():
    rows = Dataset.from_tensor_slices(({"x": [1, 2, 3], "t": ["a", "b", "c"]}, [4, 5, 6]))
    (first, labels), second = rows.window(2)
    assert [content(first["x"]), content(first["t"]), content(labels)] == [
        [1, 2],
        ["a", "b"],
        [4, 5],
    ]
    assert content(second[1].batch(2)) == [[6]]
    batched = rows.batch(2).window(2, drop_remainder=True)
    assert [content(labels) for _, labels in batched] == [[[4, 5], [6]]]


def test_as_numpy_iterator():
    data = Dataset.from_tensor_slices(
        {"x": torch.tensor([1.0, 2.0]), "t": ["a", None], "lists": [[1], [2, 3]], "n": [1, 2]}
    )
    (batch,) = data.batch(2).as_numpy_iterator()
    assert {key: (type(value), value.dtype, value.tolist()) for key, value in batch.items()} == {
        "x": (np.ndarray, np.float32, [1.0, 2.0]),
        "t": (np.ndarray, object, ["a", None]),
        "lists": (np.ndarray, object, [[1], [2, 3]]),
        "n": (np.ndarray, np.int64, [1, 2]),
    }
    first, _ = data.as_numpy_iterator()
    assert first == {"x": 1.0, "t": "a", "lists": [1], "n": 1}
    assert isinstance(first["x"], np.ndarray | np.generic)


def test_padding_keeps_the_kind_of_values():
    data = Dataset.from_generator(
        lambda: iter([{"x": torch.ones(1, 2), "b": [True], "t": [b"a"]}, {"x": torch.ones(2, 1), "b": [], "t": []}])
    )  # fmt: skip
    (batch,) = data.padded_batch(2)
    assert batch["x"].tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]
    assert isinstance(batch["x"], torch.Tensor)
    assert batch["b"].tolist() == [[True], [False]]
    assert batch["t"].to_pylist() == [[b"a"], [b""]]


def test_lists_are_padded_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(padding, "_pad_cells", None)  # which pads one by one
    rows = Dataset.from_tensor_slices(
        {"n": [[1], [2, 3], None], "f": [[0.5], [], [1.5, 2.5]], "t": [["a", "b"], ["c"], []], "one": [1, 2, 3]}
    )  # fmt: skip
    (batch,) = rows.padded_batch(
        3, {"n": [3], "f": [None], "t": [-1], "one": []}, {"n": -1, "f": None, "t": "?", "one": 0}
    )
    assert batch["n"].tolist() == [[1, -1, -1], [2, 3, -1], [-1, -1, -1]]
    assert batch["f"].tolist() == [[0.5, 0], [0, 0], [1.5, 2.5]]
    assert batch["t"].flatten().to_pylist() == ["a", "b", "c", "?", "?", "?"]


# --- chance ---


def test_a_sample_keeps_the_order_within_each_dataset_and_the_weights():
    data = Dataset.sample_from_datasets(
        [numbers(100_000), Dataset.range(10**6, 10**6 + 100_000)], [3, 1], seed=0
    )
    drawn = np.array(content(data.take(20_000), 20_000))
    first = drawn[drawn < 10**6]
    assert first.tolist() == list(range(len(first)))
    assert (drawn[drawn >= 10**6] - 10**6).tolist() == list(range(20_000 - len(first)))
    assert abs(len(first) - 15_000) < 4 * math.sqrt(20_000 * 3 / 16)


def test_a_sample_draws_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch):
    def drawn() -> list[Any]:
        rows = [numbers(50).shard(2, 1), numbers(70), numbers(3000)]
        return content(Dataset.sample_from_datasets(rows, seed=1), 4000)

    expected = drawn()
    monkeypatch.setattr(chunks, "BLOCK", 7)
    assert drawn() == expected
    assert len(expected) == 25 + 70 + 3000


def test_a_sample_may_end_with_the_first_dataset_that_has_ended():
    ends = Counter()
    for seed in range(50):
        rows = [numbers(5), Dataset.range(10, 18)]
        drawn = content(Dataset.sample_from_datasets(rows, None, seed, stop_on_empty_dataset=True))
        assert [row for row in drawn if row < 10] == list(range(sum(row < 10 for row in drawn)))
        ends[sum(row < 10 for row in drawn) == 5] += 1
    assert ends[True] > ends[False] > 0


def test_a_sample_draws_anew_in_each_pass_unless_told_otherwise():
    def passes(**arguments: Any) -> list[Any]:
        rows = [numbers(9), Dataset.range(10, 19)]
        drawn = content(Dataset.sample_from_datasets(rows, **arguments).repeat(2))
        return [drawn[:18], drawn[18:]]

    assert passes(seed=1) == passes(seed=1)
    assert passes(seed=1) != passes(seed=2)
    first, second = passes(seed=1)
    assert first != second
    first, second = passes(seed=1, rerandomize_each_iteration=False)
    assert first == second


def test_listed_files_are_in_another_order_in_each_pass(tmp_path: Path):
    for number in range(9):
        (tmp_path / f"{number}.txt").touch()
    data = Dataset.list_files([tmp_path / "*.txt"], seed=1)
    first, second = content(data), content(data)
    assert first != second
    assert (
        sorted(first)
        == sorted(second)
        == content(Dataset.list_files(tmp_path / "*", shuffle=False))
    )


# --- wrong use ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Dataset.zip, "datasets=None has None, which is not a torchest.inputs.Dataset"),
        (lambda: Dataset.zip((numbers(1), [1])), "has [1], which is not a torchest.inputs.Dataset"),
        (lambda: Dataset.zip({}), "datasets={} must have at least one Dataset"),
        (lambda: numbers(1).concatenate([1]), "dataset=[1] must be a torchest.inputs.Dataset"),
        (lambda: numbers(1).apply(lambda data: [0]), "returned [0], but must return a torchest"),
        (lambda: numbers(1).apply(1), "transformation_func=1 must be a function"),
        (lambda: content(numbers(1).flat_map(lambda n: [0])), "returned [0], but must return a torchest"),
        (Dataset.range, "args=() must be (stop), (start, stop) or (start, stop, step)"),
        (lambda: Dataset.range(5, output_type=str), "dtype is <class 'str'>: give a dtype of numbers"),
        (lambda: Dataset.from_generator(list, 1), "dtype is 1: give torch.float32"),
        (
            lambda: Dataset.from_generator(list, output_signature={"x": int}),
            "output_signature has <class 'int'>: give a TensorSpec(shape, dtype)",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([1.5]), "int32")),
            "The generator gave 1.5 for 'value', but the dtype torch.int32 is declared",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([{"x": "a"}]), {"x": "float32"})),
            "The generator gave 'a' for 'x', but the dtype torch.float32 is declared",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([{"x": 1}]), {"x": str})),
            "The generator gave 1 for 'x', but the dtype str is declared",
        ),
        (lambda: content(inputs.TextLineDataset(numbers(1))), "filenames="),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_named(make: Callable[[], object], message: str):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dataset.range(1.5), "stop=1.5 must be a whole number"),
        (lambda: Dataset.range(1, 5, 0), "step=0 must not be 0"),
        (lambda: numbers(1).enumerate("1"), "start='1' must be a whole number"),
        (lambda: numbers(1).interleave(Dataset.range, 0), "cycle_length=0 must be a whole number of at least 1"),
        (lambda: numbers(1).interleave(Dataset.range, 2, 0), "block_length=0 must be a whole number of at least 1"),
        (lambda: numbers(1).map(abs, num_parallel_calls=0.5), "num_parallel_calls=0.5 must be a whole number"),
        (lambda: numbers(1).map(abs, deterministic=1), "deterministic=1 must be True or False"),
        (lambda: numbers(1).window(0), "size=0 must be a whole number of at least 1"),
        (lambda: numbers(1).window(1, shift=0), "shift=0 must be a whole number of at least 1"),
        (lambda: Dataset.sample_from_datasets([]), "datasets=[] must have at least one Dataset"),
        (
            lambda: Dataset.sample_from_datasets([numbers(1)], [1, 2]),
            "weights=[1, 2] must have a number for each of 1 datasets, one of them above 0",
        ),
        (
            lambda: Dataset.sample_from_datasets([numbers(1)], [0]),
            "weights=[0] must have a number for each of 1 datasets, one of them above 0",
        ),
        (lambda: Dataset.sample_from_datasets([numbers(1)], [-1]), "weights=-1 must be a finite number at least 0"),
        (lambda: Dataset.list_files("none*.txt"), "No file matches file_pattern 'none*.txt'"),
        (lambda: Dataset.list_files([]), "file_pattern=[] must have at least one path"),
        (
            lambda: Dataset.from_generator(list, "int32", output_signature=inputs.TensorSpec([])),
            "takes the place of output_types='int32' and output_shapes=None: leave these out",
        ),
        (lambda: Dataset.from_generator(list, None, []), "output_shapes=[] needs output_types"),
        (
            lambda: Dataset.from_generator(list, {"x": "int32"}, {"y": []}),
            "output_shapes has {'y': []} where elements have a dict: give a dict with the keys ['x']",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([(1, 2, 3)]), ("int32", "int32"))),
            "An element of the generator has (1, 2, 3) where elements have a tuple of 2",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([[1, 2]]), "int32", [3])),
            "The generator gave [1, 2] for 'value', of shape (2,), but the shape (3,) is declared",
        ),
        (lambda: inputs.TensorSpec([-1]), "shape=-1 must be a whole number of at least 0"),
        (
            lambda: content(numbers(2).padded_batch(2, [None])),
            "padded_shapes has [None] for 'value', whose values have 0 dimensions",
        ),
        (
            lambda: content(Dataset.from_tensor_slices([[1, 2], [3]]).padded_batch(2, [1])),
            "padded_shapes has [1] for 'value', but a value has the size 2 in place of 1",
        ),
        (
            lambda: content(Dataset.from_tensor_slices([[1, 2], [3]]).padded_batch(2, None, "a")),
            "padding_values has 'a' for 'value', which holds values of dtype int64",
        ),
        (
            lambda: content(Dataset.from_tensor_slices([[1, 2], [3]]).padded_batch(2, None, 0.5)),
            "padding_values has 0.5 for 'value', which holds values of dtype int64",
        ),
        (
            lambda: content(Dataset.from_tensor_slices([["a", "b"], ["c"]]).padded_batch(2, None, 1)),
            "padding_values has 1 for 'value', which holds text",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([[1], 2])).padded_batch(2)),
            "padded_batch: 'value' has values of 0 and of 1 dimensions in one batch",
        ),
    ],
)  # fmt: skip
def test_wrong_values_are_named(make: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
