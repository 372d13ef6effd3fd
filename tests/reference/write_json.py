"""Write the expected numbers of one script as JSON beside it.

    write_json(__file__, {"description": ..., "cases": [...]})

Numbers are not rounded: each is the shortest text that reads back as the same number of its dtype,
so a float32 0.1 is written 0.1. Lists of numbers stay on one line, so that a change of one case shows
as a change of few lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LINE = 120


def write_json(script: str, content: dict[str, Any]) -> None:
    """Write `content` to the file with the script's name and the ending .json."""
    path = Path(script).resolve().with_suffix(".json")
    path.write_text(_layout(plain(content), "") + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays become nested lists, bytes become text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.float32):
        return float(str(value))
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.item() if value.dtype != np.float32 else np.float32(value))
    if isinstance(value, bytes):
        return value.decode()
    return value


def array(value: Any) -> dict[str, Any]:
    """An array with its dtype and shape; an array of bytes has the dtype "bytes"."""
    value = np.asarray(value)
    dtype = "bytes" if value.dtype.kind in "SO" else value.dtype.name
    return {"dtype": dtype, "shape": list(value.shape), "values": value}


def _layout(value: Any, indent: str) -> str:
    """Like json.dumps, with short containers and lists without dicts or texts on one line."""
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(text) <= LINE or _is_numeric(value):
        return text
    deeper = indent + " "
    if isinstance(value, dict):
        open_, close = "{", "}"
        parts = [f"{json.dumps(key)}: {_layout(item, deeper)}" for key, item in value.items()]
    else:
        open_, close = "[", "]"
        parts = [_layout(item, deeper) for item in value]
    separator = f",\n{deeper}"
    return f"{open_}\n{deeper}{separator.join(parts)}\n{indent}{close}"


def _is_numeric(value: Any) -> bool:
    """Whether the value is a number or nested lists of numbers."""
    if isinstance(value, list):
        return all(_is_numeric(item) for item in value)
    return isinstance(value, (int, float))
