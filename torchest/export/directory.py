"""The directory of an export: `<base>/<unix seconds>`, which appears in one rename once all files are on the disk.

An object store has no rename: there, `signatures.json` is written last, and completes the export.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.exported.golden import MANIFEST
from torchest.utils import files
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPORARY = ".tmp-"
EXTRA = "assets.extra"
_LEFT = 3600.0  # seconds


class NewDirectory:
    """A directory that is being written.

    Attributes:
        path: The temporary directory to write to.
        final: The final path; None until the directory has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.final: str | None = None


@contextlib.contextmanager
def new_directory(base: str | os.PathLike[str]) -> Iterator[NewDirectory]:
    """Makes a temporary directory, and at the end renames it to a new name under `base`.

    An error removes it. A later export removes the directory of a process that was killed.

    Args:
        base: The directory of the exports, which is created if it does not exist.
    """
    place = files.normal(base)
    if files.is_remote(place):
        with tempfile.TemporaryDirectory() as local:
            made = NewDirectory(Path(local))
            yield made
            taken = set(files.names_in(place))
            numbers = itertools.count(int(time.time()))
            name = next(str(number) for number in numbers if str(number) not in taken)
            made.final = files.join(place, name)
            files.upload(local, made.final)
        return
    parent = Path(place)
    parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(parent)
    made = NewDirectory(parent / f"{TEMPORARY}export-{uuid.uuid4().hex[:12]}")
    made.path.mkdir()
    try:
        with files.reading(str(made.path)):  # so that nobody takes it for a leftover
            yield made
        files.settle(made.path)
        made.final = str(_renamed(made.path, parent))
        files.sync(parent)
    except BaseException:
        shutil.rmtree(made.path, ignore_errors=True)
        raise


def copied(export: str, base: str | os.PathLike[str]) -> str:
    """Copies an export, a path or a URL, to another directory, and returns the path of the copy."""
    with files.on_disk(export) as local, new_directory(base) as made:
        shutil.copytree(local, made.path, dirs_exist_ok=True)
    assert made.final is not None
    return made.final


def exports_in(base: str | os.PathLike[str]) -> list[str]:
    """The paths of torchest's exports under a directory, oldest first."""
    place = files.normal(base)
    numbers = sorted((name for name in files.names_in(place) if name.isdecimal()), key=int)
    paths = [files.join(place, number) for number in numbers]
    return [path for path in paths if MANIFEST in files.names_in(path)]


def copy_extra(assets_extra: Mapping[str, str | os.PathLike[str]] | None, directory: Path) -> None:
    """Copies the user's files into `assets.extra` of an export, by names that may include folders."""
    for name, source in (assets_extra or {}).items():
        target = directory / EXTRA / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def check_extra(assets_extra: Mapping[str, str | os.PathLike[str]] | None) -> None:
    """Raises ValueError unless it is None, or a dict of existing files by their names in `assets.extra`."""
    check_names_of_extra(assets_extra)
    for name, source in (assets_extra or {}).items():
        if not os.path.isfile(source):
            folder = os.path.dirname(os.fspath(source)) or "."
            near = os.listdir(folder) if os.path.isdir(folder) else []
            raise ValueError(
                f"assets_extra[{name!r}] is {os.fspath(source)!r}, which is not a file."
                f"{suggest(os.path.basename(source), near)}"
            )


def check_names_of_extra(assets_extra: Mapping[str, str | os.PathLike[str]] | None) -> None:
    """Raises ValueError unless it is None, or a dict of paths by their names in `assets.extra`."""
    if assets_extra is None:
        return
    if not isinstance(assets_extra, Mapping):
        raise ValueError(
            f"assets_extra={shown(assets_extra)} must be a dict from the name in assets.extra to the path of a file."
        )
    for name, source in assets_extra.items():
        if not isinstance(name, str) or not isinstance(source, str | os.PathLike):
            raise ValueError(
                f"assets_extra has {shown(name)}: {shown(source)}; give a name in assets.extra and the path of a file."
            )
        inside = os.path.normpath(os.path.join(EXTRA, name))
        if os.path.isabs(name) or not inside.startswith(EXTRA + os.sep):
            raise ValueError(
                f"assets_extra has the name {name!r}: give a name inside of assets.extra, such as 'readme.txt'."
            )


def _renamed(temporary: Path, parent: Path) -> Path:
    """Renames the directory to the time, or the first free number after it."""
    number = int(time.time())
    while True:
        target = parent / str(number)
        if not target.exists():
            try:
                return temporary.rename(target)
            except OSError as error:  # another process took the name between
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        number += 1


def _remove_leftovers(parent: Path) -> None:
    """Removes directories of killed exports: those an hour old that no process holds."""
    for path in parent.glob(f"{TEMPORARY}export-*"):
        with contextlib.suppress(OSError):  # another process removes it, too
            if time.time() - path.stat().st_mtime > _LEFT:
                with files.nobody_reads(str(path)) as free:
                    if free:
                        shutil.rmtree(path, ignore_errors=True)
