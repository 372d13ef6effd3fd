"""Exception classes, and helpers for error messages."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST = 200  # characters of a name in a message


class CheckpointMismatchError(ValueError):
    """A checkpoint holds other parameters than the model: names or shapes differ."""


class DamagedCheckpointError(ValueError):
    """A file of a checkpoint is missing or damaged."""


class DamagedExportError(ValueError):
    """A file of an exported model is missing or damaged."""


class ExportError(RuntimeError):
    """A model cannot be exported, or the exported model differs from Python."""


class MissingFeatureError(ValueError, KeyError):
    """A batch lacks a feature that is requested."""

    def __str__(self) -> str:
        return ValueError.__str__(self)  # KeyError's shows the message in quotes


class NanLossDuringTrainingError(RuntimeError):
    """The training loss became NaN."""

    def __str__(self) -> str:
        return super().__str__() or "NaN loss during training."


class OldOnnxruntimeError(ValueError):
    """An exported model needs a newer onnxruntime than the one that is installed."""


class RefusedFileError(ValueError):
    """A file is refused: it is outside the directory, is not a regular file, or could do more than it should."""


def suggest(name: object, known: Iterable[object]) -> str:
    """A hint for a misspelt name: the nearest known names, then all of them.

    Args:
        name: What the user wrote.
        known: The valid names.

    Returns:
        A sentence with a leading space, to append to a message; empty if `known` is empty.

    >>> suggest("agee", ["age", "fare"])
    " Did you mean 'age'? There are: 'age', 'fare'."
    """
    shown = {str(candidate): _quoted(candidate) for candidate in known}
    names = sorted(shown)
    if not names:
        return ""
    written = str(name)[:_LONGEST]
    near = [candidate for candidate in names if candidate.lower() == written.lower()]
    near = near or difflib.get_close_matches(written, names, n=3, cutoff=0.6)
    listed = ", ".join(shown[candidate] for candidate in names[:30])
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    meant = f" Did you mean {' or '.join(shown[candidate] for candidate in near)}?" if near else ""
    return f"{meant} There are: {listed}{more}."


def _quoted(name: object) -> str:
    """The name as a Python literal, also for a NumPy string; a very long name is truncated."""
    written = repr(str(name) if isinstance(name, str) else name)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}..."


def with_article(noun: str) -> str:
    """Puts "a" or "an" before a noun.

    >>> with_article("Exporter")
    'an Exporter'
    """
    return f"an {noun}" if noun[:1] in "AEIOUaeiou" else f"a {noun}"
