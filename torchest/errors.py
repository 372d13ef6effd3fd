"""Exception classes, and the pieces that error messages are made of."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST = 200  # characters of a name in a message


class CheckpointMismatchError(ValueError):
    """A checkpoint holds other parameters than the model: names or shapes differ."""


class DamagedCheckpointError(ValueError):
    """A file of a checkpoint is missing, or is not what was written."""


class DamagedExportError(ValueError):
    """A file of an exported model is missing, or is not what was written."""


class ExportError(RuntimeError):
    """A model cannot be exported, or what was exported answers otherwise than Python."""


class MissingFeatureError(ValueError, KeyError):
    """A batch does not have a feature that is asked for."""

    def __str__(self) -> str:
        return ValueError.__str__(self)  # KeyError's shows the message in quotes


class NanLossDuringTrainingError(RuntimeError):
    """The training loss became NaN."""

    def __str__(self) -> str:
        return super().__str__() or "NaN loss during training."


class OldOnnxruntimeError(ValueError):
    """An exported model needs a newer onnxruntime than the one that is installed."""


class RefusedFileError(ValueError):
    """A file is not read, or not run: it lies elsewhere, is no regular file, or could do more than it should."""


def suggest(name: object, known: Iterable[object]) -> str:
    """A hint for a misspelt name: the nearest known names, then all of them.

    Args:
        name: What the user wrote.
        known: The names there are.

    Returns:
        A sentence with a leading space, to be put behind the message; empty if nothing is known.

    >>> suggest("agee", ["age", "fare"])
    " Did you mean 'age'? There are: 'age', 'fare'."
    """
    shown = {str(candidate): _quoted(candidate) for candidate in known}
    names = sorted(shown)
    if not names:
        return ""
    near = difflib.get_close_matches(str(name)[:_LONGEST], names, n=3, cutoff=0.6)
    listed = ", ".join(shown[candidate] for candidate in names[:30])
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    meant = f" Did you mean {' or '.join(shown[candidate] for candidate in near)}?" if near else ""
    return f"{meant} There are: {listed}{more}."


def _quoted(name: object) -> str:
    """The name as it is written in a program, be it a string of numpy; a very long one is cut off."""
    written = repr(str(name) if isinstance(name, str) else name)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}..."


def with_article(noun: str) -> str:
    """A noun behind "a" or "an".

    >>> with_article("Exporter")
    'an Exporter'
    """
    return f"an {noun}" if noun[:1] in "AEIOUaeiou" else f"a {noun}"
