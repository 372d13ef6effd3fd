"""One training at a time in a model_dir: two would overwrite each other's checkpoints.

The trainer locks the file `training.lock`, which says who it is. The system releases the lock when the process dies.
Where there are no locks, as on an object store, the file is only a hint, and leads to a warning.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.utils.json_form import JSON

_log = logging.getLogger("torchest")
_FILE = "training.lock"
_PATIENCE = 2.0  # seconds: a process that was just killed may still be ending
_of_this_process: dict[tuple[int, str], str] = {}
_reserved: ContextVar[str | None] = ContextVar("torchest_reserved_model_dir", default=None)


@contextlib.contextmanager
def only_trainer(model_dir: str, *, is_chief: bool) -> Iterator[None]:
    """Locks a directory for one training, and removes what killed trainings left there.

    Args:
        model_dir: The directory, which is created if it does not exist, and removed again if it stays empty.
        is_chief: Whether this process writes; the other processes of a training lock nothing.

    Raises:
        RuntimeError: Another process, another thread or a caller of this function trains there.
        ValueError: The directory is, or lies in, a file.
    """
    directory = files.normal(model_dir)
    place = directory if files.is_remote(directory) else os.path.realpath(directory)
    if not is_chief:
        yield
        return
    if _reserved.get() == place:  # by `reserved_for_training`, for one at a time
        token = _reserved.set(None)
        try:
            yield
        finally:
            _reserved.reset(token)
        return
    with (
        _only_in_process(place),
        _directory_of_run(model_dir, place),
        _only_process(place),
    ):
        for each in (place, *_evaluations_in(place)):
            files.remove_leftovers(each)
        yield


@contextlib.contextmanager
def reserved_for_training(model_dir: str, *, is_chief: bool) -> Iterator[None]:
    """Like `only_trainer`, for several successive trainings."""
    directory = files.normal(model_dir)
    place = directory if files.is_remote(directory) else os.path.realpath(directory)
    with only_trainer(model_dir, is_chief=is_chief):
        token = _reserved.set(place)
        try:
            yield
        finally:
            _reserved.reset(token)


@contextlib.contextmanager
def _only_in_process(place: str) -> Iterator[None]:
    key = os.getpid(), place
    me = f"in its thread {threading.current_thread().name!r} since {_now()}"
    holder = _of_this_process.setdefault(key, me)  # one operation: no two threads pass
    if holder is not me:
        raise _taken(place, f"this process, {holder}")
    try:
        yield
    finally:
        _of_this_process.pop(key, None)


@contextlib.contextmanager
def _directory_of_run(model_dir: str, place: str) -> Iterator[None]:
    """Makes the directory, and removes it again if it stays empty."""
    made: list[str] = []
    if not files.is_remote(place):
        above = place
        while not os.path.lexists(above):
            made.append(above)
            above = os.path.dirname(above)
        try:
            files.make_directory(place)
        except (FileExistsError, NotADirectoryError):
            raise files.no_model_dir(model_dir) from None
    try:
        yield
    finally:
        for each in made:
            with contextlib.suppress(OSError):
                os.rmdir(each)


@contextlib.contextmanager
def _only_process(place: str) -> Iterator[None]:
    note = {"host": socket.gethostname(), "pid": os.getpid(), "since": _now()}
    with contextlib.ExitStack() as opened:
        other = _held(files.join(place, _FILE), json.dumps(note) + "\n", place, opened)
        if other and not _has_died(other):
            _log.warning(
                "Another process may be training in %s: %s has not ended there, or was killed, and %s has no locks "
                "to tell the two apart. Two trainings overwrite each other's checkpoints.",
                place, _named(other), "an object store" if files.is_remote(place) else "its disk",
            )  # fmt: skip
        yield


def _held(file: str, note: str, place: str, opened: contextlib.ExitStack) -> str:
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            return opened.enter_context(files.held_alone(file, note))
        except BlockingIOError as error:
            if time.monotonic() > give_up:
                raise _taken(place, _named(str(error))) from None
        time.sleep(0.05)


def _taken(place: str, who: str) -> RuntimeError:
    return RuntimeError(
        f"{place!r} is already being trained by {who}: two trainings would overwrite each other's checkpoints. Wait "
        "until that one has ended, end it, or use another model_dir."
    )


def _note(text: str) -> JSON:
    try:
        note = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _named(text: str) -> str:
    note = _note(text)
    if not note:
        return "another process"
    return f"the process {note.get('pid')} on {note.get('host')} since {note.get('since')}"


def _has_died(text: str) -> bool:
    """Whether the process that wrote a note ran on this machine and has ended."""
    note = _note(text)
    pid = note.get("pid")
    if note.get("host") != socket.gethostname() or os.name != "posix":
        return False
    if not isinstance(pid, int) or not 0 < pid < 2**31 or pid == os.getpid():
        return pid == os.getpid()  # this process would know of its own training
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _evaluations_in(place: str) -> list[str]:
    names = [name for name in files.names_in(place) if name == "eval" or name.startswith("eval_")]
    return [files.join(place, name) for name in names]


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
