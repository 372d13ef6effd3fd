"""The served versions of a model: the newest exports of a directory.

A new version serves requests once it is loaded and its golden rows have been checked. The previous version finishes its
requests. A version that cannot be loaded is logged once, and the others stay in service.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.exported.golden import MANIFEST
from torchest.serving.batching import Batcher
from torchest.serving.limits import Limits, RequestError
from torchest.serving.model import Model

if TYPE_CHECKING:
    from torchest.serving.metrics import Metrics

_log = logging.getLogger("torchest.serving")
_LOADED = 2  # versions, so that a client can still use the one that it knows when the next one has appeared


@dataclass(frozen=True)
class Version:
    """A served version."""

    model: Model
    batcher: Batcher


class Versions:
    """The versions of one model.

    Args:
        directory: An export, or a directory of exports, of which the newest are served.
        limits: Limits on requests.
        metrics: Counters of versions and runs.
        threads: The number of threads of one run of the model; 0 leaves it to onnxruntime.

    Raises:
        ValueError: There is no export, or none can be served.
    """

    def __init__(self, directory: str, limits: Limits, metrics: Metrics, threads: int = 0) -> None:
        self._directory = os.path.abspath(directory)
        self._limits, self._metrics, self._threads = limits, metrics, threads
        self._is_single = os.path.exists(os.path.join(self._directory, MANIFEST))
        self._failed: dict[str, tuple[object, str]] = {}  # state of the files and reason, by name
        self._loaded: dict[str, Version] = {}
        names = self._names()
        if not names:
            raise ValueError(
                f"{directory!r} has no exported model: give what export_saved_model returned, or the directory that "
                "it was given, with folders such as 1790000000."
            )
        self._add_newest(names)

    @property
    def newest(self) -> Version:
        """The version that answers by default."""
        return self._loaded[max(self._loaded, key=_number)]

    def get(self, name: str | None) -> Version:
        """The version with a name; None for the newest.

        Raises:
            RequestError: The version is not served.
        """
        if name is None:
            return self.newest
        if name not in self._loaded:
            raise RequestError(
                404, f"Version {name!r:.60} is not served.{suggest(name, self._loaded)}"
            )
        return self._loaded[name]

    def states(self) -> dict[str, str]:
        """The reason why each version is not served, by name, newest first; an empty string if it is served."""
        failed = {name: reason for name, (_, reason) in self._failed.items()}
        states = {**failed, **dict.fromkeys(self._loaded, "")}
        return {name: states[name] for name in sorted(states, key=_number, reverse=True)}

    async def watch(self, seconds: float) -> None:
        """Checks for new versions every `seconds`, forever."""
        logged = ""
        while not self._is_single:
            await asyncio.sleep(seconds)
            try:
                await self._look()
                logged = ""
            except OSError as error:  # a network directory may be unavailable for a while
                if str(error) != logged:
                    logged = str(error)
                    _log.warning("%s cannot be read: %s", self._directory, error)

    async def _look(self) -> None:
        names = await asyncio.to_thread(self._names)
        for name in names[-_LOADED:]:
            if name in self._loaded:
                continue
            state = await asyncio.to_thread(_state, self._path(name))
            if self._failed.get(name, (None,))[0] == state:
                continue
            try:
                self._add(name, await asyncio.to_thread(self._load, name))
            except Exception as error:
                self._fail(name, state, error)
        self._forget(names)

    def _add_newest(self, names: list[str]) -> None:
        """Loads the newest version that can be loaded."""
        for name in reversed(names):
            state = _state(self._path(name))
            try:
                self._add(name, self._load(name))
                return
            except Exception as error:
                self._fail(name, state, error)
                if name == names[0]:
                    raise

    def _fail(self, name: str, state: object, error: Exception) -> None:
        reason = str(error).strip().partition("\n")[0]
        self._failed[name] = (state, reason)
        self._metrics.failed()
        _log.error("version %s is not served: %s", name, reason)

    def _add(self, name: str, version: Version) -> None:
        self._loaded[name] = version
        self._failed.pop(name, None)
        self._metrics.serves(self.newest.model.version)
        _log.info("version %s is served", name)

    def _forget(self, names: list[str]) -> None:
        """Drops versions that were deleted, and all but the newest; one version always stays."""
        there = [name for name in names if name in self._loaded]
        kept = set(there[-_LOADED:]) or {self.newest.model.version}
        for name in [name for name in self._loaded if name not in kept]:
            del self._loaded[name]  # its requests hold it until their last answer
            _log.info("version %s is no longer served", name)
        for name in [name for name in self._failed if name not in names]:
            del self._failed[name]
        self._metrics.serves(self.newest.model.version)

    def _load(self, name: str) -> Version:
        model = Model(self._path(name), name, self._limits, self._threads)
        return Version(model, Batcher(model, self._limits, self._metrics))

    def _names(self) -> list[str]:
        """The versions on the disk, oldest first."""
        if self._is_single:
            return [os.path.basename(self._directory)]
        names = [
            name
            for name in os.listdir(self._directory)
            if name.isdecimal() and os.path.exists(os.path.join(self._directory, name, MANIFEST))
        ]
        return sorted(names, key=_number)

    def _path(self, name: str) -> str:
        return self._directory if self._is_single else os.path.join(self._directory, name)


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else 0


def _state(directory: str) -> object:
    """A value that changes when the files of an export change."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        states = [(each.name, each.stat(follow_symlinks=False)) for each in entries]
    except OSError as error:
        return str(error)
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]
