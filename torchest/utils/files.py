"""Files and directories, on a disk or behind a URL such as gs://bucket/models; only this module distinguishes the two.

Writes are atomic: a kill at any moment leaves either the old or the new content. On a disk, everything is written under
a temporary name beside its target, synced, and renamed. Object stores have no rename: a single file appears whole, but
the files of a directory appear one by one. So a directory is complete only once a file written later names it.

Paths are strings; `normal` converts the user's.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from torchest.errors import RefusedFileError

try:
    import fcntl
except ImportError:  # on Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEMPORARY = ".tmp-"
_LONGEST_NAME, _LONGEST_PATH = 255, 2048  # bytes
_LARGEST_READ = 1 << 30  # bytes of a file that is read as a whole
_LARGEST = 1 << 40  # bytes of any file
_NO_PLAIN_NAME = re.compile(r"[\\\x00-\x1f]|(^|/)([A-Za-z]:|\.{0,2}(/|$))")
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_held: set[int] = set()  # descriptors with locks


def _close_held() -> None:
    """Closes the parent's locks in a forked process, so that they end with the parent."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_held)


def normal(path: str | os.PathLike[str]) -> str:
    """A path in the form for all functions here: without `file://`, and without a slash at the end of a URL.

    >>> normal("file:///models/a"), normal("gs://bucket/a/")
    ('/models/a', 'gs://bucket/a')
    """
    text = os.fsdecode(path)
    for prefix in ("file://", "local://"):
        text = text.removeprefix(prefix)
    return text.rstrip("/") if is_remote(text) else text


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL that fsspec understands."""
    return "://" in os.fspath(path)


def same(path: str, other: str) -> bool:
    """Whether two paths are spellings of the same path.

    >>> same("models/a", "./models/a/"), same("gs://bucket/a", "gs://bucket/b")
    (True, False)
    """
    if is_remote(path) or is_remote(other):
        return path == other
    return os.path.abspath(path) == os.path.abspath(other)


def join(directory: str, *names: str) -> str:
    """The path of something in a directory.

    >>> join("gs://bucket/a", "b")
    'gs://bucket/a/b'
    """
    return (
        "/".join((directory, *names)) if is_remote(directory) else os.path.join(directory, *names)
    )


def inside(directory: str, name: str) -> str:
    """The path of a file in a directory, by an untrusted name.

    Args:
        directory: The directory.
        name: Path of the file relative to it, with "/" between folders.

    Raises:
        RefusedFileError: The name leads out of the directory, on this or another system.

    >>> inside("exports/1", "assets/words.txt")
    'exports/1/assets/words.txt'
    """
    if not isinstance(name, str) or _NO_PLAIN_NAME.search(name) or not _can_lie_on_disk(name):
        raise RefusedFileError(
            f"{directory!r} has a file called {name!r:.80}, which is not the name of a file inside of it."
        )
    return join(directory, *name.split("/"))


def _can_lie_on_disk(name: str) -> bool:
    """Whether a name is valid Unicode, and no longer than file systems allow."""
    try:
        parts = [part.encode() for part in name.split("/")]
    except UnicodeEncodeError:
        return False
    return (
        max(map(len, parts)) <= _LONGEST_NAME and sum(map(len, parts)) + len(parts) <= _LONGEST_PATH
    )


def parent_and_name(path: str) -> tuple[str, str]:
    """The parent directory of a path, and its last component."""
    directory, _, name = path.rstrip("/").rpartition("/") if is_remote(path) else _split(path)
    return directory, name


def is_directory(path: str) -> bool:
    """Whether a directory exists; on an object store, a directory without files does not."""
    if is_remote(path):
        system, inner = _system(path)
        return bool(system.isdir(inner))
    return os.path.isdir(path)


def is_file(path: str) -> bool:
    """Whether a regular file exists."""
    if is_remote(path):
        system, inner = _system(path)
        return bool(system.isfile(inner))
    return os.path.isfile(path)


def names_in(directory: str) -> list[str]:
    """The names in a directory; none if it does not exist."""
    if not is_directory(directory):
        return []
    if is_remote(directory):
        system, inner = _system(directory)
        names = [entry.rstrip("/").rpartition("/")[2] for entry in system.ls(inner, detail=False)]
        return [name for name in names if not _NO_PLAIN_NAME.search(name)]
    return os.listdir(directory)


def make_directory(path: str) -> None:
    """Makes a directory and its parents if they do not exist."""
    if not is_remote(path) and not os.path.isdir(path):
        os.makedirs(path, exist_ok=True)


def no_model_dir(path: str) -> ValueError:
    """The error for a model_dir that is, or lies in, a file."""
    return ValueError(
        f"{path!r} cannot be a model_dir, as it is, or lies in, a file: give a directory."
    )


def read_json(path: str) -> Any:
    """Reads a small JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON.
        RefusedFileError: As for `read_bytes`.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def read_text(path: str) -> str:
    """Reads a small text file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not UTF-8.
        RefusedFileError: As for `read_bytes`.
    """
    return read_bytes(path).decode("utf-8")


