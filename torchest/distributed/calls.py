"""Calls that processes make together, such as train and evaluate, each checked when it begins.

A process leaves a note of the call that it begins. The chief compares the notes; then all go on, or all raise the same
error. Messages follow only then, so that a process that makes another call, or none, is seen and not waited for.

The chief alone may evaluate, predict and export: where all others begin another call, or have ended, it does so without
them, and then begins its next call. Such a call is only the same if it stands at the same place of the program. If not,
an evaluation by the chief, followed by one by all, would be taken for one.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import sys
import weakref
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from torchest.checkpoint.directory import latest_checkpoint
from torchest.checkpoint.index import step_of
from torchest.distributed import waiting
from torchest.distributed.notes import Notes
from torchest.distributed.waiting import CurrentCall, Patience, Watch, listed
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torchest.utils.json_form import JSON

_END = "the end of the program"
_LONGEST = 300  # characters of an error that others are told
_SLACK_SECS = 3600.0  # by which gloo's own limit is longer


@dataclass(frozen=True)
class Call:
    """A call that a process begins.

    Attributes:
        text: Its name and directory.
        line: The line of the program that makes it.
        place: Stands for all lines that lead there; empty if the call may stand at other places in other processes.
        step: The global step of the newest checkpoint that this process sees, if there is one.
    """

    text: str
    line: str
    place: str
    step: int | None

    @classmethod
    def here(cls, name: str, model_dir: str | None, *, may_be_alone: bool) -> Call:
        """The call that the program makes now.

        Args:
            name: The name of the method.
            model_dir: The directory of the model, if it has one.
            may_be_alone: Whether the chief may make it alone.
        """
        lines = _lines_of_program()
        place = hashlib.sha256("\n".join(lines).encode()).hexdigest() if may_be_alone else ""
        text = f"{name}({'' if model_dir is None else f'model_dir={model_dir!r}'})"
        return cls(text, lines[0], place, None if model_dir is None else _newest_step(model_dir))

    def note(self, after: Sequence[int]) -> JSON:
        """The note of the call.

        Args:
            after: The place that this process comes from.
        """
        step = "" if self.step is None else f", from step {self.step}"
        return {
            "text": f"{self.text} at {self.line}{step}",
            "key": [self.text, self.place],
            "after": after,
        }


class Calls:
    """The calls of this process in a process group.

    Args:
        group: The process group, whose store has the notes of all processes.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = weakref.ref(group)
        self._notes = Notes(group.get_group_store(), group.rank(), group.size())
        self._number = self._depth = 0
        self._patience: Patience | None = None
        self._error: str | None = None
        self._process = os.getpid()
        self.watch = Watch(self._notes)
        waiting.use(self.watch)
        atexit.register(self._end)

    @property
    def group(self) -> dist.ProcessGroup | None:
        """The process group; None if it is no more."""
        return self._group()

    @contextlib.contextmanager
    def begin(self, call: Call, patience: Patience) -> Iterator[bool]:
        """A context for a call.

        Yields:
            Whether all processes make it; if not, the chief makes it alone.

        Raises:
            RuntimeError: The processes make different calls, or one did not come in time.
        """
        self.watch.check()
        self._set_limits(patience)
        began, self._error = CurrentCall(call.text, self._number, patience), None
        with self.watch.notes_needed(began):
            self._notes.leave(self._own, call.note(self.watch.call.place))
            is_together = True
            if self._notes.rank == 0:
                is_together = self._compare(began, may_be_alone=bool(call.place))
            else:
                self._follow_chief(began)
        with self._together(began) if is_together else self._alone(call):
            yield is_together

    @contextlib.contextmanager
    def _together(self, began: CurrentCall) -> Iterator[None]:
        outer, self.watch.call = self.watch.call, began
        self._depth += 1
        try:
            yield
        except BaseException as error:
            self._error = _words_of(error)
            if not self.watch.has_failed:
                is_error = not isinstance(error, GeneratorExit)
                self._leave(
                    f"{began.number}/left/{self._notes.rank}", self._error, is_error=is_error
                )
            raise
        finally:
            self._depth -= 1
            if self._depth:
                self.watch.call = outer

    @contextlib.contextmanager
    def _alone(self, call: Call) -> Iterator[None]:
        try:
            with self.watch.alone(f"alone makes the call {call.text}"):
                yield
        except BaseException as error:
            self._error = _words_of(error)
            raise

    @property
    def _own(self) -> str:
        return f"{self._number}/call/{self._notes.rank}"

    def _set_limits(self, patience: Patience) -> None:
        """Sets the limits of the group itself, which ends messages without telling whom it waited for."""
        group = self.group
        if group is None or patience == self._patience:
            return
        self._patience = patience
        longest = max(patience.step, patience.alone) + _SLACK_SECS
        for device in ("cpu", "cuda"):
            with contextlib.suppress(RuntimeError):  # there is no backend for the device
                backend = group._get_backend(torch.device(device))
                seconds = longest if backend.name() == "gloo" else patience.step
                backend._set_default_timeout(timedelta(seconds=seconds))

    def _compare(self, began: CurrentCall, *, may_be_alone: bool) -> bool:
        """Whether all processes begin the same call, for the chief, which tells the others.

        Raises:
            RuntimeError: They do not, and the chief cannot make it alone.
        """
        names = [f"{self._number}/call/{rank}" for rank in range(self._notes.world_size)]
        self.watch.wait_to_begin(began, names)
        notes = self._notes.read_all(names)
        own, *others = (note["key"] for note in notes)
        if may_be_alone and own != others[0] and all(key == others[0] for key in others):
            return False
        is_same = all(key == own for key in others)
        verdict = {"error": None if is_same else _different(dict(enumerate(notes)))}
        self._notes.leave(f"{self._number}/verdict", verdict)
        self._accept(verdict)
        return True

    def _follow_chief(self, began: CurrentCall) -> None:
        """Begins a call when the chief begins the same one.

        Raises:
            RuntimeError: It does not.
        """
        verdict = f"{self._number}/verdict"
        self.watch.wait_to_begin(began, [verdict])
        (note,) = self._notes.read_all([verdict])
        if note.get("is_end"):
            both = self._notes.read_all([f"{self._number}/call/0", self._own])
            note = {"error": _different(dict(zip((0, self._notes.rank), both, strict=True)))}
        self._accept(note)

    def _accept(self, verdict: JSON) -> None:
        self._number += 1
        if verdict["error"] is not None:
            raise RuntimeError(verdict["error"])
        # of the call before the last, which all have read
        self._notes.remove(f"{self._number - 3}/call/{self._notes.rank}")
        if self._notes.rank == 0:
            self._notes.remove(f"{self._number - 3}/verdict")

    def _leave(self, name: str, text: str, **more: object) -> None:
        """Leaves a note of where this process goes next, and from which place."""
        note = {"text": text, "after": self.watch.call.place, **more}
        with contextlib.suppress(RuntimeError):  # the notes have gone with process 0
            self._notes.leave(name, note)

    def _end(self) -> None:
        """Tells the others that the program ends."""
        if os.getpid() != self._process:  # one that this one has forked
            return
        self.watch.end()
        if self.watch.has_failed:
            return
        uncaught = getattr(sys, "last_value", None)
        error = self._error if uncaught is None else _words_of(uncaught)
        text = _END if error is None else f"{_END}, after {error}"
        self._leave(self._own, text, key=[_END])
        if self._notes.rank == 0:
            self._leave(f"{self._number}/verdict", text, is_end=True)


