"""What was done to a program, line by line."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SAME = "same"
CHANGED = "changed"
BY_HAND = "by hand"
NUMBERS = "changes numbers"
FAILED = "failed"
KINDS = (SAME, CHANGED, BY_HAND, NUMBERS, FAILED)

GUIDE = "docs/migrating.md"


@dataclasses.dataclass(frozen=True, order=True)
class Note:
    """What happens to a place in a program.

    Attributes:
        line: The number of the line in the program as it was; 0 for the whole file.
        kind: One of `KINDS`.
        text: A sentence: what became of a name, what to write, or how numbers change.
        name: The name of TensorFlow that it is about; "" if it is about none.
    """

    line: int
    kind: str
    text: str
    name: str = ""


def see(section: str) -> str:
    """The end of a sentence: a link to a section of the guide."""
    return f" See {GUIDE}#{section}"


def as_text(file: str, notes: Iterable[Note]) -> list[str]:
    """Lines for the terminal, as compilers write them: "file:line: kind: text"."""
    return [f"{file}:{note.line}: {note.kind}: {note.text}" for note in sorted(notes)]


def summary(notes: Sequence[Note]) -> str:
    """How many notes of each kind there are."""
    counts = {kind: sum(note.kind == kind for note in notes) for kind in KINDS}
    return (
        ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no TensorFlow"
    )


def as_json(notes: dict[str, list[Note]]) -> str:
    """All notes of all files, as a list of objects with file, line, kind, text and name."""
    entries = [
        {"file": file, **dataclasses.asdict(note)}
        for file, of_file in notes.items()
        for note in sorted(of_file)
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
