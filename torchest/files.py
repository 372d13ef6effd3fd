"""Writing so that a kill at any moment leaves either the old or the new, never half of one.

Everything is written under a temporary name beside its target, synced to the disk, and renamed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TEMPORARY = ".tmp-"


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Gives a temporary directory to write into, which becomes `path` in one rename.

    A directory that is there already is replaced. After an error nothing is left behind.

    Args:
        path: The directory to make; its parent must exist.
    """
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        mode = temporary.stat().st_mode & 0o666  # what the umask allows; some writers allow less
        for file in temporary.iterdir():
            file.chmod(mode)
            _sync(file)
        _sync(temporary)
        remove_directory(path)
        temporary.rename(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a small file in one rename."""
    temporary = _temporary_name(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_directory(path: Path) -> None:
    """Removes a directory; nobody sees it half removed under its name."""
    doomed = _temporary_name(path)
    try:
        path.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(directory: Path) -> None:
    """Removes what writers that were killed left in `directory` under temporary names."""
    for leftover in directory.glob(f"{_TEMPORARY}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f"{_TEMPORARY}{path.name}-{uuid.uuid4().hex[:12]}")


def _sync(path: Path) -> None:
    """Waits until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
