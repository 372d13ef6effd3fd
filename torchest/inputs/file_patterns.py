"""Files of one or several paths or patterns."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, TypeAlias

from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    Path: TypeAlias = str | os.PathLike[str]
    Paths: TypeAlias = Path | Sequence[Path]


def paths(argument: str, value: Paths) -> tuple[str, ...]:
    """The one or several paths of an argument.

    Raises:
        TypeError: An item is not a path.
        ValueError: There are none.
    """
    is_single = isinstance(value, (str, bytes, os.PathLike))
    listed = [value] if is_single else checks.listed(argument, value, "paths")
    if not listed:
        raise ValueError(f"{argument}={checks.shown(value)} must have at least one path.")
    return tuple(checks.path(argument, each) for each in listed)


def matching_files(file_pattern: Paths, argument: str = "file_pattern") -> tuple[str, ...]:
    """The files that match one or several paths or patterns, sorted by name.

    Raises:
        ValueError: There are none, or a path is a folder.
    """
    return tuple(sorted(set(files_in_order(file_pattern, argument))))


def files_in_order(filenames: Paths, argument: str = "filenames") -> tuple[str, ...]:
    """The files of one or several paths or patterns in the order of these; those of one pattern are sorted by name.

    Raises:
        ValueError: There are none, or a path is a folder.
    """
    return tuple(
        file for pattern in paths(argument, filenames) for file in _matching(argument, pattern)
    )


def _matching(argument: str, pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        raise ValueError(
            f"{argument} {pattern!r} is a folder: give a pattern of the files in it, such as "
            f"{os.path.join(pattern, '*')!r}."
        )
    # The name of a file may look like a pattern.
    matches = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
    files = sorted(path for path in matches if not os.path.isdir(path))
    if not files:
        raise ValueError(f"No file matches {argument} {pattern!r} (in the folder {os.getcwd()}).")
    for path in files:
        _check_regular(argument, path)
    return files


def _check_regular(argument: str, path: str) -> None:
    """Checks that a path is a file that can be read again in each epoch, not a pipe or a device."""
    if not os.path.isfile(path):
        what = "a pipe or device, not a file" if os.path.exists(path) else "no file"
        raise ValueError(f"{argument} has {path!r}, which is {what} (in the folder {os.getcwd()}).")
