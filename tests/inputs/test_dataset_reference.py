"""Every stage has TensorFlow's elements, in order, and resumes at any of them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dataset_pipelines
import numpy as np
import pytest
import reference_arrays
import torch

from torchest import inputs
from torchest.inputs import chunks, joined_stages

if TYPE_CHECKING:
    from pathlib import Path

ELEMENTS = reference_arrays.read("datasets")["elements"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files")
    dataset_pipelines.write_files(path)
    return path


@pytest.fixture(params=["one block", "blocks of three"])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Results may not depend on where blocks end."""
    if request.param == "blocks of three":
        monkeypatch.setattr(chunks, "BLOCK", 3)
        monkeypatch.setattr(joined_stages, "BLOCK", 3)


def namespace(folder: Path) -> SimpleNamespace:
    return SimpleNamespace(
        **vars(inputs),
        file=lambda name: str(folder / name),
        cast=lambda value, dtype: np.asarray(value, "int64")[()],
        int32=torch.int32,
        int64=torch.int64,
        float32=torch.float32,
        string=str,
    )


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(inner) for inner in value]
    if hasattr(value, "to_pylist"):
        return value.to_pylist()
    return value.tolist() if hasattr(value, "tolist") else value


def equal(actual: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(
            equal(actual[key], expected[key]) for key in expected
        )
    if isinstance(expected, list):
        return len(actual) == len(expected) and all(map(equal, actual, expected))
    if isinstance(expected, float) and math.isnan(expected):
        return math.isnan(actual)
    return actual == expected


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("name", dataset_pipelines.PIPELINES)
def test_the_elements_are_tensorflows(name: str, folder: Path):
    expected = ELEMENTS[name]
    data = dataset_pipelines.PIPELINES[name](namespace(folder))
    assert equal(list(map(plain, data)), expected)
    assert data.cardinality() in (None, len(expected))
    for skip in range(len(expected) + 2):
        assert equal(list(map(plain, data.iterate(skip))), expected[skip:])


def test_every_pipeline_was_run_with_tensorflow():
    assert list(ELEMENTS) == list(dataset_pipelines.PIPELINES)
