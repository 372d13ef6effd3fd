"""Programs in files: they are read and written in their encoding and with their line ends."""

from __future__ import annotations

import difflib
import io
import os
import stat
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from torchest.migrate.program import migrate
from torchest.migrate.report import FAILED, Note
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Migrated:
    """A program, and what became of it.

    Attributes:
        path: Its file.
        before: Its text.
        after: Its new text.
        encoding: The encoding of the file.
        notes: What was done.
    """

    path: str
    before: str
    after: str
    encoding: str
    notes: list[Note]

    @property
    def is_changed(self) -> bool:
        """Whether the text is another."""
        return self.before != self.after

    @property
    def failed(self) -> bool:
        """Whether the file could not be read as a program."""
        return any(note.kind == FAILED for note in self.notes)

    def diff(self) -> list[str]:
        """The lines of a unified diff."""
        before, after = self.before.splitlines(), self.after.splitlines()
        return list(difflib.unified_diff(before, after, self.path, self.path, lineterm=""))

    def write(self) -> None:
        """Writes the new text into the file, which is complete at all times."""
        path = os.path.realpath(self.path)
        mode = stat.S_IMODE(os.stat(path).st_mode)
        files.write_bytes(path, self.after.encode(self.encoding))
        os.chmod(path, mode)


def programs(path: str) -> list[str]:
    """The Python files that a path stands for: itself, or all in a folder, but for those in hidden folders.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The folder has no Python files.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise FileNotFoundError(f"There is no file or folder {path!r}.")
    result = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        result += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    if not result:
        raise ValueError(f"{path!r} has no Python files (*.py).")
    return result


def migrate_files(paths: Iterable[str], generation: int | None = None) -> list[Migrated]:
    """Rewrites programs, in memory.

    Args:
        paths: Their files.
        generation: The TensorFlow that they were written for, 1 or 2; None: the names in each tell.
    """
    return [_migrated(path, generation) for path in paths]


def _migrated(path: str, generation: int | None) -> Migrated:
    with open(path, "rb") as file:
        data = file.read()
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        return _failed(
            path, 0, f"the file is not text in its encoding ({error}): it is left as it is."
        )
    if "\0" in text:
        return _failed(path, 0, "the file contains NUL bytes: it is left as it is.")
    try:
        after, notes = migrate(text, generation)
        after.encode(encoding)
    except cst.ParserSyntaxError as error:
        sentence = (
            f"the file is not a program of Python 3 (line {error.raw_line}): it is left as it is."
        )
        return _failed(path, error.raw_line, sentence)
    except RecursionError:
        return _failed(path, 0, "the program is nested too deeply: it is left as it is.")
    return Migrated(path, text, after, encoding, notes)


def _failed(path: str, line: int, sentence: str) -> Migrated:
    return Migrated(path, "", "", "utf-8", [Note(line, FAILED, sentence)])
