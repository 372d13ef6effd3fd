"""Batches of parsed examples from files that TensorFlow wrote: 20 examples with n = 0 … 19."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any

import pytest
import reference_arrays
import torch

from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.inputs.batched_features import make_batched_features_dataset
from torchest.inputs.tfrecord import TFRecordDataset

if TYPE_CHECKING:
    from pathlib import Path

FILES = {case["name"]: case for case in reference_arrays.read("parse_example")["files"]}
CONTENT = base64.b64decode(FILES["examples"]["content"])
SPECS = {"n": FixedLenFeature((), torch.int64), "w": VarLenFeature(str)}


@pytest.fixture
def pattern(tmp_path: Path) -> str:
    for name in ("a.tfrecord", "b.tfrecord"):
        (tmp_path / name).write_bytes(CONTENT)
    return str(tmp_path / "*.tfrecord")


def numbers(data: Any) -> list[list[int]]:
    return [batch["n"].tolist() for batch in data]


def test_batches_go_over_the_ends_of_files(pattern: str):
    data = make_batched_features_dataset(pattern, 15, SPECS, num_epochs=1, shuffle=False)
    both = [*range(20), *range(20)]

    assert numbers(data) == [both[:15], both[15:30], both[30:]]
    assert next(iter(data))["w"].to_pylist()[:3] == [[""], ["w"], ["ww"]]


def test_the_label_is_apart(pattern: str):
    data = make_batched_features_dataset(
        pattern, 40, SPECS, label_key="n", num_epochs=1, shuffle=False
    )
    ((features, labels),) = list(data)

    assert list(features) == ["w"]
    assert labels.tolist() == [*range(20), *range(20)]


def test_a_shuffle_has_every_record_once_in_each_epoch(pattern: str):
    data = make_batched_features_dataset(pattern, 40, SPECS, num_epochs=2, shuffle_seed=3)
    first, second = numbers(data)

    assert sorted(first) == sorted(second) == sorted([*range(20), *range(20)])
    assert first != second
    again = make_batched_features_dataset(pattern, 40, SPECS, num_epochs=2, shuffle_seed=3)
    assert numbers(again) == [first, second]


def test_without_epochs_there_is_no_end_and_no_smaller_batch(pattern: str):
    data = make_batched_features_dataset(pattern, 15, SPECS, shuffle=False, prefetch_buffer_size=1)

    assert [len(batch) for batch in numbers(data.take(9))] == [15] * 9


def test_the_final_batch_can_be_dropped(pattern: str):
    data = make_batched_features_dataset(pattern, 15, SPECS, num_epochs=1, drop_final_batch=True)

    assert [len(batch) for batch in numbers(data)] == [15, 15]


def test_the_reader_takes_arguments(tmp_path: Path):
    path = tmp_path / "data.gz"
    path.write_bytes(gzip.compress(CONTENT))

    data = make_batched_features_dataset(
        path, 20, SPECS, TFRecordDataset, reader_args=["GZIP"], num_epochs=1, shuffle=False
    )

    assert numbers(data) == [[*range(20)]]


def test_wrong_arguments_are_named(pattern: str):
    with pytest.raises(ValueError, match=r"label_key='m' is not a feature\. .*'n'"):
        make_batched_features_dataset(pattern, 5, SPECS, label_key="m")
    with pytest.raises(ValueError, match="No file matches file_pattern"):
        make_batched_features_dataset(pattern + ".gz", 5, SPECS)
