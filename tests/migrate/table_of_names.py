"""Writes docs/migrating_names.md, the table of names of TensorFlow and what becomes of them.

python tests/migrate/table_of_names.py > docs/migrating_names.md
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from torchest.migrate.calls import Template
from torchest.migrate.names import answer, templates
from torchest.migrate.program import TENSORS
from torchest.utils.tensorflow_names import table

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path(__file__).parents[1] / "reference"
MODULES = ("tf.estimator.", "tf.feature_column.", "tf.data.", "tf.io.", "tf.metrics.", "tf.train.")
WHY = {
    "tf.data.FixedLengthRecordDataset": "numpy.fromfile reads such files",
    "tf.data.make_one_shot_iterator": "an input_fn returns the Dataset, as `torchest migrate` writes it",
}
HEAD = """# Names of TensorFlow in torchest

What `torchest migrate` makes of the names of `tf.estimator`, `tf.feature_column`, `tf.data`, `tf.io`, `tf.metrics`
and `tf.train`, in TensorFlow 1 and 2; [migrating.md](migrating.md) is the guide. `tests/migrate/table_of_names.py`
writes this file.

| | |
|---|---|
| same | an equal with the same arguments |
| changed | the code has another form |
| by hand | what to write |
| not there | nothing takes its place; but for two modules, only names that programs use are listed |

| name | | in torchest |
|---|---|---|
"""


@functools.cache
def used() -> frozenset[str]:
    """The names that programs use."""
    names = (REFERENCE / "names_in_programs.txt").read_text().split()
    return frozenset(name.replace("tf.compat.v1.", "tf.") for name in names)


def names() -> list[str]:
    """The names of the modules, and those below them that programs use."""
    of_modules = (REFERENCE / "names_of_modules.txt").read_text().split()
    return sorted(name for name in used().union(of_modules) if name.startswith(MODULES))


def row(name: str) -> tuple[str, str]:
    """What becomes of a name: a word, and the equal or a sentence."""
    for place in ("everywhere", TENSORS):
        if name in templates()[place]:
            return "changed", f"`{Template.of(templates()[place][name]).code}`"
    old, new = answer(name, is_old=True), answer(name, is_old=False)
    equals = list(dict.fromkeys(f"`{each.equal}`" for each in (new, old) if each.equal))
    if len(equals) == 2:
        return "same", f"{equals[0]}; {equals[1]} in programs for TensorFlow 1"
    if equals:
        return "same", equals[0]
    text = old.text if old.text != f"torchest has no {name}." else new.text
    if text == f"torchest has no {name}." or (name not in table() and " has no " in text):
        return "not there", WHY.get(name, "")
    return "by hand", text


def lines() -> Iterator[str]:
    """The lines of the file."""
    yield from HEAD.splitlines()
    for name in names():
        word, text = row(name)
        if word == "not there" and not name.startswith(MODULES[:2]) and name not in used():
            continue
        yield f"| `{name}` | {word} | {text} |"


if __name__ == "__main__":
    print("\n".join(lines()))