_calls: Calls | None = None


def calls_of_group() -> Calls:
    """The calls in the default process group."""
    global _calls  # noqa: PLW0603 - there is one default group
    group = dist.group.WORLD
    if _calls is None or _calls.group is not group:
        assert group is not None
        if _calls is not None:
            _calls.watch.end()
        _calls = Calls(group)
    return _calls


def _different(notes: Mapping[int, JSON]) -> str:
    """The error if processes make different calls, by the notes of these."""
    texts: dict[str, str] = {}
    ranks: dict[str, list[int]] = {}
    for rank, note in notes.items():
        key = json.dumps(note["key"])
        texts.setdefault(key, note["text"])
        ranks.setdefault(key, []).append(rank)
    parts = [f"{listed(ranks[key]).capitalize()}: {texts[key]}." for key in texts]
    return f"The processes make different calls. {' '.join(parts)} {waiting.SAME_CALLS}"


def _words_of(error: BaseException) -> str:
    if isinstance(error, GeneratorExit):
        return "an early end of its loop"
    words = [type(error).__name__, *str(error).splitlines()[:1]]
    return ": ".join(words)[:_LONGEST]


def _newest_step(model_dir: str) -> int | None:
    try:
        newest = latest_checkpoint(model_dir)
    except (OSError, ValueError):  # the call itself tells
        return None
    return None if newest is None else step_of(files.parent_and_name(newest)[1])


def _lines_of_program() -> list[str]:
    """The lines of the program that lead to this call, the last one first."""
    frame = sys._getframe()
    lines: list[str] = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "").partition(".")[0]
        if lines or module not in ("torchest", "contextlib"):
            lines.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")
            if frame.f_code.co_name == "<module>":
                break
        frame = frame.f_back  # type: ignore[assignment]
    return lines or ["no line"]
