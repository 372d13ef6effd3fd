"""What takes the place of names of TensorFlow, as sentences. `tensorflow_names.json` is the table of them.

A value without blanks is the name of an equal, of torchest or torch; names below it are sought in the equal. Any other
value is a sentence. A key that ends in "*" stands for all names that are not found otherwise.

>>> sentence("tf.data.Dataset.from_tensor_slices")
'tf.data.Dataset.from_tensor_slices is torchest.inputs.Dataset.from_tensor_slices.'
>>> sentence("tf.layers.dense")
'tf.layers.dense is torch.nn.Linear.'
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import pkgutil

from torchest.errors import suggest

_OLD = "tf.compat.v1"


@functools.cache
def table() -> dict[str, str]:
    """The table: equals and sentences by the full names of TensorFlow."""
    file = importlib.resources.files("torchest.utils") / "tensorflow_names.json"
    names: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return names


def sentence(path: str, known: str = "tf") -> str:
    """What takes the place of a name of TensorFlow.

    Args:
        path: The full name, such as "tf.train.AdamOptimizer".
        known: A module above it, which the answer does not have to name.

    Returns:
        A sentence about the name, or about the nearest module above it; empty if the table has neither.
    """
    parts = path.split(".")
    above = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]  # the longest first
    for key in above:
        if key in table() and len(key) > len(known):
            return _about(key, parts[key.count(".") + 1 :])
    return next((table()[f"{key}.*"] for key in above if f"{key}.*" in table()), "")


def sentence_by_end(name: str) -> str:
    """What takes the place of a name of which only the end is known, such as "KMeans"; empty if none has this end."""
    ends = (key for key in table() if key.endswith(f".{name}"))
    key = next(ends, "")
    return sentence(key) if key else ""


def _about(key: str, rest: list[str]) -> str:
    """What takes the place of `key`, and of the names below it."""
    equal = table()[key]
    if " " in equal:
        return equal
    there = pkgutil.resolve_name(equal)
    for number, name in enumerate(rest):
        if not hasattr(there, name):
            below = ".".join(["", *rest[:number]])
            older = sentence(".".join(["tf", *rest])) if key == _OLD else ""
            return older or table().get(f"{key}{below}.*") or _without(key, equal, below, name)
        there = getattr(there, name)
    below = ".".join(["", *rest])
    return f"{key}{below} is {equal}{below}."


def _without(key: str, equal: str, below: str, name: str) -> str:
    public = dir(pkgutil.resolve_name(equal + below))
    known = [each for each in public if not each.startswith("_")]
    return f"{key}{below} is {equal}{below}, which has no {name!r}.{suggest(name, known)}"
