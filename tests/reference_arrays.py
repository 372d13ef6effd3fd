"""Reads the arrays and cases of the JSON files in tests/reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


def read(name: str) -> dict[str, Any]:
    """The content of tests/reference/<name>.json."""
    return json.loads((Path(__file__).parent / "reference" / f"{name}.json").read_text())


def array(described: dict[str, Any]) -> np.ndarray:
    """An array written as {"dtype", "shape", "values"}; "bytes" becomes an object array of bytes."""
    if described["dtype"] == "bytes":
        flat = np.array(described["values"], dtype=object).reshape(-1)
        encoded = np.empty(len(flat), dtype=object)
        encoded[:] = [text.encode() for text in flat]
        return encoded.reshape(described["shape"])
    return np.array(described["values"], dtype=described["dtype"]).reshape(described["shape"])


def value(described: dict[str, Any]) -> Any:
    """The same as a tensor, or as an array of bytes."""
    actual = array(described)
    return actual if actual.dtype == object else torch.from_numpy(actual)


def params(cases: list[dict[str, Any]]) -> list[Any]:
    """Cases as parameters of a test, by their names."""
    return [pytest.param(case, id=case["name"]) for case in cases]