def read_bytes(path: str) -> bytes:
    """Reads a whole file; refuses files that could block or be endless, such as a pipe or a device.

    Raises:
        FileNotFoundError: There is no such file.
        RefusedFileError: It is not a regular file, or has more than 1 GiB.
    """
    if is_remote(path):
        system, inner = _system(path)
        status = system.info(inner)
        if status["type"] != "file":
            raise RefusedFileError(f"{path!r} is a {status['type']}, not a file.")
        _check_size(path, status["size"] or 0, _LARGEST_READ)
        return bytes(system.cat_file(inner))
    with open(_opened(path, os.O_RDONLY), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        _check_size(path, size, _LARGEST_READ)
        return file.read(size)


def read_part(path: str, start: int, size: int) -> bytearray:
    """Reads a part of a file; less than `size` bytes if the file ends before.

    Raises:
        FileNotFoundError: There is no such file.
        RefusedFileError: It is not a regular file, or is a link that leads out of its directory.
    """
    if is_remote(path):
        system, inner = _system(path)
        return bytearray(system.cat_file(inner, start=start, end=start + size) if size else b"")
    check_link(path)
    with open(_opened(path, os.O_RDONLY), "rb") as file:
        there = os.fstat(file.fileno()).st_size
        part = bytearray(max(0, min(size, there - start)))
        file.seek(min(start, there))
        return part[: file.readinto(part)]


def check_link(path: str) -> None:
    """Raises RefusedFileError if a file on the disk is a link that leads out of its directory."""
    if not is_remote(path) and os.path.islink(path):
        directory, target = os.path.realpath(os.path.dirname(path)), os.path.realpath(path)
        if not target.startswith(os.path.join(directory, "")):
            raise RefusedFileError(f"{path!r} is a link to {target!r}, outside of its directory.")


def write_text(path: str, text: str) -> None:
    """Writes a small file atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str, data: bytes) -> None:
    """Writes a small file atomically."""
    if is_remote(path):
        system, inner = _system(path)
        system.pipe_file(inner, data)
        return
    temporary = _temporary_name(path)
    try:
        with _new_file(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        sync(os.path.dirname(path) or ".")
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def append_bytes(path: str, data: bytes) -> None:
    """Appends to a file, which is created if it does not exist. A kill may leave only a part of the addition."""
    if is_remote(path):  # where a file is only written as a whole
        system, inner = _system(path)
        before = system.cat_file(inner) if system.exists(inner) else b""
        system.pipe_file(inner, before + data)
        return
    with open(path, "ab") as file:
        file.write(data)


@contextlib.contextmanager
def new_directory(path: str) -> Iterator[Path]:
    """Yields an empty directory on the disk, whose files replace those of `path` at the end.

    An error leaves nothing
    behind.

    Args:
        path: The directory to make; its parent must exist.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory() as local:
            yield Path(local)
            upload(local, path)
        return
    temporary = _temporary_name(path)
    os.mkdir(temporary)
    try:
        with reading(temporary):  # so that `remove_leftovers` leaves it
            yield Path(temporary)
            settle(temporary)
            remove_directory(path)
            os.rename(temporary, path)
        sync(os.path.dirname(path) or ".")
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def settle(directory: str | os.PathLike[str]) -> None:
    """Sets the mode of all files in a directory on the disk to what the umask allows, and syncs them."""
    mode = os.stat(directory).st_mode & 0o666  # some writers allow less
    for folder, _, names in os.walk(directory):
        for name in names:
            os.chmod(os.path.join(folder, name), mode)
            sync(os.path.join(folder, name))
        sync(folder)


@contextlib.contextmanager
def on_disk(path: str) -> Iterator[str]:
    """Yields a directory on the disk with the files of `path`: itself, or a temporary copy.

    Raises:
        RefusedFileError: Something in it is neither a regular file of at most 1 TiB nor a folder, or lies outside.
    """
    if not is_remote(path):
        _check_tree(path)
        yield path
        return
    system, inner = _system(path)
    keys = _keys_by_name(path, inner, system.find(inner))
    with tempfile.TemporaryDirectory() as local:
        for name, key in keys.items():
            target = inside(local, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            system.get_file(key, target)
        yield local


def _keys_by_name(path: str, inner: str, keys: Iterable[str]) -> dict[str, str]:
    """Keys of an object store by relative path, without keys of folders."""
    prefix = f"{inner.strip('/')}/".lstrip("/")
    named: dict[str, str] = {}
    for key in keys:
        if key == inner:
            raise NotADirectoryError(f"{path!r} is a file.")
        if not key.endswith("/"):
            name = key.lstrip("/").removeprefix(prefix)
            inside(path, name)
            named[name] = key
    folders = {name[: slash.start()] for name in named for slash in re.finditer("/", name)}
    for name in sorted(folders & set(named)):
        raise RefusedFileError(f"{path!r} has {name!r} as a file and as a folder.")
    return named


def _check_tree(root: str) -> None:
    """Raises RefusedFileError unless a directory holds only regular files, folders, and links within it."""
    within, folders = os.path.join(os.path.realpath(root), ""), [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():  # its target is checked where it lies
                    target = os.path.realpath(entry.path)
                    if not target.startswith(within):
                        raise RefusedFileError(
                            f"{entry.path!r} is a link to {target!r}, outside of {root!r}."
                        )
                elif entry.is_dir():
                    folders.append(entry.path)
                else:
                    status = entry.stat()
                    _check_kind(entry.path, status.st_mode)
                    _check_size(entry.path, status.st_size, _LARGEST)


def remove_directory(path: str) -> None:
    """Removes a directory and its files; on a disk, atomically."""
    if is_remote(path):
        system, inner = _system(path)
        with contextlib.suppress(FileNotFoundError):
            system.rm(inner, recursive=True)
        return
    doomed = _temporary_name(path)
    try:
        os.rename(path, doomed)
    except FileNotFoundError:
        return
    _remove(doomed)


def rename_directory(path: str, name: str) -> None:
    """Renames a directory on a disk within its parent, and replaces an existing one."""
    target = os.path.join(os.path.dirname(path), name)
    remove_directory(target)
    os.rename(path, target)


def remove_file(path: str) -> None:
    """Removes a file, if it exists."""
    with contextlib.suppress(FileNotFoundError):
        if is_remote(path):
            system, inner = _system(path)
            system.rm_file(inner)
        else:
            os.unlink(path)


def remove_leftovers(directory: str) -> None:
    """Removes the temporary files of killed writers; those of living writers stay."""
    for leftover in [] if is_remote(directory) else Path(directory).glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if leftover.is_symlink() or not (leftover.is_file() or leftover.is_dir()):
                leftover.unlink()
                continue
            with nobody_reads(str(leftover)) as nobody:
                if nobody:
                    _remove(str(leftover))


@contextlib.contextmanager
def held_alone(file: str, note: str) -> Iterator[str]:
    """Holds an exclusive lock on a file, writes a note into it, and removes it at the end.

    The system releases the lock when the process dies, even if forked processes live on.

    Args:
        file: The file; its directory must exist.
        note: The holder of the lock, for other processes.

    Yields:
        An empty string; without locks, on an object store and some file systems, the note of a possible other holder.

    Raises:
        BlockingIOError: Another process holds the lock; `args` has its note.
    """
    owner = os.getpid()
    with contextlib.ExitStack() as opened:
        other = _hold(file, note, opened)
        try:
            yield other
        finally:
            if os.getpid() == owner:  # and not in a process that was forked meanwhile
                with contextlib.suppress(OSError):
                    remove_file(file)


def _hold(file: str, note: str, opened: contextlib.ExitStack) -> str:
    if fcntl is None or is_remote(file):
        other = _text_or_nothing(file)
        write_text(file, note)
        return other
    try:
        if os.path.islink(file):  # what it leads to is not to be written
            os.unlink(file)
        flags, kind = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, fcntl.LOCK_EX | fcntl.LOCK_NB
        descriptor, is_certain = opened.enter_context(_locked(file, flags, kind))
    except BlockingIOError:
        raise BlockingIOError(_text_or_nothing(file)) from None
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return ""  # nobody writes there
        raise
    other = "" if is_certain else _text_or_nothing(file)
    with contextlib.suppress(OSError):  # a full disk
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
    return other


def _text_or_nothing(file: str) -> str:
    try:
        return read_text(file)
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def reading(file: str) -> Iterator[None]:
    """Holds a shared lock, during which `nobody_reads(file)` is false in all processes, also on other machines.

    The system releases it when the process dies. On an object store, or a file system without locks, it has no effect.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with _locked(file, os.O_RDONLY, fcntl.LOCK_SH if fcntl else 0):
        yield


@contextlib.contextmanager
def nobody_reads(file: str) -> Iterator[bool]:
    """Yields whether nobody is `reading` the file; if so, holds an exclusive lock meanwhile."""
    try:
        flags = os.O_RDONLY if os.path.isdir(file) else os.O_RDWR
        with _locked(file, flags, fcntl.LOCK_EX | fcntl.LOCK_NB if fcntl else 0):
            yield True
    except BlockingIOError:
        yield False


@contextlib.contextmanager
def _locked(file: str, flags: int, kind: int) -> Iterator[tuple[int, bool]]:
    """Locks a file; yields its descriptor, and whether the file system has locks."""
    if fcntl is None or is_remote(file):
        yield -1, False
        return
    while True:
        descriptor = _opened(file, flags, directory_too=True)
        _held.add(descriptor)
        try:
            is_certain = _lock(descriptor, kind)
            # it may have been removed, or replaced, while this waited
            if _is_at(file, descriptor, missing_is_error=not flags & os.O_CREAT):
                yield descriptor, is_certain
                return
        finally:
            if descriptor in _held:  # and not in a process that was forked meanwhile
                _held.remove(descriptor)
                os.close(descriptor)


def _is_at(file: str, descriptor: int, *, missing_is_error: bool) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.stat(file), os.fstat(descriptor))
    except FileNotFoundError:
        if missing_is_error:
            raise
        return False


def _lock(descriptor: int, kind: int) -> bool:
    """Locks an open file; returns False if its file system has no locks."""
    try:
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None


def _opened(path: str, flags: int, *, directory_too: bool = False) -> int:
    """Opens a regular file only: opening a named pipe would wait for a writer, and a device may do anything."""
    if not flags & os.O_CREAT or os.path.lexists(path):
        mode = _stat(path).st_mode
        if not (directory_too and stat.S_ISDIR(mode)):
            _check_kind(path, mode)
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0), 0o666)


def _check_kind(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise RefusedFileError(f"{path!r} is {kind}, not a regular file.")


def _check_size(path: str, size: int, largest: int) -> None:
    if size > largest:
        raise RefusedFileError(
            f"{path!r} has {size:,} bytes, more than the {largest:,} that are read."
        )


def _new_file(path: str) -> BinaryIO:
    """Opens a new file, locked so that `remove_leftovers` leaves it."""
    while True:
        file = open(path, "xb")  # noqa: SIM115 - the caller closes it
        if fcntl:
            _lock(file.fileno(), fcntl.LOCK_EX)
        if _is_at(path, file.fileno(), missing_is_error=False):
            return file
        file.close()


def _remove(path: str) -> None:
    """Removes a directory with its files, a file, or a link."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


def _split(path: str) -> tuple[str, str, str]:
    directory, name = os.path.split(path.rstrip(os.sep))
    return directory, "", name


def _system(path: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, without cached listings, and the path in it."""
    import fsspec

    try:
        system, inner = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{path!r} cannot be reached by fsspec: {error}") from error
    system.invalidate_cache()
    return system, inner


def upload(local: str, path: str) -> None:
    """Uploads a directory: files in folders first, then the others by name."""
    system, inner = _system(path)
    try:
        for folder, _, names in os.walk(local, topdown=False):
            within = os.path.relpath(folder, local).replace(os.sep, "/")
            for name in sorted(names):
                target = name if within == "." else f"{within}/{name}"
                system.put_file(os.path.join(folder, name), inside(inner, target))
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to see
            system.rm(inner, recursive=True)
        raise


def _temporary_name(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(directory, f"{TEMPORARY}{name}-{uuid.uuid4().hex[:12]}")


def sync(path: str | os.PathLike[str]) -> None:
    """Syncs a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
